/**
 * HyStart++: the first slow start ends when round trips grow, before queues overflow.
 *
 * Read first: RFC 9406 sections 4.2 and 4.3.
 */
import { seqLess } from "../../wire/seq.ts";
import type { Tcb } from "./tcb.ts";

/** Source: RFC 9406 section 4.3. Units: µs, samples, rounds. */
const THRESHOLD_US_MIN = 4_000;
const THRESHOLD_US_MAX = 16_000;
const DIVISOR = 8;
const SAMPLES = 8;
const GROWTH_DIVISOR = 4;
const ROUNDS = 5;

/** True while the first slow start lasts: later ones know a threshold. */
function isFirstSlowStart(c: Tcb): boolean {
  return c.options.hystart && c.ssthresh === 0x7fff_ffff;
}

/** Takes a round-trip sample. Units: µs. */
export function noteHystartRtt(c: Tcb, rttUs: number): void {
  if (!isFirstSlowStart(c)) return;
  if (c.hystartSamples++ === 0 || rttUs < c.hystartMinUs) c.hystartMinUs = rttUs;
}

/** What is left of `ackedBytes` for slow start to grow by. */
export function hystartGrowth(c: Tcb, ackedBytes: number): number {
  if (!isFirstSlowStart(c)) return ackedBytes;
  judge(c);
  if (!seqLess(c.sndUna, c.hystartEnd)) endRound(c);
  return c.cssRounds >= 0 ? Math.ceil(ackedBytes / GROWTH_DIVISOR) : ackedBytes;
}

function judge(c: Tcb): void {
  if (c.hystartSamples < SAMPLES) return;
  if (c.cssRounds >= 0) {
    // The round trip fell back below where it was: the growth was noise.
    if (c.hystartMinUs < c.cssBaselineUs) c.cssRounds = -1;
    return;
  }
  if (c.hystartLastMinUs === 0) return;
  const share = c.hystartLastMinUs / DIVISOR;
  const threshold = share < THRESHOLD_US_MIN ? THRESHOLD_US_MIN : share > THRESHOLD_US_MAX ? THRESHOLD_US_MAX : share;
  if (c.hystartMinUs < c.hystartLastMinUs + threshold) return;
  c.cssBaselineUs = c.hystartMinUs;
  c.cssRounds = 0;
}

function endRound(c: Tcb): void {
  c.hystartEnd = c.sndNxt;
  c.hystartLastMinUs = c.hystartSamples > 0 ? c.hystartMinUs : c.hystartLastMinUs;
  c.hystartSamples = 0;
  if (c.cssRounds < 0 || ++c.cssRounds < ROUNDS) return;
  c.ssthresh = c.cwnd;
  c.cssRounds = -1;
}
