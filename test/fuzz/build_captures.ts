/** Capture files of built conversations, in both formats and compressed, for those who have no others. */
import { gzipSync } from "node:zlib";
import { LINKTYPE } from "../../sim/capture/link_types.ts";
import { PcapngWriter } from "../../sim/capture/write.ts";
import type { Conversation } from "./packet_fuzz.ts";

/** A pcap file of raw IP packets, one a millisecond. Source: draft-ietf-opsawg-pcap section 4. */
export function pcapOf(packets: Conversation): Uint8Array {
  const bytes = new Uint8Array(packets.reduce((sum, packet) => sum + 16 + packet.length, 24));
  const view = new DataView(bytes.buffer);
  const header = [0xa1b2c3d4, 0x00020004, 0, 0, 0x40000, LINKTYPE.RAW];
  header.forEach((word, i) => view.setUint32(4 * i, word));
  let at = 24;
  packets.forEach((packet, i) => {
    [1_700_000_000 + Math.floor(i / 1000), (i % 1000) * 1000, packet.length, packet.length].forEach((word, k) =>
      view.setUint32(at + 4 * k, word)
    );
    bytes.set(packet, at + 16);
    at += 16 + packet.length;
  });
  return bytes;
}

function pcapngOf(packets: Conversation): Uint8Array {
  const parts: number[] = [];
  const writer = new PcapngWriter((bytes) => parts.push(...bytes), { application: "fuzz" });
  writer.addInterface({ linkType: LINKTYPE.RAW, name: "fuzz" });
  packets.forEach((packet, i) =>
    writer.writePacket(packet, 0, packet.length, {
      timestampUs: 1_700_000_000_000_000 + i * 1000,
      originalLength: packet.length,
      direction: (i % 3) as 0 | 1 | 2,
      comment: i % 5 === 0 ? "a comment" : undefined,
    })
  );
  writer.flush();
  return new Uint8Array(parts);
}

/** Every conversation as pcap and as pcapng, some of them behind gzip. */
export function buildCaptures(conversations: readonly Conversation[]): Uint8Array[] {
  return conversations.flatMap((packets, i) => {
    const files = [pcapOf(packets), pcapngOf(packets)];
    return i % 3 === 0 ? [...files, ...files.map((file) => new Uint8Array(gzipSync(file)))] : files;
  });
}
