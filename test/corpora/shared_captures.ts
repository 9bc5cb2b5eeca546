/** Third-party captures beside the project: where they are, which there are, and their packets one by one. */
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../../core/parse/parse.ts";
import { createLinkFrame, stripLink } from "../../sim/capture/link_layer.ts";
import { openCapture } from "../../sim/capture/open.ts";

/** The folder of captures; a developer and CI have it, a user does not. */
export const SHARED_CAPTURES = new URL("../../../shared/corpora/captures/", import.meta.url).pathname;

function isAbsent(): boolean {
  try {
    return !Deno.statSync(SHARED_CAPTURES).isDirectory;
  } catch {
    return true;
  }
}

/** True, and said once on standard output, when the captures are not there: their tests are then skipped. */
export const noSharedCaptures: boolean = isAbsent();
if (noSharedCaptures) console.log("skipped: ../shared/corpora/captures is absent");

/** Every capture below a folder of `SHARED_CAPTURES`, by path relative to it, in order. */
export function sharedCaptures(folder = ""): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(SHARED_CAPTURES + folder)) {
    const path = folder + entry.name;
    if (entry.isDirectory) found.push(...sharedCaptures(`${path}/`));
    else if (/\.pcap(ng)?$/.test(path)) found.push(path);
  }
  return found.sort();
}

/** Reads a file beside the captures as text, byte by byte. */
export function readShared(path: string): string {
  const bytes = Deno.readFileSync(SHARED_CAPTURES + path);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** One frame of a capture that holds an IP packet. */
export interface CapturedPacket {
  readonly timestampUs: number;
  /** The whole frame. */
  readonly frame: Uint8Array<ArrayBuffer>;
  /** Where the IP packet begins in `frame`, and how many bytes of it, padding included, were captured. */
  readonly ipAt: number;
  readonly ipLength: number;
  /** Units: bytes of the IP packet and its padding on the wire. */
  readonly wireLength: number;
}

/** Every IP packet of a capture, copied. */
export async function packetsOf(path: string): Promise<CapturedPacket[]> {
  using reader = await openCapture(SHARED_CAPTURES + path);
  const link = createLinkFrame();
  const packets: CapturedPacket[] = [];
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
    stripLink(record.linkType, record.view, record.dataAt, record.dataLength, link);
    if (link.family === 0) continue;
    packets.push({
      timestampUs: record.timestampUs,
      frame: new Uint8Array(record.data),
      ipAt: link.ipAt - record.dataAt,
      ipLength: link.ipLength,
      wireLength: link.ipLength + Math.max(0, record.originalLength - record.dataLength),
    });
  }
  return packets;
}

/** What parse makes of a packet. Positions in the meta are offsets into the frame. */
export function metaOf(packet: CapturedPacket): { reason: number; meta: PacketMeta; view: DataView } {
  const view = new DataView(packet.frame.buffer);
  const meta = new PacketMeta();
  const reason = parsePacket(view, packet.ipAt, packet.ipLength, packet.wireLength, Verify.None, meta);
  return { reason, meta, view };
}
