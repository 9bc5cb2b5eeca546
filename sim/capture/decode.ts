/** Capture formats without files: what a decoder is, which there are, and which one a file wants. */
import { looksLikePcap, PcapDecoder } from "./pcap.ts";
import { looksLikePcapng, PcapngDecoder } from "./pcapng.ts";
import type { BlockObserver, CaptureDecoder } from "./record.ts";

export { PcapDecoder } from "./pcap.ts";
export { PcapngDecoder } from "./pcapng.ts";
export * from "./record.ts";

/** Bytes at the start of a file that tell its format. */
export const CAPTURE_MAGIC_BYTES = 4;

/** The decoder for a file that begins with these bytes. Errors: undefined when it is neither pcap nor pcapng. */
export function decoderFor(firstBytes: Uint8Array, observer?: BlockObserver): CaptureDecoder | undefined {
  if (looksLikePcap(firstBytes)) return new PcapDecoder(observer);
  if (looksLikePcapng(firstBytes)) return new PcapngDecoder(observer);
  return undefined;
}
