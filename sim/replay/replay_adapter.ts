/** A capture as an adapter: one packet at a time comes in, what leaves is handed to a sink. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, Frame, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { SLOT_BYTES } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { createLinkFrame, stripLink } from "../capture/link_layer.ts";
import type { CaptureRecord, ProcessFact } from "../capture/record.ts";

/** Takes the packets that leave the engine. False: the device is full. */
export type PacketSink = (arena: Arena, slot: Slot, now: Micros) => boolean;

/** The device a replay runs over. `offer` a record, then let the engine poll. */
export class ReplayAdapter implements Adapter {
  readonly capabilities: Capabilities;
  /** The process that the offered packet belongs to, as far as the capture says. */
  process: ProcessFact | undefined = undefined;
  readonly #frame = createLinkFrame();
  readonly #sink: PacketSink | undefined;
  #record: CaptureRecord | undefined = undefined;

  constructor(kind: "tun" | "divert", sink: PacketSink | undefined) {
    this.capabilities = { kind, mtu: SLOT_BYTES, batch: 1, checksumsVouched: true };
    this.#sink = sink;
  }

  /** Makes a record the next packet; it is copied by the next `receive`. */
  offer(record: CaptureRecord): void {
    const frame = this.#frame;
    stripLink(record.linkType, record.view, record.dataAt, record.dataLength, frame);
    this.#record = record;
    this.process = record.process ?? frame.process;
  }

  /** True while an offered packet was not received: the arena had no room. */
  get isPending(): boolean {
    return this.#record !== undefined;
  }

  receive(arena: Arena, _now: Micros): number {
    const record = this.#record;
    if (record === undefined) return 0;
    const slot = arena.acquire();
    if (slot === NO_SLOT) return 0;
    this.#record = undefined;
    const frame = this.#frame;
    const isIp = frame.family !== 0;
    const from = isIp ? frame.ipAt : record.dataAt;
    const available = isIp ? frame.ipLength : record.dataLength;
    const length = available < SLOT_BYTES ? available : SLOT_BYTES;
    const at = arena.at(slot);
    arena.bytes.set(new Uint8Array(record.view.buffer, record.view.byteOffset + from, length), at);
    arena.length[slot] = length;
    const cut = record.originalLength - record.dataLength;
    arena.wireLength[slot] = available + (cut > 0 ? cut : 0);
    arena.frame[slot] = isIp ? Frame.Ip : frame.truncated ? Frame.LinkTruncated : Frame.NotIp;
    const direction = frame.direction !== 0 ? frame.direction : record.direction;
    arena.direction[slot] = direction === 1
      ? Direction.Inbound
      : direction === 2
      ? Direction.Outbound
      : Direction.Unknown;
    if (isIp) fillOffloadedLength(arena.view, at, length, arena.wireLength[slot]!);
    arena.arrive(slot);
    return 1;
  }

  send(arena: Arena, slot: Slot, now: Micros): boolean {
    return this.#sink === undefined || this.#sink(arena, slot, now);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#record = undefined;
  }
}

/**
 * A capture taken above a card that segments for the system holds TCP packets whose length field is still 0; the card writes it later.
 * Source: the Windows documentation of large send offload (LSOV2), and Wireshark's "reported as 0".
 */
function fillOffloadedLength(view: DataView, at: number, length: number, wireLength: number): void {
  if (length < ipv6.HEADER_BYTES) return;
  const version = view.getUint8(at) >>> 4;
  if (version === 4) {
    if (ipv4.totalLength(view, at) !== 0 || ipv4.protocol(view, at) !== tcp.PROTOCOL) return;
    view.setUint16(at + 2, wireLength < 0xffff ? wireLength : 0xffff);
  } else if (version === 6) {
    if (ipv6.payloadLength(view, at) !== 0 || ipv6.nextHeader(view, at) !== tcp.PROTOCOL) return;
    const payload = wireLength - ipv6.HEADER_BYTES;
    view.setUint16(at + 4, payload < 0xffff ? payload : 0xffff);
  }
}
