/**
 * Which process a flow of a capture belongs to, wherever in the capture that is said: captures often name the process on the answer
 * only, and a rule wants to know it on the first packet, as a live system would.
 */
import { PROCESS_INDEX_COUNT_MAX } from "../../core/base/limits.ts";
import { formatIp, type IpAddress, ipFromWords } from "../../core/base/ip_address.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { DESTINATION, Fragment, PacketMeta, SOURCE } from "../../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../../core/parse/parse.ts";
import * as tcp from "../../core/wire/tcp.ts";
import * as udp from "../../core/wire/udp.ts";
import { createLinkFrame, stripLink } from "../capture/link_layer.ts";
import type { CaptureReader } from "../capture/open.ts";
import type { ProcessFact } from "../capture/record.ts";

function keyOf(network: string, a: IpAddress, aPort: number, b: IpAddress, bPort: number): string {
  const one = `${formatIp(a)} ${aPort}`;
  const two = `${formatIp(b)} ${bPort}`;
  return one < two ? `${network} ${one} ${two}` : `${network} ${two} ${one}`;
}

/** Processes by 5-tuple, in either direction. The first process that a tuple is seen with wins. */
export class ProcessIndex {
  readonly #byTuple = new Map<string, ProcessFact>();

  /** The process of a flow, or undefined. */
  find(network: string, a: IpAddress, aPort: number, b: IpAddress, bPort: number): ProcessFact | undefined {
    return this.#byTuple.get(keyOf(network, a, aPort, b, bPort));
  }

  /** Notes the process of the packet in `meta`. */
  add(meta: PacketMeta, process: ProcessFact): void {
    if (this.#byTuple.size >= PROCESS_INDEX_COUNT_MAX) return;
    const w = meta.words;
    const source = ipFromWords(w[SOURCE]!, w[SOURCE + 1]!, w[SOURCE + 2]!, w[SOURCE + 3]!);
    const destination = ipFromWords(w[DESTINATION]!, w[DESTINATION + 1]!, w[DESTINATION + 2]!, w[DESTINATION + 3]!);
    const network = meta.protocol === tcp.PROTOCOL ? "tcp" : "udp";
    const key = keyOf(network, source, meta.sourcePort, destination, meta.destinationPort);
    if (!this.#byTuple.has(key)) this.#byTuple.set(key, process);
  }
}

/** Reads a capture once for its processes alone. What the capture says after damage is not known. */
export async function indexProcesses(reader: CaptureReader, index: ProcessIndex): Promise<void> {
  const frame = createLinkFrame();
  const meta = new PacketMeta();
  do {
    for (let record = reader.tryNext(); record !== undefined; record = reader.tryNext()) {
      frame.process = undefined;
      stripLink(record.linkType, record.view, record.dataAt, record.dataLength, frame);
      const process = record.process ?? frame.process;
      if (process === undefined || frame.family === 0) continue;
      const wire = frame.ipLength + Math.max(0, record.originalLength - record.dataLength);
      const reason = parsePacket(record.view, frame.ipAt, frame.ipLength, wire, Verify.None, meta);
      if (reason !== DropReason.None || meta.fragment !== Fragment.Whole) continue;
      if (meta.protocol === tcp.PROTOCOL || meta.protocol === udp.PROTOCOL) index.add(meta, process);
    }
  } while (await reader.fill());
}
