/**
 * Two stream followers and PcapPlusPlus' rules for when a hole is given up, so that its expected outputs can be reproduced.
 *
 * Source: behaviour of PcapPlusPlus' TcpReassembly as its tests and outputs show it: data of both sides in the order in which it became
 * readable; holes of one side are given up when the other side sends data, on FIN or RST, and when the connection is closed.
 */
import { Fragment, SEQUENCE } from "../../core/parse/packet_meta.ts";
import { seqAdd } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { StreamFollower, type StreamSink } from "../../sim/replay/stream_follower.ts";
import { type CapturedPacket, metaOf } from "./shared_captures.ts";

/** One TCP segment of a capture. */
export interface Segment {
  readonly connection: string;
  readonly sender: string;
  readonly seq: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

function hex(words: Uint32Array, at: number): string {
  return [...words.subarray(at, at + 4)].map((word) => word.toString(16).padStart(8, "0")).join("");
}

/** The TCP segments of packets; parse reads them. */
export function segmentsOf(packets: readonly CapturedPacket[]): Segment[] {
  const segments: Segment[] = [];
  for (const packet of packets) {
    const { reason, meta } = metaOf(packet);
    if (reason !== 0 || meta.protocol !== tcp.PROTOCOL || meta.fragment !== Fragment.Whole) continue;
    const source = `${hex(meta.words, 0)}:${meta.sourcePort}`;
    const destination = `${hex(meta.words, 4)}:${meta.destinationPort}`;
    segments.push({
      connection: source < destination ? `${source} ${destination}` : `${destination} ${source}`,
      sender: source,
      seq: meta.words[SEQUENCE]!,
      flags: meta.flags,
      payload: packet.frame.slice(meta.payloadAt, meta.payloadAt + meta.payloadLength),
    });
  }
  return segments;
}

class Side {
  ended = false;
  readonly follower: StreamFollower;

  constructor(sink: StreamSink) {
    this.follower = new StreamFollower(sink);
  }
}

/** One connection; `output` is what both sides said, with "[n bytes missing]" where the capture has holes. */
export class Conversation {
  output = "";
  /** Pieces of data so far, from both sides, and the bytes that were missing. */
  pieces = 0;
  missing = 0;
  closed = false;
  readonly #piecesMax: number;
  readonly #sides = new Map<string, Side>();
  #closing = false;
  #skipping = false;
  #last: Side | undefined = undefined;

  /** The connection is closed as soon as it has had `piecesMax` pieces. */
  constructor(piecesMax = Infinity) {
    this.#piecesMax = piecesMax;
  }

  add(segment: Segment): void {
    const { flags, payload } = segment;
    const ends = (flags & (tcp.FIN | tcp.RST)) !== 0;
    if (this.closed || (payload.length === 0 && (flags & tcp.SYN) === 0 && !ends)) return;
    let side = this.#sides.get(segment.sender);
    const isFirst = side === undefined;
    if (side === undefined) this.#sides.set(segment.sender, side = new Side(this.#hear));
    if (side.ended) return;
    if (payload.length > 0 || !ends) {
      if (!isFirst && payload.length > 0 && this.#last !== undefined && this.#last !== side) this.#skip(this.#last);
      this.#last = side;
      const seq = (flags & tcp.SYN) !== 0 ? seqAdd(segment.seq, 1) : segment.seq;
      side.follower.start(seq);
      side.follower.segment(seq, payload);
    }
    if (!ends) return;
    side.ended = true;
    const others = [...this.#sides.values()].filter((other) => other !== side);
    if ((flags & tcp.RST) !== 0 || others.some((other) => other.ended)) this.close();
    else this.#skip(side);
  }

  /** Gives every hole up; later segments are ignored. */
  close(): void {
    if (this.closed || this.#closing) return;
    this.#closing = true;
    for (const side of this.#sides.values()) this.#skip(side);
    this.closed = true;
  }

  #skip(side: Side): void {
    if (this.#skipping) return;
    this.#skipping = true;
    side.follower.finish();
    this.#skipping = false;
  }

  readonly #hear = (bytes: Uint8Array, missing: number): void => {
    if (missing > 0) this.output += `[${missing} bytes missing]`;
    for (const byte of bytes) this.output += String.fromCharCode(byte);
    this.pieces++;
    this.missing += missing;
    if (this.pieces >= this.#piecesMax) this.close();
  };
}

/** Runs segments through one conversation for each connection; in the order of their first packet. */
export function converse(segments: readonly Segment[], piecesMax = Infinity): Conversation[] {
  const conversations = new Map<string, Conversation>();
  for (const segment of segments) {
    let conversation = conversations.get(segment.connection);
    if (conversation === undefined) {
      conversation = new Conversation(piecesMax);
      conversations.set(segment.connection, conversation);
    }
    conversation.add(segment);
  }
  for (const conversation of conversations.values()) conversation.close();
  return [...conversations.values()];
}
