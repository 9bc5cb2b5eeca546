/**
 * SYN cookies: under a flood the first sequence number carries all that would have to be remembered.
 *
 * Read first: RFC 4987 section 3.6. The layout follows FreeBSD's idea: options in eight bits, a keyed hash over them in the other 24.
 *
 * ```
 *  31                                               8 7     5 4     2 1 0
 * ┌──────────────────────────────────────────────────┬───────┬───────┬─┬─┐
 * │ hash(secret of the epoch, addresses, ports, ISN,  │  MSS  │ scale │S│E│   low 8 bits xor the top 8 bits
 * │      low 8 bits)                                  │       │       │ │ │   S: SACK, E: parity of the epoch
 * └──────────────────────────────────────────────────┴───────┴───────┴─┴─┘
 * ```
 * An ACK with timestamps says that they were agreed on; our clock for the connection goes on from the value that it echoes. Its lowest bit says
 * that ECN was agreed on as well: a peer that makes it up deceives only itself.
 */
import { SYN_COOKIE_EPOCH_US } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { ACKNOWLEDGMENT, DESTINATION, type PacketMeta, SEQUENCE, SOURCE } from "../parse/packet_meta.ts";
import { seqAdd } from "../wire/seq.ts";
import * as tcp from "../wire/tcp.ts";
import { HalfSipHash } from "./half_sip_hash.ts";
import type { SynFacts } from "./tcp/syn_facts.ts";

/** Each peer MSS is rounded down to one of these. Units: bytes. */
const MSS_OF: readonly number[] = [216, 536, 1200, 1360, 1420, 1440, 1460, 8940];
/** Each peer shift is rounded down to one of these; −1 is none. A smaller shift only understates the peer's window. */
const SCALE_OF: readonly number[] = [-1, 0, 1, 2, 4, 6, 7, 8];

/** What a SYN without the option means. Units: bytes. Source: RFC 9293 section 3.7.1. */
const MSS_DEFAULT = 536;

/** Units: bytes. Source: RFC 7323 section 3.2. */
const TIMESTAMPS_BYTES = 10;

function indexBelow(table: readonly number[], value: number): number {
  let index = table.length - 1;
  while (index > 0 && table[index]! > value) index--;
  return index;
}

/** Makes cookies and knows them again. */
export class SynCookies {
  readonly #uint32: () => number;
  readonly #hash = new HalfSipHash(0, 0);
  /** Shape: a key of two words for even epochs, one for odd ones. */
  readonly #keys = new Int32Array(4);
  /** Shape: epoch of each key. */
  readonly #epochs = new Float64Array([-1, -1]);

  constructor(uint32: () => number) {
    this.#uint32 = uint32;
  }

  /** The first sequence number for the SYN of `meta`, which said `facts`. */
  make(meta: PacketMeta, facts: SynFacts, now: Micros): number {
    const epoch = Math.floor(now / SYN_COOKIE_EPOCH_US);
    const parity = epoch & 1;
    if (this.#epochs[parity] !== epoch) {
      this.#epochs[parity] = epoch;
      this.#keys[parity * 2] = this.#uint32();
      this.#keys[parity * 2 + 1] = this.#uint32();
    }
    const low = (indexBelow(MSS_OF, facts.mss === 0 ? MSS_DEFAULT : facts.mss) << 5) |
      (indexBelow(SCALE_OF, facts.windowScale) << 2) |
      (facts.sack ? 2 : 0) | parity;
    const high = this.#mac(meta, meta.words[SEQUENCE]!, low) & ~0xff;
    return (high | (low ^ (high >>> 24))) >>> 0;
  }

  /** True when the ACK of `meta` answers a cookie of this epoch or the one before; then `facts` holds what its SYN said. */
  check(view: DataView, meta: PacketMeta, facts: SynFacts, now: Micros): boolean {
    const cookie = seqAdd(meta.words[ACKNOWLEDGMENT]!, -1);
    const low = (cookie ^ (cookie >>> 24)) & 0xff;
    const epoch = Math.floor(now / SYN_COOKIE_EPOCH_US);
    const made = this.#epochs[low & 1]!;
    if (made < 0 || made < epoch - 1) return false;
    const mac = this.#mac(meta, seqAdd(meta.words[SEQUENCE]!, -1), low);
    if (((mac ^ cookie) & ~0xff) !== 0) return false;
    facts.irs = seqAdd(meta.words[SEQUENCE]!, -1) | 0;
    facts.window = tcp.window(view, meta.transportAt);
    facts.mss = MSS_OF[low >>> 5]!;
    facts.windowScale = SCALE_OF[(low >>> 2) & 7]!;
    facts.sack = (low & 2) !== 0;
    const timestampsAt = tcp.findOption(view, meta.transportAt, tcp.OPTION_TIMESTAMPS);
    facts.timestamps = timestampsAt >= 0 && view.getUint8(timestampsAt + 1) === TIMESTAMPS_BYTES;
    facts.timestamp = facts.timestamps ? view.getInt32(timestampsAt + 2) : 0;
    facts.ecn = facts.timestamps && (view.getUint8(timestampsAt + 9) & 1) === 1;
    return true;
  }

  /** True when a cookie may still be on its way, so that an ACK is worth checking. */
  isActive(now: Micros): boolean {
    const epoch = Math.floor(now / SYN_COOKIE_EPOCH_US);
    return Math.max(this.#epochs[0]!, this.#epochs[1]!) >= Math.max(0, epoch - 1);
  }

  #mac(meta: PacketMeta, clientSequence: number, low: number): number {
    const hash = this.#hash;
    const words = meta.words;
    hash.setKey(this.#keys[(low & 1) * 2]!, this.#keys[(low & 1) * 2 + 1]!);
    hash.start();
    if (meta.version === 6) {
      for (let word = 0; word < 3; word++) {
        hash.add(words[SOURCE + word]!);
        hash.add(words[DESTINATION + word]!);
      }
    }
    hash.add(words[SOURCE + 3]!);
    hash.add(words[DESTINATION + 3]!);
    hash.add((meta.sourcePort << 16) | meta.destinationPort);
    hash.add(clientSequence);
    hash.add(low);
    return hash.finish();
  }
}
