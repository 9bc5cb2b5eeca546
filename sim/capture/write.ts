/**
 * Writes pcapng: what `weir replay --out` and `weir record` produce.
 *
 * Read first: draft-ietf-opsawg-pcapng sections 4.1 to 4.3 and 4.5; process_blocks.ts for processes. pcapng.ts draws the blocks.
 *
 * Little-endian, one section, timestamps in nanoseconds (if_tsresol 9), so that nothing a reader knows is lost.
 */
import type { IpAddress } from "../../core/base/ip_address.ts";
import { invariant } from "../../core/base/invariant.ts";
import { CAPTURE_FACT_COUNT_MAX, CAPTURE_RECORD_BYTES_MAX, CAPTURE_TEXT_BYTES_MAX } from "../../core/base/limits.ts";
import { LINKTYPE } from "./link_types.ts";
import { NAME_RECORD } from "./name_block.ts";
import { BLOCK, INTERFACE_OPTION, PACKET_OPTION, SECTION_MAGIC } from "./pcapng.ts";
import { OPTION } from "./pcapng_options.ts";
import { PROCESS_OPTION } from "./process_blocks.ts";
import type { CaptureDirection, CaptureNameRecord, ProcessFact } from "./record.ts";

/** Takes finished bytes; they are overwritten after the call, so it writes or copies them before it returns. */
export type ByteSink = (bytes: Uint8Array) => void;

/** What the section header says about its maker. */
export interface SectionFields {
  readonly application?: string;
  readonly system?: string;
  readonly comment?: string;
}

/** One interface to describe. */
export interface InterfaceFields {
  /** A LINKTYPE_ number; RAW (101) without one. */
  readonly linkType?: number;
  readonly snapLength?: number;
  readonly name?: string;
  readonly filter?: string;
}

/** What is written with a packet's bytes. One object may serve for every packet. */
export interface PacketFields {
  readonly timestampUs: number;
  readonly timestampNsRest?: number;
  /** From `addInterface`; 0 without one. */
  readonly interfaceIndex?: number;
  /** Units: bytes on the wire; the length of the bytes without one. */
  readonly originalLength?: number;
  readonly direction?: CaptureDirection;
  readonly comment?: string | undefined;
  readonly process?: ProcessFact | undefined;
}

const FLUSH_BYTES = 262_144;
/** Room for everything of a block but its packet: fixed fields, options with their padding, and one process block before it. */
const BLOCK_OVERHEAD_BYTES = 65_536;
const SECTION_OPTION = { SYSTEM: 3, APPLICATION: 4 } as const;
const TSRESOL_NANOSECONDS = 9;
const WORD = 0x1_0000_0000;

const encoder = new TextEncoder();

/** A pcapng file as a stream of bytes into a sink. Errors: none of its own; what the sink throws passes through. */
export class PcapngWriter {
  readonly #sink: ByteSink;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FLUSH_BYTES + BLOCK_OVERHEAD_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #blockAt = 0;
  #interfaces = 0;
  readonly #indexByFact: WeakMap<ProcessFact, number> = new WeakMap();
  readonly #indexByText: Map<string, number> = new Map();
  /** Packets whose process was left out, because the file names as many as a reader takes. */
  packetsWithoutProcess = 0;

  constructor(sink: ByteSink, section: SectionFields = {}) {
    this.#sink = sink;
    this.#begin(BLOCK.SECTION_HEADER);
    this.#word(SECTION_MAGIC);
    this.#half(1);
    this.#half(0);
    this.#word(0xffff_ffff);
    this.#word(0xffff_ffff);
    if (section.comment !== undefined) this.#text(OPTION.COMMENT, section.comment);
    if (section.system !== undefined) this.#text(SECTION_OPTION.SYSTEM, section.system);
    if (section.application !== undefined) this.#text(SECTION_OPTION.APPLICATION, section.application);
    this.#word(OPTION.END);
    this.#end();
  }

  /** Describes an interface; the packets name it by the index that this returns. */
  addInterface(fields: InterfaceFields = {}): number {
    this.#begin(BLOCK.INTERFACE);
    this.#half(fields.linkType ?? LINKTYPE.RAW);
    this.#half(0);
    this.#word(fields.snapLength ?? 0);
    if (fields.name !== undefined) this.#text(INTERFACE_OPTION.NAME, fields.name);
    if (fields.filter !== undefined) {
      // The first byte tells the kind of filter: 0 is libpcap's text.
      this.#text(INTERFACE_OPTION.FILTER, `\0${fields.filter}`);
    }
    this.#half(INTERFACE_OPTION.TSRESOL);
    this.#half(1);
    this.#word(TSRESOL_NANOSECONDS);
    this.#word(OPTION.END);
    this.#end();
    return this.#interfaces++;
  }

  /** Writes one packet, the `length` bytes of `source` from `at` on. Shape: the first packet without an interface describes a RAW one. */
  writePacket(source: Uint8Array, at: number, length: number, fields: PacketFields): void {
    invariant(length <= CAPTURE_RECORD_BYTES_MAX - BLOCK_OVERHEAD_BYTES, "a packet is too long for a capture file");
    if (this.#interfaces === 0) this.addInterface();
    const interfaceIndex = fields.interfaceIndex ?? 0;
    invariant(interfaceIndex < this.#interfaces, "a packet names an interface that was not described");
    const processIndex = fields.process === undefined ? -1 : this.#processIndex(fields.process);
    this.#begin(BLOCK.ENHANCED_PACKET, length);
    this.#word(interfaceIndex);
    this.#word(highNs(fields));
    this.#word(lowNs(fields));
    this.#word(length);
    this.#word(fields.originalLength ?? length);
    this.#bytes.set(source.subarray(at, at + length), this.#at);
    this.#at += length;
    this.#pad();
    this.#packetOptions(fields, processIndex);
    this.#end();
    if (this.#at >= FLUSH_BYTES) this.flush();
  }

  /** Writes names of addresses. Drops: names too long to be one (RFC 1035: 255 bytes) and addresses without a name. */
  writeNames(records: readonly CaptureNameRecord[]): void {
    for (const record of records) {
      const names = record.names.map((name) => encoder.encode(name)).filter((name) =>
        name.length > 0 && name.length < 256
      );
      if (names.length === 0) continue;
      this.#begin(BLOCK.NAMES);
      for (const name of names.slice(0, 64)) {
        this.#half(record.address.version === 4 ? NAME_RECORD.IPV4 : NAME_RECORD.IPV6);
        this.#half((record.address.version === 4 ? 4 : 16) + name.length + 1);
        this.#address(record.address);
        this.#bytes.set(name, this.#at);
        this.#at += name.length;
        this.#byte(0);
        this.#pad();
      }
      this.#word(OPTION.END);
      this.#end();
      if (this.#at >= FLUSH_BYTES) this.flush();
    }
  }

  /** Hands everything written so far to the sink. The file is whole after it. */
  flush(): void {
    if (this.#at === 0) return;
    const bytes = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    this.#sink(bytes);
  }

  #packetOptions(fields: PacketFields, processIndex: number): void {
    const direction = fields.direction ?? 0;
    const comment = fields.comment;
    if (direction === 0 && comment === undefined && processIndex < 0) return;
    if (comment !== undefined) this.#text(OPTION.COMMENT, comment);
    if (direction !== 0) {
      this.#half(PACKET_OPTION.FLAGS);
      this.#half(4);
      this.#word(direction);
    }
    if (processIndex >= 0) {
      this.#half(PACKET_OPTION.DARWIN_PROCESS_INDEX);
      this.#half(4);
      this.#word(processIndex);
    }
    this.#word(OPTION.END);
  }

  /** The index of a process in this file, whose block is written when it is new; −1 when there are too many. */
  #processIndex(fact: ProcessFact): number {
    let index = this.#indexByFact.get(fact);
    if (index !== undefined) return index;
    const key = JSON.stringify([fact.path, fact.name, fact.pid, fact.user, fact.uid]);
    index = this.#indexByText.get(key);
    if (index === undefined) {
      if (this.#indexByText.size >= CAPTURE_FACT_COUNT_MAX) {
        this.packetsWithoutProcess++;
        return -1;
      }
      index = this.#indexByText.size;
      this.#indexByText.set(key, index);
      this.#processBlock(fact);
    }
    this.#indexByFact.set(fact, index);
    return index;
  }

  #processBlock(fact: ProcessFact): void {
    this.#begin(BLOCK.DARWIN_PROCESS);
    this.#word(fact.pid);
    if (fact.name !== "") this.#text(PROCESS_OPTION.NAME, fact.name);
    if (fact.path !== "") this.#text(PROCESS_OPTION.PATH, fact.path);
    if (fact.uid !== undefined) {
      this.#half(PROCESS_OPTION.UID);
      this.#half(4);
      this.#word(fact.uid);
    }
    if (fact.user !== "") this.#text(PROCESS_OPTION.USER, fact.user);
    this.#word(OPTION.END);
    this.#end();
  }

  #address(address: IpAddress): void {
    const words = address.version === 4 ? [address.w3] : [address.w0, address.w1, address.w2, address.w3];
    for (const word of words) {
      this.#view.setUint32(this.#at, word, false);
      this.#at += 4;
    }
  }

  #reserve(lengthBytes: number): void {
    if (this.#at + lengthBytes <= this.#bytes.length) return;
    this.flush();
    if (lengthBytes <= this.#bytes.length) return;
    this.#bytes = new Uint8Array(lengthBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #begin(type: number, packetBytes = 0): void {
    this.#reserve(packetBytes + BLOCK_OVERHEAD_BYTES);
    this.#blockAt = this.#at;
    this.#word(type);
    this.#word(0);
  }

  #end(): void {
    const total = this.#at + 4 - this.#blockAt;
    this.#view.setUint32(this.#blockAt + 4, total, true);
    this.#word(total);
  }

  #text(code: number, text: string): void {
    const room = this.#bytes.subarray(this.#at + 4, this.#at + 4 + CAPTURE_TEXT_BYTES_MAX);
    const length = encoder.encodeInto(text, room).written;
    this.#half(code);
    this.#half(length);
    this.#at += length;
    this.#pad();
  }

  #pad(): void {
    while ((this.#at - this.#blockAt & 3) !== 0) this.#byte(0);
  }

  #byte(value: number): void {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }

  #half(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  #word(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }
}

/** Below the high word. A time before 1970 cannot be written and becomes 1970. */
function lowWords(fields: PacketFields): number {
  return (Math.max(0, fields.timestampUs) % WORD) * 1000 + (fields.timestampNsRest ?? 0);
}

function lowNs(fields: PacketFields): number {
  return lowWords(fields) % WORD;
}

function highNs(fields: PacketFields): number {
  return Math.floor(Math.max(0, fields.timestampUs) / WORD) * 1000 + Math.floor(lowWords(fields) / WORD);
}
