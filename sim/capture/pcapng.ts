/**
 * The pcapng file format, read from bytes that arrive piece by piece.
 *
 * Read first: draft-ietf-opsawg-pcapng sections 3 (blocks and options) and 4 (the blocks).
 *
 *      every block                         section header block 0x0a0d0d0a     enhanced packet block 6
 *   0  type                             8  magic 1a2b3c4d in its byte order    8  interface
 *   4  total length                    12  major version 1   14 minor         12  timestamp, high word
 *   8  body, options                   16  section length, or −1              16  timestamp, low word
 *  n−4 total length again              24  options                            20  captured length   24 original length
 *                                                                             28  packet, padded to 4; options
 *
 * A section header may change the byte order and forgets all interfaces. Section lengths are not needed to read on, so they are not trusted.
 * Blocks that say nothing about packets, their interfaces, names or processes are passed over without being held, whatever their length.
 */
import { CAPTURE_INTERFACE_COUNT_MAX, CAPTURE_RECORD_BYTES_MAX } from "../../core/base/limits.ts";
import { ByteWindow } from "./byte_window.ts";
import { addLinkTypeName } from "./link_types.ts";
import { NameTable } from "./name_block.ts";
import { OptionCursor } from "./pcapng_options.ts";
import { convertTime, TIME_SCALE_DEFAULT, type TimeScale } from "./pcapng_time.ts";
import { captureText, ProcessTable, WIRESHARK_PEN } from "./process_blocks.ts";
import {
  type BlockObserver,
  type CaptureDamage,
  type CaptureDecoder,
  type CaptureInterface,
  type CaptureNameRecord,
  DECODE,
  type DecodeStep,
  MutableCaptureRecord,
  type ProcessFact,
} from "./record.ts";

/** Block types. */
export const BLOCK = {
  INTERFACE: 1,
  PACKET_OBSOLETE: 2,
  SIMPLE_PACKET: 3,
  NAMES: 4,
  STATISTICS: 5,
  ENHANCED_PACKET: 6,
  SECRETS: 10,
  CUSTOM: 0x0bad,
  CUSTOM_NO_COPY: 0x40000bad,
  SECTION_HEADER: 0x0a0d0d0a,
  DARWIN_PROCESS: 0x80000001,
} as const;

/** The byte-order magic of a section header. */
export const SECTION_MAGIC = 0x1a2b3c4d;

/** Options of an interface description. */
export const INTERFACE_OPTION = { NAME: 2, TSRESOL: 9, FILTER: 11, TSOFFSET: 14 } as const;

/** Options of a packet. */
export const PACKET_OPTION = {
  FLAGS: 2,
  PROCESS_THREAD_ID: 8,
  DARWIN_PROCESS_INDEX: 0x8001,
  DARWIN_EFFECTIVE_PROCESS_INDEX: 0x8003,
} as const;

const SHORT_NAMES: ReadonlyMap<number, string> = new Map([
  [BLOCK.SECTION_HEADER, "SHB"],
  [BLOCK.INTERFACE, "IDB"],
  [BLOCK.PACKET_OBSOLETE, "PB"],
  [BLOCK.SIMPLE_PACKET, "SPB"],
  [BLOCK.NAMES, "NRB"],
  [BLOCK.STATISTICS, "ISB"],
  [BLOCK.ENHANCED_PACKET, "EPB"],
  [BLOCK.SECRETS, "DSB"],
  [BLOCK.CUSTOM, "CB"],
  [BLOCK.CUSTOM_NO_COPY, "DCB"],
]);

/** Room of a block that is nothing but its header and trailer. */
const BLOCK_BYTES_MIN = 12;
const SECTION_HEADER_BYTES_MIN = 28;

/** True when a file with these first bytes is a pcapng file. Shape: at least four bytes are wanted; the type reads the same both ways. */
export function looksLikePcapng(bytes: Uint8Array): boolean {
  return bytes[0] === 0x0a && bytes[1] === 0x0d && bytes[2] === 0x0d && bytes[3] === 0x0a;
}

interface SectionInterface extends CaptureInterface {
  readonly index: number;
  readonly scale: TimeScale;
}

/** Reads pcapng. Errors: none thrown; `error` says what is wrong and where. */
export class PcapngDecoder implements CaptureDecoder {
  readonly format = "pcapng";
  readonly record = new MutableCaptureRecord();
  readonly interfaces: CaptureInterface[] = [];
  readonly linkTypes: string[] = [];
  packets = 0;
  bytes = 0;
  originalBytes = 0;
  error: CaptureDamage | null = null;
  readonly #window = new ByteWindow();
  readonly #observer: BlockObserver | undefined;
  readonly #options = new OptionCursor();
  readonly #processes = new ProcessTable();
  readonly #names = new NameTable();
  #section: SectionInterface[] = [];
  #sections = 0;
  #littleEndian = true;
  #finished = false;
  #malformed = 0;
  #skipBytes = 0;
  #skipTotal = 0;
  #skipOffset = 0;

  constructor(observer?: BlockObserver) {
    this.#observer = observer;
  }

  get nameRecords(): readonly CaptureNameRecord[] {
    return this.#names.records;
  }

  get ignoredFacts(): number {
    return this.#malformed + this.#processes.ignored + this.#names.ignored;
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
    const window = this.#window;
    while (this.error === null) {
      if (this.#skipTotal !== 0 && !this.#skip()) return this.#starved("a block", this.#skipTotal);
      const at = window.at;
      const have = window.end - at;
      if (have < BLOCK_BYTES_MIN) return this.#starved("a block", BLOCK_BYTES_MIN);
      const view = window.view;
      let type = view.getUint32(at, this.#littleEndian);
      if (type === BLOCK.SECTION_HEADER) {
        if (!this.#startSection(view, at)) break;
      } else if (this.#sections === 0) {
        this.#fail("not a pcapng file");
        break;
      }
      const total = view.getUint32(at + 4, this.#littleEndian);
      if (total < BLOCK_BYTES_MIN || (total & 3) !== 0) {
        this.#fail(`a block has length ${total}, expected a multiple of 4 from ${BLOCK_BYTES_MIN} up`);
        break;
      }
      if (this.#passesOver(type, total, view, at, have)) continue;
      if (total > CAPTURE_RECORD_BYTES_MAX) {
        this.#fail(`a block has length ${total}, more than ${CAPTURE_RECORD_BYTES_MAX}`);
        break;
      }
      if (have < total) return this.#starved("a block", total);
      const trailer = view.getUint32(at + total - 4, this.#littleEndian);
      if (trailer !== total) {
        this.#fail(`a block has length ${total} at its start and ${trailer} at its end`);
        break;
      }
      if (this.#observer !== undefined) this.#tell(type, window.offset, total);
      // The section header block was judged before its length could be read.
      type = type === BLOCK.SECTION_HEADER ? 0 : type;
      const isPacket = type === 0 ? this.#endSectionHeader(total) : this.#block(type, view, at, total);
      if (this.error !== null) break;
      window.at = at + total;
      if (isPacket) return DECODE.PACKET;
    }
    return DECODE.END;
  }

  /** Takes one whole block; true when it was a packet, which then stands in `record`. */
  #block(type: number, view: DataView, at: number, total: number): boolean {
    const body = at + 8;
    const end = at + total - 4;
    switch (type) {
      case BLOCK.ENHANCED_PACKET:
        return this.#enhancedPacket(view, body, end);
      case BLOCK.PACKET_OBSOLETE:
        return this.#obsoletePacket(view, body, end);
      case BLOCK.SIMPLE_PACKET:
        return this.#simplePacket(view, body, end);
      case BLOCK.INTERFACE:
        this.#interface(view, body, end);
        return false;
      case BLOCK.NAMES:
        this.#names.addBlock(view, body, end, this.#littleEndian);
        return false;
      case BLOCK.DARWIN_PROCESS:
        this.#processes.addDarwinBlock(view, body, end - body, this.#littleEndian);
        return false;
      default:
        this.#processes.addWiresharkBlock(view, body + 4, end - body - 4);
        return false;
    }
  }

  /** Begins to skip a block that says nothing for us; false when the block has to be read. */
  #passesOver(type: number, total: number, view: DataView, at: number, have: number): boolean {
    switch (type) {
      case BLOCK.SECTION_HEADER:
      case BLOCK.ENHANCED_PACKET:
      case BLOCK.PACKET_OBSOLETE:
      case BLOCK.SIMPLE_PACKET:
      case BLOCK.INTERFACE:
        return false;
      case BLOCK.NAMES:
      case BLOCK.DARWIN_PROCESS:
        if (total <= CAPTURE_RECORD_BYTES_MAX) return false;
        this.#malformed++;
        break;
      case BLOCK.CUSTOM:
      case BLOCK.CUSTOM_NO_COPY:
        // The shortest block with an enterprise number has 16 bytes; `have` covers the number, because 12 do.
        if (total >= 16 && have >= 12 && view.getUint32(at + 8, this.#littleEndian) === WIRESHARK_PEN) {
          if (total <= CAPTURE_RECORD_BYTES_MAX) return false;
          this.#malformed++;
        }
        break;
      default:
        break;
    }
    if (this.#observer !== undefined) this.#tell(type, this.#window.offset, total);
    this.#skipTotal = total;
    this.#skipBytes = total - 4;
    this.#skipOffset = this.#window.offset;
    return true;
  }

  /** Goes on skipping; true when the block's end has been passed. */
  #skip(): boolean {
    const window = this.#window;
    const step = Math.min(this.#skipBytes, window.end - window.at);
    window.at += step;
    this.#skipBytes -= step;
    if (this.#skipBytes > 0 || window.end - window.at < 4) return false;
    const trailer = window.view.getUint32(window.at, this.#littleEndian);
    const total = this.#skipTotal;
    if (trailer !== total) {
      this.#fail(`a block has length ${total} at its start and ${trailer} at its end`, this.#skipOffset);
      return false;
    }
    window.at += 4;
    this.#skipTotal = 0;
    return true;
  }

  #startSection(view: DataView, at: number): boolean {
    const magic = view.getUint32(at + 8, true);
    if (magic === SECTION_MAGIC) this.#littleEndian = true;
    else if (view.getUint32(at + 8, false) === SECTION_MAGIC) this.#littleEndian = false;
    else {
      this.#fail("a section header has no byte-order magic");
      return false;
    }
    return true;
  }

  #endSectionHeader(total: number): boolean {
    const window = this.#window;
    if (total < SECTION_HEADER_BYTES_MIN) {
      return this.#fail(`a section header has length ${total}, expected 28 or more`);
    }
    const major = window.view.getUint16(window.at + 12, this.#littleEndian);
    const minor = window.view.getUint16(window.at + 14, this.#littleEndian);
    if (major !== 1) return this.#fail(`pcapng version ${major}.${minor}, expected 1.0`);
    this.#sections++;
    this.#section = [];
    this.#processes.clear();
    return false;
  }

  #interface(view: DataView, body: number, end: number): void {
    if (end - body < 8) {
      this.#fail("an interface description is shorter than 20 bytes");
      return;
    }
    if (this.interfaces.length >= CAPTURE_INTERFACE_COUNT_MAX) {
      this.#fail(`more than ${CAPTURE_INTERFACE_COUNT_MAX} interfaces`);
      return;
    }
    const little = this.#littleEndian;
    const linkType = view.getUint16(body, little);
    const snapLength = view.getUint32(body + 4, little);
    const options = this.#options;
    let name = "", filter = "";
    let resolution = TIME_SCALE_DEFAULT.resolution;
    let offsetSeconds = 0;
    options.start(view, body + 8, end, little);
    while (options.next()) {
      const { code, valueAt, valueLength } = options;
      if (code === INTERFACE_OPTION.NAME) name = captureText(view, valueAt, valueLength);
      else if (code === INTERFACE_OPTION.FILTER && valueLength > 1) {
        filter = captureText(view, valueAt + 1, valueLength - 1);
      } else if (code === INTERFACE_OPTION.TSRESOL && valueLength === 1) resolution = view.getUint8(valueAt);
      else if (code === INTERFACE_OPTION.TSOFFSET && valueLength === 8) {
        offsetSeconds = Number(view.getBigInt64(valueAt, little));
      } else if (code === INTERFACE_OPTION.TSRESOL || code === INTERFACE_OPTION.TSOFFSET) this.#malformed++;
    }
    if (options.malformed) this.#malformed++;
    const fact = { linkType, snapLength, name, filter };
    const scale = { resolution, offsetUs: offsetSeconds * 1_000_000 };
    this.#section.push({ ...fact, index: this.interfaces.length, scale });
    this.interfaces.push(fact);
    addLinkTypeName(this.linkTypes, linkType);
  }

  #enhancedPacket(view: DataView, body: number, end: number): boolean {
    if (end - body < 20) return this.#fail("an enhanced packet block is shorter than 32 bytes");
    const little = this.#littleEndian;
    const id = view.getUint32(body, little);
    const source = this.#section[id];
    if (source === undefined) return this.#noInterface(id);
    const high = view.getUint32(body + 4, little);
    convertTime(source.scale, high, view.getUint32(body + 8, little), this.record);
    return this.#packet(
      source,
      view,
      body + 20,
      end,
      view.getUint32(body + 12, little),
      view.getUint32(body + 16, little),
    );
  }

  #obsoletePacket(view: DataView, body: number, end: number): boolean {
    if (end - body < 20) return this.#fail("a packet block is shorter than 32 bytes");
    const little = this.#littleEndian;
    const id = view.getUint16(body, little);
    const source = this.#section[id];
    if (source === undefined) return this.#noInterface(id);
    const high = view.getUint32(body + 4, little);
    convertTime(source.scale, high, view.getUint32(body + 8, little), this.record);
    return this.#packet(
      source,
      view,
      body + 20,
      end,
      view.getUint32(body + 12, little),
      view.getUint32(body + 16, little),
    );
  }

  /** A simple packet has no captured length, no time and no options: the interface's snap length and the block bound it. */
  #simplePacket(view: DataView, body: number, end: number): boolean {
    if (end - body < 4) return this.#fail("a simple packet block is shorter than 16 bytes");
    const source = this.#section[0];
    if (source === undefined) return this.#noInterface(0);
    const originalLength = view.getUint32(body, this.#littleEndian);
    let length = Math.min(originalLength, end - body - 4);
    if (source.snapLength !== 0 && source.snapLength < length) length = source.snapLength;
    return this.#packet(source, view, body + 4, body + 4 + length, length, originalLength);
  }

  #packet(
    source: SectionInterface,
    view: DataView,
    dataAt: number,
    end: number,
    length: number,
    originalLength: number,
  ): boolean {
    if (length > end - dataAt) {
      return this.#fail(`a packet claims ${length} captured bytes in a block with ${end - dataAt}`);
    }
    const record = this.record;
    record.bytes = this.#window.bytes;
    record.view = view;
    record.dataAt = dataAt;
    record.dataLength = length;
    record.originalLength = originalLength;
    record.linkType = source.linkType;
    record.interfaceIndex = source.index;
    record.fileOffset = this.#window.offset;
    record.direction = 0;
    record.process = undefined;
    const optionsAt = dataAt + ((length + 3) & ~3);
    if (optionsAt < end) this.#packetOptions(view, optionsAt, end);
    this.packets++;
    this.bytes += length;
    this.originalBytes += originalLength;
    return true;
  }

  #packetOptions(view: DataView, at: number, end: number): void {
    const little = this.#littleEndian;
    const options = this.#options;
    let owner: ProcessFact | undefined;
    let effective: ProcessFact | undefined;
    options.start(view, at, end, little);
    while (options.next()) {
      const valueAt = options.valueAt;
      switch (options.code) {
        case PACKET_OPTION.FLAGS:
          if (options.valueLength === 4) {
            const direction = view.getUint32(valueAt, little) & 3;
            this.record.direction = direction === 1 ? 1 : direction === 2 ? 2 : 0;
          } else this.#malformed++;
          break;
        case PACKET_OPTION.PROCESS_THREAD_ID:
          if (options.valueLength === 8) {
            owner = this.#processes.byId(view.getUint32(valueAt, little), this.record.timestampUs);
          } else this.#malformed++;
          break;
        case PACKET_OPTION.DARWIN_PROCESS_INDEX:
          if (options.valueLength === 4) owner = this.#processes.byDarwinIndex(view.getUint32(valueAt, little));
          else this.#malformed++;
          break;
        case PACKET_OPTION.DARWIN_EFFECTIVE_PROCESS_INDEX:
          if (options.valueLength === 4) effective = this.#processes.byDarwinIndex(view.getUint32(valueAt, little));
          else this.#malformed++;
          break;
        default:
          break;
      }
    }
    if (options.malformed) this.#malformed++;
    this.record.process = owner ?? effective;
  }

  #noInterface(id: number): boolean {
    return this.#fail(`a packet names interface ${id}, but the section describes ${this.#section.length}`);
  }

  #tell(type: number, offset: number, total: number): void {
    const kind = SHORT_NAMES.get(type) ?? `0x${type.toString(16).padStart(8, "0")}`;
    this.#observer!(kind, offset, total);
  }

  #starved(what: string, want: number): DecodeStep {
    if (this.error !== null) return DECODE.END;
    if (!this.#finished) return DECODE.NEED_MORE;
    const window = this.#window;
    const skipped = this.#skipTotal === 0 ? 0 : window.offset - this.#skipOffset;
    const have = window.end - window.at + skipped;
    if (have === 0) return DECODE.END;
    this.#fail(`the file ends inside ${what}: ${have} of ${want} bytes`, window.offset - skipped);
    return DECODE.END;
  }

  #fail(message: string, offset = this.#window.offset): false {
    this.error = { message, offset };
    return false;
  }
}
