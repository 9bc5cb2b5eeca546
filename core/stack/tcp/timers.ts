/**
 * When something has to happen although nothing arrives.
 *
 * Read first: RFC 6298 section 5, RFC 8985 sections 6.3 and 7.3, RFC 9293 sections 3.8.3 (retries), 3.8.4 (keep-alive) and 3.8.6.1 (probing
 * a closed window), RFC 5482 (user timeout).
 */
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff } from "../../wire/seq.ts";
import { tailProbeAt } from "./rack.ts";
import { backedOffRto } from "./rto.ts";
import { unsentBytes } from "./send.ts";
import { LossTimer, type Tcb } from "./tcb.ts";
import { TcpState } from "./tcp_state.ts";

/** Waits for segments that may only have been overtaken. Source: RFC 8985 section 6.2 step 5. */
export function setReorderTimer(c: Tcb, waitUs: number, now: Micros): void {
  c.lossTimer = LossTimer.Reorder;
  c.lossAt = (now + waitUs) as Micros;
}

/** Lets another timer of sent data take its place. */
export function clearReorderTimer(c: Tcb): void {
  if (c.lossTimer === LossTimer.Reorder) c.lossTimer = LossTimer.None;
}

/** True when data waits behind a window that does not let it out, and nothing is in flight that would bring news. */
function isWindowClosed(c: Tcb): boolean {
  return c.scoreboard.count === 0 && unsentBytes(c) > 0;
}

/** Sets the timer of sent data to what the connection needs now. Called after everything that sends or acknowledges. */
export function armLossTimer(c: Tcb, now: Micros): void {
  if (c.state === TcpState.SynSent || c.state === TcpState.SynReceived) return;
  if (c.scoreboard.count === 0) {
    armPersist(c, now);
    return;
  }
  const base = c.rtoBaseAt === NEVER ? now : c.rtoBaseAt;
  const rtoAt = (base + limitToUserTimeout(c, backedOffRto(c), base)) as Micros;
  if (c.lossTimer === LossTimer.Reorder && c.lossAt <= rtoAt) return;
  const probeAt = tailProbeAt(c, rtoAt, c.lastSentAt === NEVER || c.lastSentAt < base ? base : c.lastSentAt);
  if (probeAt !== NEVER) {
    c.lossTimer = LossTimer.TailProbe;
    c.lossAt = probeAt;
    return;
  }
  c.lossTimer = LossTimer.Retransmit;
  c.lossAt = rtoAt;
}

function armPersist(c: Tcb, now: Micros): void {
  if (!isWindowClosed(c) || c.state < TcpState.Established) {
    c.lossTimer = LossTimer.None;
    c.lossAt = NEVER;
    c.rtoBaseAt = NEVER;
    return;
  }
  if (c.lossTimer === LossTimer.Persist) return;
  c.backoff = 0;
  c.lossTimer = LossTimer.Persist;
  c.rtoBaseAt = now;
  c.lossAt = (now + limitToUserTimeout(c, backedOffRto(c), now)) as Micros;
}

/** Restarts the probe of a closed window with its back-off. */
export function rearmPersist(c: Tcb, now: Micros): void {
  c.lossTimer = LossTimer.Persist;
  c.lossAt = (now + limitToUserTimeout(c, backedOffRto(c), now)) as Micros;
}

/** A timeout never sleeps past the moment at which the user gives up. */
function limitToUserTimeout(c: Tcb, waitUs: number, from: Micros): number {
  if (c.options.userTimeoutUs === 0 || c.unackedSince === NEVER) return waitUs;
  const left = c.unackedSince + c.options.userTimeoutUs - from;
  return left > 0 && left < waitUs ? left : waitUs;
}

/** True when data has waited for its acknowledgment for longer than the user allows. Source: RFC 5482 section 3. */
export function isUserTimeoutOver(c: Tcb, now: Micros): boolean {
  return c.options.userTimeoutUs > 0 && c.unackedSince !== NEVER && now - c.unackedSince >= c.options.userTimeoutUs;
}

/** Starts the timer of a SYN or SYN-ACK. */
export function armSynTimer(c: Tcb, now: Micros): void {
  c.lossTimer = LossTimer.Retransmit;
  c.rtoBaseAt = now;
  const wait = backedOffRto(c) + (c.backoff > 0 ? c.options.synBackoffSlopUs : 0);
  c.lossAt = (now + limitToUserTimeout(c, wait, now)) as Micros;
}

/** Sets keep-alive, FIN-WAIT-2 or nothing, as the state wants it. */
export function armIdleTimer(c: Tcb, now: Micros): void {
  if (c.state === TcpState.TimeWait) return;
  if (c.state === TcpState.FinWait2 && c.isOrphan) {
    c.idleAt = (now + c.options.finWait2Us) as Micros;
    return;
  }
  const isOpen = c.state === TcpState.Established || c.state === TcpState.CloseWait || c.state === TcpState.FinWait2;
  c.idleAt = (isOpen && c.options.keepAliveUs > 0 ? now + c.options.keepAliveUs : NEVER) as Micros;
}

/** Units: bytes of sequence space sent and not acknowledged. */
export function flightBytes(c: Tcb): number {
  return seqDiff(c.sndNxt, c.sndUna);
}

/** The earliest of the connection's timers. */
export function earliest(c: Tcb): Micros {
  let at = c.lossAt;
  if (c.ackAt < at) at = c.ackAt;
  if (c.idleAt < at) at = c.idleAt;
  return at;
}
