/**
 * What was sent and is not acknowledged, segment by segment: when it left, whether it was selectively acknowledged, given up for lost, or
 * sent again.
 *
 * Read first: RFC 6675 sections 2 to 4, RFC 8985 section 5.1.
 *
 * ```
 *  count ───────────────────────────────────────────────► end of what was sent
 *  │ start end sentAt flags │ start end sentAt flags │ …       rows of four 32-bit numbers, in a ring of rows
 * ```
 */
import { TCP_SEGMENTS_IN_FLIGHT_MAX } from "../../base/limits.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";

/** What is known of a segment, as bits. */
export const SegmentMark = {
  /** Selectively acknowledged. */
  Sacked: 1,
  /** Given up for lost. */
  Lost: 2,
  /** Lost, and a copy is on its way. */
  Resent: 4,
  /** Sent more than once in its life. */
  EverResent: 8,
  /** Its last sequence number is the FIN's. */
  Fin: 16,
} as const;

const ROW = 4;
const ROWS_MIN = 16;

const NO_ROWS = new Int32Array(0);

function createRows(count: number): Int32Array {
  return new Int32Array(count * ROW);
}

/** The segments in flight of one connection. Sequence numbers and times are signed 32-bit numbers; times wrap after 71 minutes. */
export class Scoreboard {
  #rows: Int32Array = NO_ROWS;
  #head = 0;
  /** Segments not cumulatively acknowledged. */
  count = 0;
  /** Units: bytes of sequence space, as all counts here. */
  sackedBytes = 0;
  lostBytes = 0;
  /** Bytes that were lost and sent again. */
  resentBytes = 0;
  sackedCount = 0;
  lostCount = 0;

  // What the last `acknowledge` and `sack` calls found, until `startReport`.
  /** Bytes that newly reached the peer. */
  deliveredBytes = 0;
  /** True when a segment was delivered that had been sent once only; then `cleanSentAt` is when the latest of them left. */
  hasClean = false;
  cleanSentAt = 0;
  /** The end of the first of them. */
  cleanEnd = 0;
  /** Of the delivered segments, the one sent last. Source: RFC 8985 section 6.2 step 2. */
  hasNewest = false;
  newestSentAt = 0;
  newestEnd = 0;
  newestResent = false;
  /** A segment that was sent more than once was cumulatively acknowledged. */
  resentAcked = false;
  /** A segment was delivered below what was delivered before, though never sent again: the path reorders. Source: RFC 8985 section 6.2 step 3. */
  sawReordering = false;
  /** How far below. */
  reorderedBytes = 0;
  /** Highest sequence number delivered in any way. */
  forward = 0;
  hasForward = false;

  get #mask(): number {
    return this.#rows.length / ROW - 1;
  }

  /** Where the row of segment `index` begins in `rows`. */
  #at(index: number): number {
    return ((this.#head + index) & this.#mask) * ROW;
  }

  /** First sequence number of a segment. */
  start(index: number): number {
    return this.#rows[this.#at(index)]!;
  }
  /** The sequence number after a segment. */
  end(index: number): number {
    return this.#rows[this.#at(index) + 1]!;
  }
  /** When a segment left last. Units: µs modulo 2³². */
  sentAt(index: number): number {
    return this.#rows[this.#at(index) + 2]!;
  }
  /** A segment's marks. */
  marks(index: number): number {
    return this.#rows[this.#at(index) + 3]!;
  }

  /** True when no more segments may be in flight. */
  get isFull(): boolean {
    return this.count >= TCP_SEGMENTS_IN_FLIGHT_MAX;
  }

  /** Memory held. Units: bytes. */
  get memoryBytes(): number {
    return this.#rows.byteLength;
  }

  /** Notes a segment that was just sent for the first time. */
  append(start: number, end: number, now: number, marks: number): void {
    if (this.count > this.#mask) this.#grow();
    const at = this.#at(this.count++);
    this.#rows[at] = start;
    this.#rows[at + 1] = end;
    this.#rows[at + 2] = now | 0;
    this.#rows[at + 3] = marks;
  }

  /** Forgets everything, and gives the memory back. */
  clear(): void {
    this.count = 0;
    this.sackedBytes = 0;
    this.lostBytes = 0;
    this.resentBytes = 0;
    this.sackedCount = 0;
    this.lostCount = 0;
    this.#head = 0;
    this.#rows = NO_ROWS;
  }

  /** Begins a new report of what an ACK brings. */
  startReport(): void {
    this.deliveredBytes = 0;
    this.hasClean = false;
    this.hasNewest = false;
    this.resentAcked = false;
    this.sawReordering = false;
    this.reorderedBytes = 0;
  }

  /** Takes away what a cumulative acknowledgment covers; a segment that it covers in part is cut. */
  acknowledge(ack: number): void {
    const rows = this.#rows;
    while (this.count > 0) {
      const at = this.#at(0);
      const start = rows[at]!;
      const end = rows[at + 1]!;
      if (seqLessOrEqual(ack, start)) return;
      const marks = rows[at + 3]!;
      if (seqLess(ack, end)) {
        const length = seqDiff(ack, start);
        this.#uncount(marks, length, 0);
        if ((marks & SegmentMark.Sacked) === 0) this.deliveredBytes += length;
        rows[at] = ack;
        return;
      }
      this.#uncount(marks, seqDiff(end, start), 1);
      if ((marks & SegmentMark.EverResent) !== 0) this.resentAcked = true;
      if ((marks & SegmentMark.Sacked) === 0) this.#deliver(at);
      this.#head = (this.#head + 1) & this.#mask;
      this.count--;
    }
  }

  /** Marks what a SACK range covers wholly; `segmentBytes` is where a super-segment may be cut. Returns whether anything was new. */
  sack(start: number, end: number, segmentBytes: number): boolean {
    let found = false;
    for (let i = this.#find(start); i < this.count; i++) {
      let at = this.#at(i);
      const from = this.#rows[at]!;
      const to = this.#rows[at + 1]!;
      if (seqLessOrEqual(end, from)) break;
      if ((this.#rows[at + 3]! & SegmentMark.Sacked) !== 0) continue;
      if (seqLess(from, start) || seqLess(end, to)) {
        const cut = this.#cutFor(from, to, start, end, segmentBytes);
        if (cut === 0 || !this.split(i, cut)) continue;
        if (seqLess(from, start)) continue; // the right part comes next
        at = this.#at(i);
      }
      this.#deliver(at);
      const marks = this.#rows[at + 3]!;
      const length = seqDiff(this.#rows[at + 1]!, this.#rows[at]!);
      this.#uncount(marks, length, 1);
      this.#rows[at + 3] = (marks & ~(SegmentMark.Lost | SegmentMark.Resent)) | SegmentMark.Sacked;
      this.sackedBytes += length;
      this.sackedCount++;
      found = true;
    }
    return found;
  }

  /** Where to cut a segment that a range covers in part: a multiple of the segment size from its start, inside the range; 0 when it cannot. */
  #cutFor(from: number, to: number, start: number, end: number, segmentBytes: number): number {
    if (seqDiff(to, from) <= segmentBytes) return 0;
    if (seqLess(from, start)) {
      const cut = Math.ceil(seqDiff(start, from) / segmentBytes) * segmentBytes;
      return cut < seqDiff(to, from) ? cut : 0;
    }
    return Math.floor(seqDiff(end, from) / segmentBytes) * segmentBytes;
  }

  /** Index of the first segment that ends after `seq`. */
  #find(seq: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqLessOrEqual(this.end(middle), seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Cuts a segment in two after `length` bytes; false when there is no room for one more. */
  split(index: number, length: number): boolean {
    if (this.count >= 2 * TCP_SEGMENTS_IN_FLIGHT_MAX) return false;
    if (this.count > this.#mask) this.#grow();
    const rows = this.#rows;
    for (let i = this.count; i > index + 1; i--) this.#move(this.#at(i - 1), this.#at(i));
    this.count++;
    const left = this.#at(index);
    const right = this.#at(index + 1);
    this.#move(left, right);
    const cut = (rows[left]! + length) | 0;
    rows[left + 1] = cut;
    rows[right] = cut;
    const marks = rows[left + 3]!;
    rows[left + 3] = marks & ~SegmentMark.Fin;
    if ((marks & SegmentMark.Sacked) !== 0) this.sackedCount++;
    if ((marks & SegmentMark.Lost) !== 0) this.lostCount++;
    return true;
  }

  /** Joins a segment with its successor, which must carry the same marks but FIN. */
  join(index: number): void {
    const rows = this.#rows;
    const left = this.#at(index);
    const right = this.#at(index + 1);
    rows[left + 1] = rows[right + 1]!;
    if ((rows[left + 3]! & SegmentMark.Lost) !== 0) this.lostCount--;
    rows[left + 3] = rows[left + 3]! | rows[right + 3]!;
    for (let i = index + 1; i + 1 < this.count; i++) this.#move(this.#at(i + 1), this.#at(i));
    this.count--;
  }

  /** Gives a segment up for lost: its first sending, or its copy. */
  markLost(index: number): void {
    const at = this.#at(index);
    const marks = this.#rows[at + 3]!;
    const length = seqDiff(this.#rows[at + 1]!, this.#rows[at]!);
    if ((marks & SegmentMark.Resent) !== 0) this.resentBytes -= length;
    if ((marks & SegmentMark.Lost) === 0) {
      this.lostBytes += length;
      this.lostCount++;
    }
    this.#rows[at + 3] = (marks & ~SegmentMark.Resent) | SegmentMark.Lost;
  }

  /** Gives everything up that was not selectively acknowledged. Source: RFC 6675 section 5.1. */
  markAllLost(): void {
    for (let i = 0; i < this.count; i++) if ((this.marks(i) & SegmentMark.Sacked) === 0) this.markLost(i);
  }

  /** Takes back that segments were given up for lost. */
  unmarkLost(): void {
    for (let i = 0; i < this.count; i++) {
      const at = this.#at(i);
      this.#rows[at + 3] = this.#rows[at + 3]! & ~(SegmentMark.Lost | SegmentMark.Resent);
    }
    this.lostBytes = 0;
    this.lostCount = 0;
    this.resentBytes = 0;
  }

  /** Forgets what was selectively acknowledged: the receiver reneged. Source: RFC 2018 section 8. */
  forgetSacks(): void {
    for (let i = 0; i < this.count; i++) {
      const at = this.#at(i);
      this.#rows[at + 3] = this.#rows[at + 3]! & ~SegmentMark.Sacked;
    }
    this.sackedBytes = 0;
    this.sackedCount = 0;
  }

  /** Notes that a copy of a segment was sent. */
  markResent(index: number, now: number): void {
    const at = this.#at(index);
    const marks = this.#rows[at + 3]!;
    const length = seqDiff(this.#rows[at + 1]!, this.#rows[at]!);
    if ((marks & SegmentMark.Lost) !== 0 && (marks & SegmentMark.Resent) === 0) this.resentBytes += length;
    const resent = (marks & SegmentMark.Lost) !== 0 ? SegmentMark.Resent : 0;
    this.#rows[at + 3] = marks | resent | SegmentMark.EverResent;
    this.#rows[at + 2] = now | 0;
  }

  /** Index of the first segment from `from` on that is lost and not on its way again, or −1. */
  nextLost(from: number): number {
    if (this.lostBytes === this.resentBytes) return -1;
    for (let i = from; i < this.count; i++) {
      if ((this.marks(i) & (SegmentMark.Lost | SegmentMark.Resent | SegmentMark.Sacked)) === SegmentMark.Lost) return i;
    }
    return -1;
  }

  #uncount(marks: number, length: number, segments: number): void {
    if ((marks & SegmentMark.Sacked) !== 0) {
      this.sackedBytes -= length;
      this.sackedCount -= segments;
    }
    if ((marks & SegmentMark.Lost) !== 0) {
      this.lostBytes -= length;
      this.lostCount -= segments;
    }
    if ((marks & SegmentMark.Resent) !== 0) this.resentBytes -= length;
  }

  /** Reports a segment as delivered. */
  #deliver(at: number): void {
    const rows = this.#rows;
    const end = rows[at + 1]!;
    const sentAt = rows[at + 2]!;
    const resent = (rows[at + 3]! & SegmentMark.EverResent) !== 0;
    this.deliveredBytes += seqDiff(end, rows[at]!);
    if (!resent) {
      if (!this.hasClean || seqLess(end, this.cleanEnd)) this.cleanEnd = end;
      if (!this.hasClean || this.cleanSentAt - sentAt < 0) this.cleanSentAt = sentAt;
      this.hasClean = true;
    }
    const later = sentAt - this.newestSentAt | 0;
    if (!this.hasNewest || later > 0 || (later === 0 && seqLess(this.newestEnd, end))) {
      this.hasNewest = true;
      this.newestSentAt = sentAt;
      this.newestEnd = end;
      this.newestResent = resent;
    }
    if (!this.hasForward || seqLess(this.forward, end)) {
      this.hasForward = true;
      this.forward = end;
    } else if (seqLess(end, this.forward) && !resent) {
      this.sawReordering = true;
      const distance = seqDiff(this.forward, rows[at]!);
      if (distance > this.reorderedBytes) this.reorderedBytes = distance;
    }
  }

  #move(from: number, to: number): void {
    const rows = this.#rows;
    rows[to] = rows[from]!;
    rows[to + 1] = rows[from + 1]!;
    rows[to + 2] = rows[from + 2]!;
    rows[to + 3] = rows[from + 3]!;
  }

  #grow(): void {
    const grown = createRows(this.#rows === NO_ROWS ? ROWS_MIN : (this.#mask + 1) * 2);
    const old = this.#rows;
    for (let i = 0; i < this.count; i++) {
      const at = this.#at(i);
      for (let word = 0; word < ROW; word++) grown[i * ROW + word] = old[at + word]!;
    }
    this.#rows = grown;
    this.#head = 0;
  }
}
