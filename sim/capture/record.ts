/** What a capture reader hands out: one packet at a time, in one record that the next packet overwrites. */
import type { IpAddress } from "../../core/base/ip_address.ts";

/** Who sent or received a packet. Shape: what is not known is empty; `pid` 0 means that the number is not known. */
export interface ProcessFact {
  readonly path: string;
  readonly name: string;
  readonly pid: number;
  readonly user: string;
  readonly uid: number | undefined;
}

/** Which way a packet went, seen from the recording machine: 0 not known, 1 inbound, 2 outbound. */
export type CaptureDirection = 0 | 1 | 2;

/** One captured packet. Everything in it is valid until the reader is asked for the next one. */
export interface CaptureRecord {
  /** The captured bytes, link header included: a view into the reader's buffer, made when asked for. */
  readonly data: Uint8Array;
  /** The reader's buffer; the packet stands at `dataAt`. It is the same object for many packets. */
  readonly view: DataView;
  readonly dataAt: number;
  /** Units: bytes captured. */
  readonly dataLength: number;
  /** Units: bytes on the wire; it may be less than `dataLength` in a file that lies. */
  readonly originalLength: number;
  /** A LINKTYPE_ number; see link_types.ts. */
  readonly linkType: number;
  /** Units: µs since the Unix epoch, rounded down. A packet without a time has that of the packet before it. */
  readonly timestampUs: number;
  /** What `timestampUs` leaves out. Units: ns, 0 … 999. */
  readonly timestampNsRest: number;
  readonly direction: CaptureDirection;
  /** From the packet's own options; a link header (PKTAP) may know more. */
  readonly process: ProcessFact | undefined;
  /** Index into the reader's `interfaces`; 0 in a pcap file. */
  readonly interfaceIndex: number;
  /** Where the packet's record begins. Units: bytes from the start of the (decompressed) file. */
  readonly fileOffset: number;
}

/** One interface of a capture, in the order of appearance. */
export interface CaptureInterface {
  readonly linkType: number;
  /** As the file says; 0 means no limit, and many files lie. Units: bytes. */
  readonly snapLength: number;
  readonly name: string;
  readonly filter: string;
}

/** Names that a capture knows for one address. Source: draft-ietf-opsawg-pcapng section 4.5. */
export interface CaptureNameRecord {
  readonly address: IpAddress;
  readonly names: readonly string[];
}

/** Where and why reading ended early; what was read before it counts. */
export interface CaptureDamage {
  readonly message: string;
  /** Where the damaged record begins. Units: bytes from the start of the (decompressed) file. */
  readonly offset: number;
}

/** The file's kind. */
export type CaptureFormat = "pcap" | "pcapng";

/** What a decoder's `next` found: not enough bytes yet, a packet, or the end (see `error`). */
export const DECODE = { NEED_MORE: 0, PACKET: 1, END: 2 } as const;

/** One of `DECODE`. */
export type DecodeStep = typeof DECODE[keyof typeof DECODE];

/** Told of every block of a pcapng file ("SHB", "EPB", … or "0x" and eight digits) and every packet record of a pcap file ("packet"). */
export type BlockObserver = (kind: string, offset: number, lengthBytes: number) => void;

/** A capture format as a machine without input or output: bytes in, packets out. */
export interface CaptureDecoder {
  readonly format: CaptureFormat;
  readonly record: CaptureRecord;
  readonly interfaces: readonly CaptureInterface[];
  /** Names without LINKTYPE_, each once, in order of appearance. */
  readonly linkTypes: readonly string[];
  readonly nameRecords: readonly CaptureNameRecord[];
  readonly packets: number;
  /** Captured bytes of all packets so far. */
  readonly bytes: number;
  /** Bytes of all packets so far as they were on the wire. */
  readonly originalBytes: number;
  /** Options, process blocks and names that were malformed or too many, and were passed over. */
  readonly ignoredFacts: number;
  readonly error: CaptureDamage | null;
  /** Takes the file's next bytes; they are copied. */
  push(bytes: Uint8Array): void;
  /** Free room in the decoder's own buffer, for input without a copy; `filled` says how much of it was used. */
  room(): Uint8Array<ArrayBuffer>;
  filled(lengthBytes: number): void;
  /** Says that no more bytes will come. */
  finish(): void;
  next(): DecodeStep;
}

/** The record that a decoder fills again and again. */
export class MutableCaptureRecord implements CaptureRecord {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  dataAt = 0;
  dataLength = 0;
  originalLength = 0;
  linkType = 0;
  timestampUs = 0;
  timestampNsRest = 0;
  direction: CaptureDirection = 0;
  process: ProcessFact | undefined = undefined;
  interfaceIndex = 0;
  fileOffset = 0;

  get data(): Uint8Array {
    return this.bytes.subarray(this.dataAt, this.dataAt + this.dataLength);
  }
}
