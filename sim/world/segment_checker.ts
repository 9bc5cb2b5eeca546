/**
 * Watches what goes in and out of one host and knows what a TCP sender may never do, whoever wrote it.
 *
 * Read first: RFC 9293 sections 3.4 (sequence numbers), 3.8.6 (windows) and 3.2 (options), RFC 7323 sections 2.3 and 3.2, RFC 2018
 * section 3, RFC 2883 section 4, RFC 6691.
 */
import type { Arena, Slot } from "../../core/adapter/arena.ts";
import { ACKNOWLEDGMENT, DESTINATION, type PacketMeta, SEQUENCE, SOURCE } from "../../core/parse/packet_meta.ts";
import { seqAdd, seqDiff, seqLess } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { type InvariantName, Violation } from "./violation.ts";

/** Segments without an MSS option mean these. Source: RFC 9293 section 3.7.1. */
const DEFAULT_MSS_V4 = 536;
const DEFAULT_MSS_V6 = 1_220;
/** Below this an announced MSS need not be believed. Source: Linux `tcp_min_snd_mss`. */
const LEAST_MSS = 48;
const OPTION_BYTES_MAX = 40;

/** What a SYN said about its sender. */
interface SynFacts {
  readonly sequence: number;
  readonly mss: number;
  /** −1 without the option. */
  readonly scale: number;
  readonly sack: boolean;
  readonly timestamps: boolean;
}

/** What one side of a connection has sent so far. */
interface Side {
  syn: SynFacts | undefined;
  /** One more than the highest sequence number that took part, SYN and FIN included. */
  end: number;
  /** One more than the FIN's sequence number. */
  finEnd: number | undefined;
  /** The highest acknowledgment. */
  ack: number | undefined;
  /** The furthest right edge of the window offered. */
  edge: number | undefined;
  timestamp: number | undefined;
}

interface Flow {
  readonly local: Side;
  readonly remote: Side;
}

function createSide(): Side {
  return { syn: undefined, end: 0, finEnd: undefined, ack: undefined, edge: undefined, timestamp: undefined };
}

function seqMax(a: number | undefined, b: number): number {
  return a === undefined || seqLess(a, b) ? b : a;
}

/** The packets of one host, both ways, all its connections. */
export class SegmentChecker {
  readonly #host: string;
  readonly #flows = new Map<string, Flow>();

  constructor(host: string) {
    this.#host = host;
  }

  /** A sound packet came in. */
  received(arena: Arena, _slot: Slot, meta: PacketMeta): void {
    if (meta.protocol !== tcp.PROTOCOL || meta.fragment !== 0 || (meta.flags & tcp.RST) !== 0) return;
    const flow = this.#flow(meta, SOURCE, meta.destinationPort, meta.sourcePort);
    this.#note(flow.remote, flow.local, arena.view, meta);
  }

  /** A packet leaves. Errors: `Violation` when it should not. */
  sent(arena: Arena, _slot: Slot, meta: PacketMeta): void {
    if (meta.protocol !== tcp.PROTOCOL || meta.fragment !== 0 || (meta.flags & tcp.RST) !== 0) return;
    const flow = this.#flow(meta, DESTINATION, meta.sourcePort, meta.destinationPort);
    const { local, remote } = flow;
    const syn = (meta.flags & tcp.SYN) !== 0;
    // A new life of the same ports, or a cookie that changed: what was known is of another connection.
    if (syn && local.syn?.sequence !== meta.words[SEQUENCE]!) {
      Object.assign(local, createSide());
      if ((meta.flags & tcp.ACK) === 0) Object.assign(remote, createSide());
    }
    if (!syn && local.syn !== undefined && remote.syn !== undefined) this.#judge(flow, arena.view, meta);
    this.#note(local, remote, arena.view, meta);
  }

  #flow(meta: PacketMeta, remoteAt: number, localPort: number, remotePort: number): Flow {
    const words = meta.words;
    // The hosts of a world differ in the last words of their addresses.
    const key = `${meta.version} ${words[remoteAt + 3]} ${localPort} ${remotePort}`;
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = { local: createSide(), remote: createSide() };
      this.#flows.set(key, flow);
    }
    return flow;
  }

  #fail(invariant: InvariantName, meta: PacketMeta, message: string): never {
    const where = `${this.#host} ${meta.sourcePort} > ${meta.destinationPort}`;
    throw new Violation(invariant, `${where}: ${message}`);
  }

  /** Takes in what a segment says, from whichever side. */
  #note(side: Side, other: Side, view: DataView, meta: PacketMeta): void {
    const sequence = meta.words[SEQUENCE]!;
    const syn = (meta.flags & tcp.SYN) !== 0;
    if (syn && side.syn?.sequence !== sequence) {
      Object.assign(side, createSide());
      side.syn = synFacts(view, meta);
      side.end = seqAdd(sequence, 1);
    }
    if (side.syn === undefined) return;
    const fin = (meta.flags & tcp.FIN) !== 0;
    const end = seqAdd(sequence, meta.payloadLength + (syn ? 1 : 0) + (fin ? 1 : 0));
    side.end = seqMax(side.end, end);
    if (fin) side.finEnd = end;
    const timestampAt = tcp.findOption(view, meta.transportAt, tcp.OPTION_TIMESTAMPS);
    if (timestampAt >= 0) side.timestamp = seqMax(side.timestamp, view.getUint32(timestampAt + 2));
    if ((meta.flags & tcp.ACK) === 0) return;
    const ack = meta.words[ACKNOWLEDGMENT]!;
    side.ack = seqMax(side.ack, ack);
    const isScaled = !syn && side.syn.scale >= 0 && other.syn !== undefined && other.syn.scale >= 0;
    const window = tcp.window(view, meta.transportAt) * (isScaled ? 2 ** Math.min(side.syn.scale, 14) : 1);
    side.edge = seqMax(side.edge, seqAdd(ack, window));
  }

  #judge(flow: Flow, view: DataView, meta: PacketMeta): void {
    this.#judgeSequence(flow, meta);
    this.#judgeWindow(flow, view, meta);
    this.#judgeOptions(flow, view, meta);
  }

  #judgeSequence({ local, remote }: Flow, meta: PacketMeta): void {
    const sequence = meta.words[SEQUENCE]!;
    const fin = (meta.flags & tcp.FIN) !== 0;
    const end = seqAdd(sequence, meta.payloadLength + (fin ? 1 : 0));
    if (seqLess(local.end, sequence)) {
      this.#fail("sequence", meta, `sequence number ${sequence} lies ${seqDiff(sequence, local.end)} behind all sent`);
    }
    if (local.finEnd !== undefined && seqLess(local.finEnd, end)) {
      this.#fail("sequence", meta, `${seqDiff(end, local.finEnd)} bytes behind the FIN`);
    }
    if (local.finEnd !== undefined && fin && end !== local.finEnd) {
      this.#fail("sequence", meta, `a second FIN at ${end}, the first was at ${local.finEnd}`);
    }
    if ((meta.flags & tcp.ACK) === 0) this.#fail("sequence", meta, "a segment without ACK in a connection");
    const ack = meta.words[ACKNOWLEDGMENT]!;
    if (seqLess(remote.end, ack)) {
      this.#fail("sequence", meta, `acknowledges ${ack}, ${seqDiff(ack, remote.end)} more than ever came`);
    }
    if (local.ack !== undefined && seqLess(ack, local.ack)) {
      this.#fail("sequence", meta, `acknowledges ${ack} after ${local.ack}`);
    }
  }

  #judgeWindow({ local, remote }: Flow, view: DataView, meta: PacketMeta): void {
    const scale = local.syn!.scale >= 0 && remote.syn!.scale >= 0 ? Math.min(local.syn!.scale, 14) : 0;
    const edge = seqAdd(meta.words[ACKNOWLEDGMENT]!, tcp.window(view, meta.transportAt) * 2 ** scale);
    // Behind the peer's FIN nothing can come, so that the window means nothing any more.
    const isOver = remote.finEnd !== undefined && !seqLess(meta.words[ACKNOWLEDGMENT]!, remote.finEnd);
    if (!isOver && local.edge !== undefined && seqDiff(local.edge, edge) >= 2 ** scale) {
      this.#fail("window", meta, `takes ${seqDiff(local.edge, edge)} bytes of its window back`);
    }
    if (meta.payloadLength === 0 || remote.edge === undefined) return;
    const end = seqAdd(meta.words[SEQUENCE]!, meta.payloadLength);
    // One byte may probe a closed window. Source: RFC 9293 section 3.8.6.1.
    if (seqDiff(end, remote.edge) > 1) {
      this.#fail("window", meta, `sends ${seqDiff(end, remote.edge)} bytes beyond the peer's window`);
    }
  }

  #judgeOptions({ local, remote }: Flow, view: DataView, meta: PacketMeta): void {
    const at = meta.transportAt;
    for (const kind of [tcp.OPTION_MSS, tcp.OPTION_WINDOW_SCALE, tcp.OPTION_SACK_PERMITTED]) {
      if (tcp.findOption(view, at, kind) >= 0) this.#fail("options", meta, `option ${kind} without SYN`);
    }
    const optionBytes = tcp.headerLength(view, at) - tcp.HEADER_BYTES;
    const mss = Math.max(remote.syn!.mss, LEAST_MSS);
    if (meta.payloadLength + optionBytes > Math.max(mss, LEAST_MSS + OPTION_BYTES_MAX)) {
      this.#fail(
        "options",
        meta,
        `${meta.payloadLength} bytes and ${optionBytes} of options exceed the peer's MSS ${mss}`,
      );
    }
    const timestampAt = tcp.findOption(view, at, tcp.OPTION_TIMESTAMPS);
    const timestamps = local.syn!.timestamps && remote.syn!.timestamps;
    if (timestamps !== timestampAt >= 0) {
      this.#fail(
        "options",
        meta,
        timestamps ? "timestamps are agreed on and missing" : "timestamps were not agreed on",
      );
    }
    if (timestampAt >= 0) {
      if (local.timestamp !== undefined && seqLess(view.getUint32(timestampAt + 2), local.timestamp)) {
        this.#fail("options", meta, "the timestamp went back");
      }
      if (remote.timestamp !== undefined && seqLess(remote.timestamp, view.getUint32(timestampAt + 6))) {
        this.#fail("options", meta, "echoes a timestamp that never came");
      }
    }
    this.#judgeSack({ local, remote }, view, meta);
  }

  #judgeSack({ local, remote }: Flow, view: DataView, meta: PacketMeta): void {
    const at = tcp.findOption(view, meta.transportAt, tcp.OPTION_SACK);
    if (at < 0) return;
    if (!local.syn!.sack || !remote.syn!.sack) this.#fail("options", meta, "SACK was not agreed on");
    const end = at + view.getUint8(at + 1);
    for (let i = at + 2; i + 8 <= end; i += 8) {
      const left = view.getUint32(i);
      const right = view.getUint32(i + 4);
      if (!seqLess(left, right) || seqLess(remote.end, right)) {
        this.#fail("options", meta, `SACK block ${left}:${right} holds what never came`);
      }
      // Only the first block may speak of what was acknowledged before: a duplicate. Source: RFC 2883 section 4.
      if (i > at + 2 && seqLess(left, meta.words[ACKNOWLEDGMENT]!)) {
        this.#fail("options", meta, `SACK block ${left}:${right} lies before the acknowledgment`);
      }
    }
  }
}

function synFacts(view: DataView, meta: PacketMeta): SynFacts {
  const at = meta.transportAt;
  const mssAt = tcp.findOption(view, at, tcp.OPTION_MSS);
  const scaleAt = tcp.findOption(view, at, tcp.OPTION_WINDOW_SCALE);
  return {
    sequence: meta.words[SEQUENCE]!,
    mss: mssAt >= 0 ? view.getUint16(mssAt + 2) : meta.version === 4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6,
    scale: scaleAt >= 0 ? view.getUint8(scaleAt + 2) : -1,
    sack: tcp.findOption(view, at, tcp.OPTION_SACK_PERMITTED) >= 0,
    timestamps: tcp.findOption(view, at, tcp.OPTION_TIMESTAMPS) >= 0,
  };
}
