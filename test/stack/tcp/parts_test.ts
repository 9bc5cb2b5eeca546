import { assert, assertEquals } from "@std/assert";
import { TCP_REASSEMBLY_RANGE_COUNT_MAX } from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import { type CongestionView, initialWindow } from "../../../core/stack/tcp/congestion.ts";
import { Cubic } from "../../../core/stack/tcp/cubic.ts";
import { InitialSequence } from "../../../core/stack/tcp/isn.ts";
import { Reassembly } from "../../../core/stack/tcp/reassembly.ts";
import { Reno } from "../../../core/stack/tcp/reno.ts";
import { backedOffRto, sampleRtt } from "../../../core/stack/tcp/rto.ts";
import { Scoreboard, SegmentMark } from "../../../core/stack/tcp/scoreboard.ts";
import { roundToSegments, scaleFor } from "../../../core/stack/tcp/window.ts";
import { Script } from "./script.ts";

Deno.test("Reassembly agrees with a set of numbers, across the end of the sequence space", () => {
  const prng = new Prng(11);
  for (let run = 0; run < 300; run++) {
    const base = (0xffff_ffff - 500) | 0;
    const ranges = new Reassembly();
    const oracle = new Set<number>();
    let next = 0;
    for (let step = 0; step < 60; step++) {
      const start = next + 1 + prng.below(900);
      const end = start + 1 + prng.below(120);
      assertEquals(
        ranges.covers((base + start) | 0, (base + end) | 0),
        Array.from({ length: end - start }, (_, i) => start + i).every((n) => oracle.has(n)),
      );
      assert(ranges.add((base + start) | 0, (base + end) | 0));
      for (let n = start; n < end; n++) oracle.add(n);
      if (prng.chance(1, 10)) {
        next += prng.below(200);
        const reached = (ranges.take((base + next) | 0) - base) | 0;
        for (const n of oracle) if (n < next) oracle.delete(n);
        while (oracle.has(next)) oracle.delete(next++);
        assertEquals(reached, next);
      }
      const held = new Set<number>();
      for (let i = 0; i < ranges.count; i++) {
        for (let n = (ranges.start(i) - base) | 0; n < ((ranges.end(i) - base) | 0); n++) held.add(n);
        if (i > 0) assert(((ranges.start(i) - ranges.end(i - 1)) | 0) > 0, "ranges that touch are one");
      }
      for (const n of held) if (n < next) held.delete(n);
      assertEquals(held, oracle);
    }
  }
});

Deno.test("Reassembly refuses one range too many and still grows the others", () => {
  const ranges = new Reassembly();
  for (let i = 0; i < TCP_REASSEMBLY_RANGE_COUNT_MAX; i++) assert(ranges.add(i * 10, i * 10 + 5));
  assertEquals(ranges.add(1_000_000, 1_000_001), false);
  assert(ranges.add(5, 10));
  assertEquals(ranges.count, TCP_REASSEMBLY_RANGE_COUNT_MAX - 1);
});

interface Row {
  start: number;
  end: number;
  sacked: boolean;
  lost: boolean;
  resent: boolean;
}

Deno.test("Scoreboard agrees with a plain list through seeded sending, SACKs, losses and ACKs", () => {
  const prng = new Prng(12);
  for (let run = 0; run < 200; run++) {
    const board = new Scoreboard();
    let rows: Row[] = [];
    let next = (0x7fff_ff00 + run) | 0;
    for (let step = 0; step < 200; step++) {
      const kind = prng.below(6);
      board.startReport();
      if (kind <= 1) {
        const end = (next + 100) | 0;
        board.append(next, end, step, 0);
        rows.push({ start: next, end, sacked: false, lost: false, resent: false });
        next = end;
      } else if (kind === 2 && rows.length > 0) {
        const from = prng.below(rows.length);
        const to = Math.min(rows.length - 1, from + prng.below(4));
        board.sack(rows[from]!.start, rows[to]!.end, 100);
        for (let i = from; i <= to; i++) Object.assign(rows[i]!, { sacked: true, lost: false, resent: false });
      } else if (kind === 3 && rows.length > 0) {
        const index = prng.below(rows.length);
        if (!rows[index]!.sacked) {
          board.markLost(index);
          Object.assign(rows[index]!, { lost: true, resent: false });
        }
      } else if (kind === 4) {
        const index = board.nextLost(0);
        assertEquals(index, rows.findIndex((row) => row.lost && !row.resent));
        if (index >= 0) {
          board.markResent(index, step);
          rows[index]!.resent = true;
        }
      } else if (kind === 5 && rows.length > 0) {
        const count = prng.below(rows.length + 1);
        if (count > 0) board.acknowledge(rows[count - 1]!.end);
        const fresh = rows.slice(0, count).filter((row) => !row.sacked).length * 100;
        assertEquals(board.deliveredBytes, fresh);
        rows = rows.slice(count);
      }
      const bytes = (test: (row: Row) => boolean) => rows.filter(test).length * 100;
      assertEquals(
        [board.count, board.sackedBytes, board.lostBytes, board.resentBytes],
        [rows.length, bytes((r) => r.sacked), bytes((r) => r.lost), bytes((r) => r.resent)],
      );
    }
  }
});

Deno.test("Scoreboard holds no memory before the first segment and after clear()", () => {
  const board = new Scoreboard();
  assertEquals(board.memoryBytes, 0);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 100; i++) board.append(i * 10, i * 10 + 10, i, 0);
    assertEquals([board.count, board.start(99), board.end(99), board.sentAt(7)], [100, 990, 1_000, 7]);
    assert(board.memoryBytes > 0);
    board.clear();
    assertEquals([board.count, board.memoryBytes], [0, 0]);
  }
});

Deno.test("Scoreboard cuts and joins segments without losing a byte", () => {
  const board = new Scoreboard();
  board.append(0, 1_000, 1, SegmentMark.Fin);
  board.markLost(0);
  assert(board.split(0, 400));
  assertEquals([board.count, board.lostBytes, board.lostCount], [2, 1_000, 2]);
  assertEquals([board.end(0), board.start(1), board.marks(0) & SegmentMark.Fin], [400, 400, 0]);
  board.join(0);
  assertEquals([board.count, board.end(0), board.lostBytes, board.lostCount], [1, 1_000, 1_000, 1]);
  assert((board.marks(0) & SegmentMark.Fin) !== 0);
});

function view(cwnd: number, ssthresh: number): CongestionView {
  return { cwnd, ssthresh, sendMss: 1_000, srttUs: 100_000, minRttUs: 100_000 };
}

Deno.test("Reno doubles in slow start, adds a segment a round trip after it, and halves", () => {
  const reno = new Reno();
  const v = view(10_000, 20_000);
  for (let i = 0; i < 10; i++) reno.increase(v, 1_000, micros(0));
  assertEquals(v.cwnd, 20_000);
  for (let i = 0; i < 20; i++) reno.increase(v, 1_000, micros(0));
  assertEquals(v.cwnd, 21_000);
  assertEquals(reno.reduced(v, 21_000), 10_500);
  assertEquals(reno.reduced(v, 1_000), 2_000);
});

Deno.test("Cubic comes back to where the loss was in the time that the curve says, flat around it", () => {
  const cubic = new Cubic();
  const v = view(1_000_000, 1);
  v.ssthresh = cubic.reduced(v, v.cwnd);
  assertEquals(v.ssthresh, 700_000);
  v.cwnd = v.ssthresh;
  let now = 0;
  const at = (seconds: number) => {
    while (now < seconds * 1e6) {
      cubic.increase(v, v.cwnd, micros(now));
      now += 100_000;
    }
    return v.cwnd;
  };
  const k = Math.cbrt(300 / 0.4); // 1,000 segments, 0.7 of them left
  const middle = at(k);
  assert(Math.abs(middle - 1_000_000) < 15_000, `${middle}`);
  const later = at(2 * k);
  const curve = 1_000_000 + 0.4 * k ** 3 * 1_000;
  assert(Math.abs(later - curve) < 60_000, `${later} of ${curve}`);
});

Deno.test("Cubic grows no slower than Reno would on short paths", () => {
  const cubic = new Cubic();
  const v = { ...view(20_000, 1), srttUs: 1_000 };
  v.ssthresh = v.cwnd = cubic.reduced(v, v.cwnd);
  const before = v.cwnd;
  for (let i = 0; i < 100; i++) cubic.increase(v, v.cwnd, micros(i * 1_000));
  assert(v.cwnd > before + 40_000, `${v.cwnd}`);
});

Deno.test("initialWindow() is ten segments, but no more than 14,600 bytes of large ones", () => {
  assertEquals([1_000, 1_460, 8_960].map((mss) => initialWindow(mss, 10)), [10_000, 14_600, 17_920]);
  assertEquals(initialWindow(1_000, 3), 3_000);
});

Deno.test("sampleRtt() follows RFC 6298's arithmetic and backedOffRto() doubles up to its bound", () => {
  const { connection: c } = new Script({ rtoMinUs: 1_000, rtoMaxUs: 10_000_000 });
  sampleRtt(c, 100_000, 1, micros(1));
  assertEquals([c.srttUs, c.rttvarUs, c.rtoUs], [100_000, 50_000, 300_000]);
  sampleRtt(c, 180_000, 1, micros(2));
  assertEquals([c.srttUs, c.rttvarUs], [110_000, 57_500]);
  c.backoff = 2;
  assertEquals(backedOffRto(c), 4 * c.rtoUs);
  c.backoff = 40;
  assertEquals(backedOffRto(c), 10_000_000);
});

Deno.test("InitialSequence differs by tuple and secret, and grows by one in 4 µs", () => {
  const script = new Script();
  const isn = new InitialSequence(1, 2);
  const other = new InitialSequence(1, 3);
  const first = isn.next(script.connection, micros(0));
  assertEquals((isn.next(script.connection, micros(4_000)) - first) | 0, 1_000);
  assert(other.next(script.connection, micros(0)) !== first);
});

Deno.test("scaleFor() and roundToSegments() fit windows to their field", () => {
  assertEquals([65_535, 65_536, 1 << 20, 1 << 30, 2 ** 31].map(scaleFor), [0, 1, 5, 14, 14]);
  assertEquals(roundToSegments(65_536, 1_460), 65_700);
});
