/**
 * The ways in which a connection ends, and how it says so.
 *
 * Read first: RFC 9293 sections 3.5.2 (reset), 3.6 (closing), 3.10.7.4 (TIME-WAIT).
 */
import { type Micros, NEVER } from "../../base/micros.ts";
import { mayAnswerBlind } from "./blind_answer.ts";
import { emitReset } from "./emit.ts";
import { LossTimer, type Tcb } from "./tcb.ts";
import { TcpError, TcpEvent, TcpState } from "./tcp_state.ts";

/** Sets event bits, and tells the host when one of them is new. */
export function raise(c: Tcb, bits: number): void {
  const before = c.events;
  c.events = before | bits;
  if (c.events !== before) c.host.eventsChanged(c);
}

function stopTimers(c: Tcb): void {
  c.lossTimer = LossTimer.None;
  c.lossAt = NEVER;
  c.ackAt = NEVER;
  c.idleAt = NEVER;
  c.ackNow = false;
  c.challengeNow = false;
}

/** Drops what was to be sent; what was received stays readable. */
function releaseSending(c: Tcb): void {
  c.sendRing.release();
  c.scoreboard.clear();
  c.reassembly.clear();
  if (c.receiveRing.length === 0 || c.isOrphan) c.receiveRing.release();
}

/** CLOSED, for good. */
export function finish(c: Tcb, error: TcpError, now: Micros): void {
  if (c.state === TcpState.Closed) return;
  c.state = TcpState.Closed;
  if (c.error === TcpError.None) c.error = error;
  stopTimers(c);
  releaseSending(c);
  raise(c, TcpEvent.Closed | (error !== TcpError.None ? TcpEvent.Failed : 0));
  c.host.closed(c, now);
}

/** A reset from the peer, or a failure that makes the rest of the data worthless: nothing stays readable. */
export function fail(c: Tcb, error: TcpError, now: Micros): void {
  c.receiveRing.release();
  finish(c, error, now);
}

/** Ends the connection with a reset, in the states in which the peer knows of it. */
export function abortWith(c: Tcb, error: TcpError, now: Micros): void {
  const isProven = c.state >= TcpState.Established && c.state !== TcpState.TimeWait;
  if (isProven || (c.state === TcpState.SynReceived && mayAnswerBlind(c))) emitReset(c, c.sndNxt, true, now);
  fail(c, error, now);
}

/** TIME-WAIT: nothing is left but to answer what comes late. Source: RFC 9293 section 3.6. */
export function enterTimeWait(c: Tcb, now: Micros): void {
  c.state = TcpState.TimeWait;
  c.lossTimer = LossTimer.None;
  c.lossAt = NEVER;
  c.idleAt = (now + c.options.timeWaitUs) as Micros;
  releaseSending(c);
  raise(c, TcpEvent.Closed);
  c.host.timeWait(c, now);
}
