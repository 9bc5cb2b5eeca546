/**
 * One TCP connection: bytes in and out for the application, segments and timers for the stack. It reads no clock and owns no timer: every call
 * is given `now`, and `deadline` says when `timer()` wants to be called.
 *
 * Read first: RFC 9293 sections 3.3.2 (states) and 3.9.1 (user calls).
 */
import { PATH_MTU_AGE_US, PATH_MTU_V4_MIN, PATH_MTU_V6_MIN } from "../../base/limits.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import type { PacketMeta } from "../../parse/packet_meta.ts";
import { SEQUENCE } from "../../parse/packet_meta.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import * as ipv4 from "../../wire/ipv4.ts";
import * as ipv6 from "../../wire/ipv6.ts";
import * as tcp from "../../wire/tcp.ts";
import { abortWith, fail, finish } from "./ending.ts";
import { openActive, openPassive, updateMss } from "./handshake.ts";
import { IncomingSegment } from "./incoming_segment.ts";
import type { TcpInfo } from "./info.ts";
import { timestampNow } from "./outgoing_options.ts";
import { segmentArrives } from "./receive.ts";
import { backedOffRto } from "./rto.ts";
import { transmit, unsentBytes } from "./send.ts";
import type { SynFacts } from "./syn_facts.ts";
import { isSynchronized, Recovery, Tcb } from "./tcb.ts";
import { IcmpKind, TcpError, TcpState } from "./tcp_state.ts";
import { armIdleTimer, armLossTimer, earliest } from "./timers.ts";
import { runTimers } from "./timer_events.ts";
import { acceptWindow, isUpdateDue, tuneReceiveBuffer } from "./window.ts";

export { TcpError, TcpEvent, TcpState } from "./tcp_state.ts";

const SCRATCH = new IncomingSegment();

/** A connection, made by the stack. Create it, then open it one way or the other. */
export class TcpConnection extends Tcb {
  // ── opening: called by the stack ──

  /** Sends a SYN. */
  openActive(now: Micros): void {
    openActive(this, now);
    this.#settle(now);
  }

  /** Answers a SYN that was accepted. */
  openPassive(syn: SynFacts, now: Micros): void {
    openPassive(this, syn, false, 0, now);
    this.#settle(now);
  }

  /** Takes up a connection whose SYN-ACK was a cookie with the sequence number `iss`; the ACK that proved it goes to `segment()` next. */
  openCookie(syn: SynFacts, iss: number, now: Micros): void {
    openPassive(this, syn, true, iss, now);
    this.#settle(now);
  }

  // ── packets and time: called by the stack ──

  /**
   * A segment of this connection. `view` is the view of the arena that `SegmentOutput.bytes` belongs to; `ecn`: the two bits of the IP header;
   * `pieceBytes`: payload of the segments that the device joined to this one, 0 when it joined none.
   */
  segment(view: DataView, meta: PacketMeta, ecn: number, pieceBytes: number, now: Micros): void {
    segmentArrives(this, view, meta, ecn, pieceBytes, now);
    transmit(this, now);
    this.#settle(now);
  }

  /** `deadline` has come; called too early it does nothing. */
  timer(now: Micros): void {
    runTimers(this, now);
    transmit(this, now);
    this.#settle(now);
  }

  /**
   * An ICMP error that quotes a segment of ours which began at `quotedSequence`. `mtu` is what it says of the path, 0 when nothing.
   * Source: RFC 5927 sections 4.1 and 7.2: one that quotes nothing in flight is not believed.
   */
  icmpError(kind: IcmpKind, mtu: number, quotedSequence: number, now: Micros): void {
    const state = this.state;
    if (state === TcpState.Closed || state === TcpState.TimeWait) return;
    const seq = quotedSequence | 0;
    if (seqLess(seq, this.sndUna) || !seqLess(seq, this.sndNxt)) return;
    if (kind === IcmpKind.TooBig) this.#lowerMtu(mtu, now);
    else if (kind === IcmpKind.Hard && this.#mayIcmpEnd) fail(this, TcpError.Refused, now);
    else if (kind === IcmpKind.Unreached && this.#mayIcmpEnd) fail(this, TcpError.Unreachable, now);
    else this.softError = TcpError.Unreachable;
    this.#settle(now);
  }

  /** True when a SYN may take the place of this connection, which is in TIME-WAIT. Source: RFC 9293 section 3.6.1, RFC 6191 section 2. */
  isReusedBy(view: DataView, meta: PacketMeta, now: Micros): boolean {
    if (this.state !== TcpState.TimeWait) return false;
    if ((meta.flags & (tcp.SYN | tcp.ACK | tcp.RST)) !== tcp.SYN) return false;
    SCRATCH.read(view, meta, 0);
    if (this.timestamps && SCRATCH.hasTimestamps && this.tsRecentAt <= now) {
      if (seqLess(this.tsRecent, SCRATCH.tsVal)) return true;
    }
    return seqLess(this.rcvNxt, meta.words[SEQUENCE]! | 0);
  }

  // ── the application's side ──

  /**
   * Queues bytes for sending, as far as there is room; returns how many, −1 when nothing can be sent any more. After less than `length`
   * the event `Writable` tells when there is room.
   */
  send(bytes: Uint8Array, from: number, length: number, now: Micros): number {
    const state = this.state;
    if (this.finQueued || state === TcpState.Closed || state > TcpState.CloseWait) return -1;
    if (state === TcpState.FinWait1 || state === TcpState.FinWait2) return -1;
    this.#tuneSendBuffer();
    const room = this.sendLimit - this.sendRing.length;
    const count = length < room ? length : room > 0 ? room : 0;
    if (count < length) this.wantsRoom = true;
    if (count === 0) return 0;
    if (this.unackedSince === NEVER) this.unackedSince = now;
    this.sendRing.write(bytes, from, count);
    if (state >= TcpState.Established) {
      transmit(this, now);
      this.#settle(now);
    }
    return count;
  }

  /** Takes received bytes; returns how many, 0 when there are none now. */
  receive(into: Uint8Array, at: number, length: number, now: Micros): number {
    const count = this.receiveRing.read(into, at, length);
    if (count === 0) return 0;
    if (this.receiveRing.length === 0 && this.reassembly.count === 0) this.receiveRing.release();
    if (!isSynchronized(this.state) || this.finReceived) return count;
    tuneReceiveBuffer(this, count, now);
    if (isUpdateDue(this)) {
      this.ackNow = true;
      transmit(this, now);
      this.#settle(now);
    }
    return count;
  }

  /** Copies received bytes that begin `offset` after the first, without taking them; returns how many. */
  peek(offset: number, into: Uint8Array, at: number, length: number): number {
    const there = this.receiveRing.length - offset;
    const count = length < there ? length : there > 0 ? there : 0;
    if (count > 0) this.receiveRing.peek(offset, into, at, count);
    return count;
  }

  /** Bytes that `receive()` would give. */
  get readableBytes(): number {
    return this.receiveRing.length;
  }

  /** Bytes that `send()` would take. */
  get writableBytes(): number {
    const state = this.state;
    const isOpen = state >= TcpState.SynSent && state <= TcpState.Established || state === TcpState.CloseWait;
    if (!isOpen || this.finQueued) return 0;
    const room = this.sendLimit - this.sendRing.length;
    return room > 0 ? room : 0;
  }

  /** Bytes that were sent or wait to be sent, and are not acknowledged. */
  get unackedBytes(): number {
    return this.sendRing.length;
  }

  /** True when the peer's FIN was reached and everything before it was read; never once `error` is set, as bytes may be lost then. */
  get isPeerClosed(): boolean {
    return this.finReceived && this.error === TcpError.None && this.receiveRing.length === 0;
  }

  /** Sends a FIN behind what is queued. Reading goes on. */
  shutdownSend(now: Micros): void {
    const state = this.state;
    if (this.finQueued || state === TcpState.Closed) return;
    if (state === TcpState.SynSent && this.isOrphan && this.sendRing.length === 0) {
      finish(this, TcpError.None, now);
      return;
    }
    this.finQueued = true;
    if (state === TcpState.Established) this.state = TcpState.FinWait1;
    else if (state === TcpState.CloseWait) this.state = TcpState.LastAck;
    transmit(this, now);
    this.#settle(now);
  }

  /** The application is done: a FIN when everything was read, a reset when not. Source: RFC 9293 section 3.6.1. */
  close(now: Micros): void {
    if (this.isOrphan) return;
    this.isOrphan = true;
    if (this.receiveRing.length > 0 && isSynchronized(this.state)) {
      abortWith(this, TcpError.Aborted, now);
      this.#settle(now);
      return;
    }
    this.receiveRing.release();
    this.shutdownSend(now);
    armIdleTimer(this, now);
    this.#settle(now);
  }

  /** Ends it at once with a reset; what is queued is lost. */
  abort(now: Micros): void {
    this.isOrphan = true;
    abortWith(this, TcpError.Aborted, now);
    this.#settle(now);
  }

  /** The events since the last call, as `TcpEvent` bits. */
  takeEvents(): number {
    const events = this.events;
    this.events = 0;
    return events;
  }

  /** Switches Nagle's algorithm; switching it off sends what it held. */
  setNagle(isOn: boolean, now: Micros): void {
    this.options.nagle = isOn;
    transmit(this, now);
    this.#settle(now);
  }

  /** Takes a change of `options.keepAliveUs` or `options.userTimeoutUs` into account. */
  optionsChanged(now: Micros): void {
    armIdleTimer(this, now);
    this.#settle(now);
  }

  /** Memory that this connection holds in rings and tables. Units: bytes. */
  get memoryBytes(): number {
    return this.sendRing.capacity + this.receiveRing.capacity + this.scoreboard.memoryBytes +
      this.reassembly.memoryBytes;
  }

  /** Fills `out` with what the connection knows about itself. */
  info(out: TcpInfo): void {
    const board = this.scoreboard;
    out.state = this.state;
    out.inRecovery = this.recovery === Recovery.Fast;
    out.inLoss = this.recovery === Recovery.Loss;
    out.congestionState = this.recovery === Recovery.Open ? (board.sackedBytes > 0 ? 1 : 0) : this.recovery + 1;
    out.backoff = this.backoff;
    out.timestamps = this.timestamps;
    out.sack = this.sack;
    out.windowScale = this.windowScale;
    out.ecn = this.ecn;
    out.sendScale = this.sendScale;
    out.receiveScale = this.receiveScale;
    out.rtoUs = backedOffRto(this);
    out.sendMss = this.sendMss;
    out.receiveMss = this.largestPiece > 0 ? this.largestPiece : this.receiveMss;
    out.smoothedRttUs = Math.round(this.srttUs);
    out.rttVarianceUs = Math.round(this.rttvarUs);
    out.minRttUs = this.minRttUs;
    out.congestionWindowBytes = this.cwnd;
    out.slowStartThresholdBytes = this.ssthresh;
    out.sendWindowBytes = this.sndWnd;
    out.receiveWindowBytes = acceptWindow(this);
    out.unackedBytes = seqDiff(this.sndNxt, this.sndUna);
    out.unackedSegments = board.count;
    out.sackedSegments = board.sackedCount;
    out.lostSegments = board.lostCount;
    out.notSentBytes = isSynchronized(this.state) ? unsentBytes(this) : this.sendRing.length;
    out.retransmits = this.retransmits;
    out.duplicateSegmentsReceived = this.duplicatesIn;
    out.bytesSent = this.bytesOut;
    out.bytesAcked = this.bytesAcked;
    out.bytesReceived = this.bytesIn;
    out.bytesRetransmitted = this.bytesResent;
    out.segmentsIn = this.segmentsIn;
    out.segmentsOut = this.segmentsOut;
    out.dataSegmentsIn = this.dataSegmentsIn;
    out.dataSegmentsOut = this.dataSegmentsOut;
    out.reordering = this.reordering;
    out.sendBufferBytes = this.sendLimit;
    out.receiveBufferBytes = this.receiveLimit;
  }

  /** Our timestamp clock, as scripts and tests compare it. */
  timestampAt(now: Micros): number {
    return timestampNow(this, now) >>> 0;
  }

  get #mayIcmpEnd(): boolean {
    return this.options.icmpEndsOpening && !isSynchronized(this.state);
  }

  /**
   * A router cannot pass on what we send: send smaller segments, the lost one first. Below a floor we do not go: there routers may cut our
   * packets instead. Source: RFC 1191 section 6.3, RFC 8201 section 5.2; the floor is Linux' min_pmtu.
   */
  #lowerMtu(mtu: number, now: Micros): void {
    const floor = this.version === 4 ? PATH_MTU_V4_MIN : PATH_MTU_V6_MIN;
    const known = this.pathMtu === 0 ? 0xffff : this.pathMtu;
    const isBelow = this.version === 4 && mtu < floor && mtu < known && !this.mayFragment;
    const next = mtu >= floor ? mtu : floor;
    if (next >= known && !isBelow) return;
    this.pathMtuUntil = (now + PATH_MTU_AGE_US) as Micros;
    if (isBelow) this.mayFragment = true;
    if (next < known) this.pathMtu = next;
    const before = this.sendMss;
    updateMss(this);
    if ((this.sendMss >= before && !isBelow) || !isSynchronized(this.state)) return;
    const headers = tcp.HEADER_BYTES + (this.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
    const most = isBelow ? mtu - headers - (this.timestamps ? 12 : 0) : this.sendMss;
    const board = this.scoreboard;
    for (let i = 0; i < board.count; i++) {
      if (seqDiff(board.end(i), board.start(i)) > most && seqLessOrEqual(this.sndUna, board.start(i))) {
        board.markLost(i);
      }
    }
    if (this.cwnd < this.sendMss) this.cwnd = this.sendMss;
    transmit(this, now);
  }

  /** Twice the congestion window keeps the network busy while the application refills. */
  #tuneSendBuffer(): void {
    const most = this.options.sendBufferBytesMax;
    if (this.sendLimit >= most || this.cwnd * 2 <= this.sendLimit) return;
    const wanted = this.cwnd * 2;
    this.sendLimit = wanted < most ? wanted : most;
  }

  /** Brings timers and `deadline` up to date after whatever happened. */
  #settle(now: Micros): void {
    if (this.state === TcpState.Closed) {
      this.deadline = NEVER;
      return;
    }
    if (isSynchronized(this.state) && this.state !== TcpState.TimeWait) armLossTimer(this, now);
    const next = earliest(this);
    if (next === this.deadline) return;
    this.deadline = next;
    this.host.deadlineChanged(this);
  }
}
