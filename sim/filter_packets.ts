/** A capture as WinDivert would show it to a filter: IP packets, each with an address. */
import { FILTER_PEER_COUNT_MAX, SLOT_BYTES } from "../core/base/limits.ts";
import { ipFromWords } from "../core/base/ip_address.ts";
import type { FilterPacket, FilterPackets } from "../core/cli/filter.ts";
import { isLanAddress } from "../core/decide/geo.ts";
import { DropReason } from "../core/parse/drop_reason.ts";
import { DESTINATION, PacketMeta, SOURCE } from "../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../core/parse/parse.ts";
import { createLinkFrame, stripLink } from "./capture/link_layer.ts";
import { type CaptureReader, openCapture } from "./capture/open.ts";
import type { CaptureRecord } from "./capture/record.ts";

/**
 * Tells outbound from inbound where the capture does not: a packet from a private address to a public one goes out; else the address that
 * was first seen sending is taken for this machine's.
 */
class DirectionGuess {
  readonly #senders = new Set<string>();
  readonly #receivers = new Set<string>();

  isOutbound(meta: PacketMeta): boolean {
    const w = meta.words;
    const source = ipFromWords(w[SOURCE]!, w[SOURCE + 1]!, w[SOURCE + 2]!, w[SOURCE + 3]!);
    const destination = ipFromWords(w[DESTINATION]!, w[DESTINATION + 1]!, w[DESTINATION + 2]!, w[DESTINATION + 3]!);
    const isLocal = isLanAddress(source);
    if (isLocal !== isLanAddress(destination)) return isLocal;
    const from = JSON.stringify(source);
    const to = JSON.stringify(destination);
    if (this.#receivers.has(from) && !this.#senders.has(from)) return false;
    if (this.#senders.has(to) && !this.#senders.has(from)) return false;
    if (this.#senders.size < FILTER_PEER_COUNT_MAX && !this.#receivers.has(from)) {
      this.#senders.add(from);
      this.#receivers.add(to);
    }
    return true;
  }
}

class CapturePackets implements FilterPackets {
  readonly #reader: CaptureReader;
  readonly #frame = createLinkFrame();
  readonly #meta = new PacketMeta();
  readonly #guess = new DirectionGuess();

  constructor(reader: CaptureReader) {
    this.#reader = reader;
  }

  get error(): FilterPackets["error"] {
    return this.#reader.error;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<FilterPacket> {
    using reader = this.#reader;
    for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
      const packet = this.#packet(record);
      if (packet !== undefined) yield packet;
    }
  }

  /** What WinDivert would hand over; frames that are no IP never reach it. */
  #packet(record: CaptureRecord): FilterPacket | undefined {
    const frame = this.#frame;
    const meta = this.#meta;
    stripLink(record.linkType, record.view, record.dataAt, record.dataLength, frame);
    if (frame.family === 0) return undefined;
    const available = Math.min(frame.ipLength, SLOT_BYTES);
    const wire = available + Math.max(0, record.originalLength - record.dataLength);
    const isSound = parsePacket(record.view, frame.ipAt, available, wire, Verify.None, meta) === DropReason.None;
    const length = isSound ? Math.min(meta.ipLength, available) : available;
    const data = new Uint8Array(record.view.buffer, record.view.byteOffset + frame.ipAt, length);
    const direction = frame.direction !== 0 ? frame.direction : record.direction;
    const outbound = direction !== 0 ? direction === 2 : !isSound || this.#guess.isOutbound(meta);
    const address = {
      outbound,
      ipv6: frame.family === 6,
      ifIdx: record.interfaceIndex,
      timestamp: record.timestampUs,
    };
    return { data, address };
  }
}

/** Opens a capture for `weir filter`. Errors: `CaptureError`. */
export async function openFilterPackets(path: string): Promise<FilterPackets> {
  return new CapturePackets(await openCapture(path));
}
