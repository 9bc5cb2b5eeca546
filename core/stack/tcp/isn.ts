/**
 * First sequence numbers: they grow with time, and nobody without the secret can tell those of others.
 *
 * Read first: RFC 6528 section 3: ISN = M + F(local address, local port, remote address, remote port, secret). F is HalfSipHash-2-4.
 */
import type { Micros } from "../../base/micros.ts";
import { HalfSipHash } from "../half_sip_hash.ts";
import type { ConnectionIdentity } from "./segment_output.ts";

/** M moves once in this many µs. Source: RFC 9293 section 3.4.1. */
const CLOCK_US = 4;

/** Makes first sequence numbers. */
export class InitialSequence {
  readonly #hash: HalfSipHash;

  constructor(secret0: number, secret1: number) {
    this.#hash = new HalfSipHash(secret0, secret1);
  }

  /** The first sequence number of a connection that opens now. Units: a signed 32-bit number. */
  next(connection: ConnectionIdentity, now: Micros): number {
    const hash = this.#hash;
    hash.start();
    for (let word = 0; word < 4; word++) {
      hash.add(connection.localAddress[word]!);
      hash.add(connection.remoteAddress[word]!);
    }
    hash.add((connection.localPort << 16) | connection.remotePort);
    return (hash.finish() + Math.floor(now / CLOCK_US)) | 0;
  }
}
