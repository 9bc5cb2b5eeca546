/**
 * The round-trip time and the retransmission timeout.
 *
 * Read first: RFC 6298 sections 2 and 5, RFC 7323 appendix G (many samples in a round trip).
 */
import { type Micros, NEVER, SECOND_US } from "../../base/micros.ts";
import type { Tcb } from "./tcb.ts";

/** A minimum is forgotten after this. Units: µs. Source: RFC 8985 section 6.1 (a window of minutes). */
const MIN_RTT_WINDOW_US = 300 * SECOND_US;

/** Takes a sample. Units: µs. */
export function sampleRtt(c: Tcb, sampleUs: number, flightBytes: number, now: Micros): void {
  const rtt = sampleUs > 1 ? sampleUs : 1;
  if (c.minRttAt === NEVER || rtt <= c.minRttUs || now - c.minRttAt > MIN_RTT_WINDOW_US) {
    c.minRttUs = rtt;
    c.minRttAt = now;
  }
  if (c.srttUs === 0) {
    c.srttUs = rtt;
    c.rttvarUs = rtt / 2;
  } else {
    const expected = Math.ceil(flightBytes / (2 * c.sendMss));
    const samples = expected > 1 ? expected : 1;
    const error = rtt - c.srttUs;
    c.rttvarUs += ((error < 0 ? -error : error) - c.rttvarUs) / (4 * samples);
    c.srttUs += error / (8 * samples);
  }
  updateRto(c);
}

/** The timeout that follows from the estimates, without back-off. The variance term never falls below the minimum, as in Linux. */
function updateRto(c: Tcb): void {
  const spread = 4 * c.rttvarUs;
  const floor = c.options.rtoMinUs;
  const rto = Math.round(c.srttUs + (spread > floor ? spread : floor));
  c.rtoUs = rto < c.options.rtoMaxUs ? rto : c.options.rtoMaxUs;
}

/** The timeout with its back-off. Units: µs. Source: RFC 6298 section 5.5. */
export function backedOffRto(c: Tcb): number {
  const shift = c.backoff < 16 ? c.backoff : 16;
  const rto = c.rtoUs * (1 << shift);
  return rto < c.options.rtoMaxUs ? rto : c.options.rtoMaxUs;
}
