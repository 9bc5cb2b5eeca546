/**
 * The pcap file format, read from bytes that arrive piece by piece.
 *
 * Read first: draft-ietf-opsawg-pcap sections 4 (file header) and 5 (packet record).
 *
 *      file header, 24 bytes                            packet record, 16 bytes (24 in Kuznetzov's variant)
 *   0  magic a1b2c3d4 µs | a1b23c4d ns | a1b2cd34    0  seconds since 1970
 *   4  major version 2      6  minor version         4  microseconds, or nanoseconds
 *   8  reserved            12  reserved              8  captured length
 *  16  snap length                                  12  original length
 *  20  FCS length, reserved, link type              16  interface index, protocol, packet type (Kuznetzov only)
 *
 * The magic tells the byte order. Snap lengths in files are often wrong (0, 2³¹−1), so nothing here trusts them.
 * Kuznetzov's variant (a Linux libpcap of the 1990s) is told from µs by its magic; its packet type is that of LINKTYPE_LINUX_SLL.
 */
import { CAPTURE_RECORD_BYTES_MAX } from "../../core/base/limits.ts";
import { ByteWindow } from "./byte_window.ts";
import { addLinkTypeName } from "./link_types.ts";
import {
  type BlockObserver,
  type CaptureDamage,
  type CaptureDecoder,
  type CaptureInterface,
  type CaptureNameRecord,
  DECODE,
  type DecodeStep,
  MutableCaptureRecord,
} from "./record.ts";

const FILE_HEADER_BYTES = 24;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_KUZNETZOV = 0xa1b2cd34;

function isPcapMagic(magic: number): boolean {
  return magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS || magic === MAGIC_KUZNETZOV;
}

/** True when a file with these first bytes is a pcap file. Shape: at least four bytes are wanted. */
export function looksLikePcap(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  return isPcapMagic(view.getUint32(0, true)) || isPcapMagic(view.getUint32(0, false));
}

/** Reads pcap. Errors: none thrown; `error` says what is wrong and where. */
export class PcapDecoder implements CaptureDecoder {
  readonly format = "pcap";
  readonly record = new MutableCaptureRecord();
  readonly interfaces: CaptureInterface[] = [];
  readonly linkTypes: string[] = [];
  readonly nameRecords: readonly CaptureNameRecord[] = [];
  readonly ignoredFacts = 0;
  packets = 0;
  bytes = 0;
  originalBytes = 0;
  error: CaptureDamage | null = null;
  readonly #window = new ByteWindow();
  readonly #observer: BlockObserver | undefined;
  #headerBytes = 0;
  #littleEndian = true;
  #nanoseconds = false;
  #lengthsMaySwap = false;
  #finished = false;

  constructor(observer?: BlockObserver) {
    this.#observer = observer;
  }

  push(bytes: Uint8Array): void {
    if (this.error === null) this.#window.push(bytes);
  }

  room(): Uint8Array<ArrayBuffer> {
    return this.#window.room();
  }

  filled(lengthBytes: number): void {
    this.#window.filled(lengthBytes);
  }

  finish(): void {
    this.#finished = true;
  }

  next(): DecodeStep {
    if (this.error !== null) return DECODE.END;
    if (this.#headerBytes === 0) {
      const step = this.#fileHeader();
      if (step !== DECODE.PACKET) return step;
    }
    const window = this.#window;
    const at = window.at;
    const have = window.end - at;
    const headerBytes = this.#headerBytes;
    if (have < headerBytes) return this.#starved(have, headerBytes);
    const view = window.view;
    const little = this.#littleEndian;
    let length = view.getUint32(at + 8, little);
    let originalLength = view.getUint32(at + 12, little);
    if (this.#lengthsMaySwap && length > originalLength) {
      const swapped = length;
      length = originalLength;
      originalLength = swapped;
    }
    if (length > CAPTURE_RECORD_BYTES_MAX) {
      return this.#fail(`a packet claims ${length} captured bytes, more than ${CAPTURE_RECORD_BYTES_MAX}`);
    }
    if (have < headerBytes + length) return this.#starved(have, headerBytes + length);

    const record = this.record;
    record.bytes = window.bytes;
    record.view = view;
    record.dataAt = at + headerBytes;
    record.dataLength = length;
    record.originalLength = originalLength;
    const fraction = view.getUint32(at + 4, little);
    const seconds = view.getUint32(at, little);
    if (this.#nanoseconds) {
      const us = Math.floor(fraction / 1000);
      record.timestampUs = seconds * 1_000_000 + us;
      record.timestampNsRest = fraction - us * 1000;
    } else {
      record.timestampUs = seconds * 1_000_000 + fraction;
      record.timestampNsRest = 0;
    }
    if (headerBytes === 24) {
      const packetType = view.getUint8(at + 22);
      record.direction = packetType === 4 ? 2 : packetType < 3 ? 1 : 0;
    }
    record.fileOffset = window.base + at;
    window.at = at + headerBytes + length;
    this.packets++;
    this.bytes += length;
    this.originalBytes += originalLength;
    if (this.#observer !== undefined) this.#observer("packet", record.fileOffset, headerBytes + length);
    return DECODE.PACKET;
  }

  #fileHeader(): DecodeStep {
    const window = this.#window;
    const view = window.view;
    const have = window.end - window.at;
    if (have < FILE_HEADER_BYTES) {
      if (!this.#finished) return DECODE.NEED_MORE;
      return this.#fail(`the file ends inside its header: ${have} of ${FILE_HEADER_BYTES} bytes`);
    }
    const little = isPcapMagic(view.getUint32(window.at, true));
    const magic = view.getUint32(window.at, little);
    if (!isPcapMagic(magic)) return this.#fail("not a pcap file");
    const major = view.getUint16(window.at + 4, little);
    const minor = view.getUint16(window.at + 6, little);
    if (major !== 2) return this.#fail(`pcap version ${major}.${minor}, expected 2.4`);
    this.#littleEndian = little;
    this.#nanoseconds = magic === MAGIC_NANOSECONDS;
    // Versions before 2.3 wrote the two lengths the other way round, and 2.3 was written both ways.
    this.#lengthsMaySwap = minor <= 3;
    const linkType = view.getUint32(window.at + 20, little) & 0x03ffffff;
    const snapLength = view.getUint32(window.at + 16, little);
    this.record.linkType = linkType;
    this.interfaces.push({ linkType, snapLength, name: "", filter: "" });
    addLinkTypeName(this.linkTypes, linkType);
    this.#headerBytes = magic === MAGIC_KUZNETZOV ? 24 : 16;
    window.at += FILE_HEADER_BYTES;
    return DECODE.PACKET;
  }

  #starved(have: number, want: number): DecodeStep {
    if (!this.#finished) return DECODE.NEED_MORE;
    if (have === 0) return DECODE.END;
    return this.#fail(`the file ends inside a packet: ${have} of ${want} bytes`);
  }

  #fail(message: string): DecodeStep {
    this.error = { message, offset: this.#window.offset };
    return DECODE.END;
  }
}
