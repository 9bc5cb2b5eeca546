/** Packets become records of a capture, each with the process of its flow. */
import type { ProcessOwner } from "../act/command.ts";
import { type Arena, Direction, type Slot } from "../adapter/arena.ts";
import type { Micros } from "../base/micros.ts";
import { Classifier } from "../classify/classifier.ts";
import { NO_FLOW } from "../classify/flow_table.ts";
import { createSniffOptions } from "../classify/sniffer.ts";
import type { Filter } from "../filter/compile.ts";
import type { ProcessLookup } from "../host/process_lookup.ts";
import { createQuicCrypto } from "../host/quic_crypto.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { Fragment, PacketMeta } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";

/** A process as a capture names it. */
export interface RecordProcess {
  readonly path: string;
  readonly name: string;
  readonly pid: number;
  readonly user: string;
  readonly uid: number | undefined;
}

/** What is written with a packet's bytes. */
export interface RecordPacket {
  /** Units: µs since the Unix epoch. */
  readonly timestampUs: number;
  readonly originalLength: number;
  /** 1 inbound, 2 outbound, 0 when it is not known. */
  readonly direction: 0 | 1 | 2;
  readonly process: RecordProcess | undefined;
}

/** Writes a capture. */
export interface RecordWriter {
  addInterface(fields: { readonly name: string; readonly filter: string }): number;
  writePacket(source: Uint8Array, at: number, length: number, fields: RecordPacket): void;
  flush(): void;
}

/** What a recorder is made from. */
export interface RecorderOptions {
  readonly writer: RecordWriter;
  readonly filter: Filter;
  /** Packets after which it is full; 0 never. */
  readonly count: number;
  /** Units: 32 bits. */
  readonly secret: number;
  readonly onFull: () => void;
  /** Units: µs since the Unix epoch. */
  readonly wallClock?: () => number;
}

const MILLISECOND_US = 1000;

/** Looks at packets where they lie; they stay as they are. */
export class Recorder {
  /** Whom flows belong to; undefined as long as no device knows. */
  lookup: ProcessLookup | undefined = undefined;
  readonly #options: RecorderOptions;
  readonly #wallClock: () => number;
  readonly #meta = new PacketMeta();
  readonly #classifier: Classifier;
  /** By flow id. */
  readonly #owners = new Map<number, RecordProcess | undefined>();
  #packets = 0;
  #flows = 0;
  #named = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#wallClock = options.wallClock ?? (() => Date.now() * MILLISECOND_US);
    const names = { wantsSniff: () => false, prefersSniffed: () => false, accepts: () => false };
    this.#classifier = new Classifier(
      { type: "Tun", sniff: createSniffOptions(), crypto: createQuicCrypto(), names, secret: options.secret },
      {
        flowStarted: (_flow, { id, facts }) => {
          const owner = this.lookup?.findProcessNow(facts);
          this.#flows++;
          if (owner !== undefined) this.#named++;
          this.#owners.set(id, owner === undefined ? undefined : processOf(owner));
        },
        flowEnding: (_flow, { id }) => void this.#owners.delete(id),
      },
    );
  }

  /** Writes the packet in a slot, unless the filter leaves it out. */
  see(arena: Arena, slot: Slot, direction: number, now: Micros): void {
    const { filter, writer, count } = this.#options;
    if (count !== 0 && this.#packets >= count) return;
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    const process = this.#processOf(arena, slot, now);
    if (!filter.matchesAt(arena.bytes, at, length, { outbound: direction === Direction.Outbound })) return;
    writer.writePacket(arena.bytes, at, length, {
      timestampUs: this.#wallClock(),
      originalLength: arena.wireLength[slot]!,
      direction: direction === Direction.Outbound ? 2 : direction === Direction.Inbound ? 1 : 0,
      process,
    });
    if (++this.#packets === count) this.#options.onFull();
  }

  #processOf(arena: Arena, slot: Slot, now: Micros): RecordProcess | undefined {
    const classifier = this.#classifier;
    for (let flow = classifier.table.expired(now); flow >= 0; flow = classifier.table.expired(now)) {
      classifier.end(flow);
    }
    const meta = this.#meta;
    if (parse(arena, slot, Verify.None, meta) !== DropReason.None || meta.fragment !== Fragment.Whole) return undefined;
    if (meta.protocol !== tcp.PROTOCOL && meta.protocol !== udp.PROTOCOL) return undefined;
    const known = arena.flow[slot]!;
    const flow = classifier.classify(arena, slot, meta, 1, now);
    // The slot belongs to whoever carries it on.
    arena.flow[slot] = known;
    return flow === NO_FLOW ? undefined : this.#owners.get(classifier.records[flow]!.id);
  }

  /** What was recorded, in one sentence without its end. */
  summary(): string {
    return `recorded ${this.#packets} packets; ${this.#named} of ${this.#flows} flows with their process`;
  }
}

function processOf(owner: ProcessOwner): RecordProcess {
  return { path: owner.path, name: owner.name, pid: owner.processId, user: owner.user, uid: owner.uid };
}
