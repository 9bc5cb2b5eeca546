/** Capture files: the one place in `sim/` that opens files. */
import { CAPTURE_CHUNK_BYTES } from "../../core/base/limits.ts";
import { CAPTURE_MAGIC_BYTES, decoderFor } from "./decode.ts";
import { type ByteSource, GunzipSource } from "./gunzip.ts";
import {
  type BlockObserver,
  type CaptureDamage,
  type CaptureDecoder,
  type CaptureFormat,
  type CaptureInterface,
  type CaptureNameRecord,
  type CaptureRecord,
  DECODE,
} from "./record.ts";

/** A capture cannot be opened or is none at all. A file that is damaged further on is opened: see `CaptureReader.error`. */
export class CaptureError extends Error {
  override name = "CaptureError";
}

/** A capture file, read once from its start to its end in bounded memory. */
export interface CaptureReader {
  readonly path: string;
  readonly format: CaptureFormat;
  readonly isCompressed: boolean;
  /** Names without LINKTYPE_, each once, in order of appearance. */
  readonly linkTypes: readonly string[];
  readonly interfaces: readonly CaptureInterface[];
  readonly nameRecords: readonly CaptureNameRecord[];
  /** Packets handed out so far, their captured bytes, and their bytes on the wire. */
  readonly packets: number;
  readonly bytes: number;
  readonly originalBytes: number;
  readonly ignoredFacts: number;
  /** What ended the reading early: `message` alone is the whole sentence, with file and offset. */
  readonly error: CaptureDamage | null;
  /** For progress: bytes of the file as it lies on disk, 0 when not known, and how many of them have been read. */
  readonly fileBytes: number;
  readonly fileBytesRead: number;
  /** The next packet among the bytes at hand; undefined when `fill` is needed. The record is overwritten by the next call. */
  tryNext(): CaptureRecord | undefined;
  /** Reads on; false at the end of the file or where it is damaged. Ends the validity of the last record. */
  fill(): Promise<boolean>;
  /** `tryNext` and `fill` in one, for callers without haste. */
  next(): Promise<CaptureRecord | undefined>;
  close(): void;
  [Symbol.dispose](): void;
}

const COMPRESSIONS: readonly (readonly [string, readonly number[]])[] = [
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["zip", [0x50, 0x4b, 0x03, 0x04]],
];

class FileSource implements ByteSource {
  bytesRead = 0;
  readonly #file: Deno.FsFile;
  readonly #isPlain: boolean;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #pending: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  constructor(file: Deno.FsFile, isPlain: boolean) {
    this.#file = file;
    this.#isPlain = isPlain;
  }

  /** The first bytes, which `read` gives again. */
  async peek(lengthBytes: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(lengthBytes);
    let length = 0;
    while (length < lengthBytes) {
      const read = await this.#file.read(bytes.subarray(length));
      if (read === null) break;
      length += read;
    }
    this.#pending = bytes.subarray(0, length);
    return this.#pending;
  }

  /** Reads into the given room; 0 is the end. */
  async readInto(room: Uint8Array<ArrayBuffer>): Promise<number> {
    const again = Math.min(this.#pending.length, room.length);
    room.set(this.#pending.subarray(0, again));
    this.#pending = this.#pending.subarray(again);
    const length = again + (again < room.length ? await this.#readSome(room.subarray(again)) ?? 0 : 0);
    this.bytesRead += length;
    return length;
  }

  /** A plain file is read on the spot: going through a thread takes longer than the read itself, and a replay has nothing else to do. */
  #readSome(room: Uint8Array<ArrayBuffer>): number | null | Promise<number | null> {
    return this.#isPlain ? this.#file.readSync(room) : this.#file.read(room);
  }

  async read(lengthBytesMax: number): Promise<Uint8Array> {
    if (this.#buffer.length < lengthBytesMax) this.#buffer = new Uint8Array(lengthBytesMax);
    const length = await this.readInto(this.#buffer.subarray(0, lengthBytesMax));
    return this.#buffer.subarray(0, length);
  }

  close(): void {
    this.#file.close();
  }
}

class FileCaptureReader implements CaptureReader {
  readonly path: string;
  readonly fileBytes: number;
  readonly #file: FileSource;
  readonly #decoder: CaptureDecoder;
  readonly #gunzip: GunzipSource | undefined;
  #pending: Uint8Array;
  #error: CaptureDamage | null = null;
  #decodedBytes = 0;
  #starved = false;
  #ended = false;
  #closed = false;

  constructor(
    path: string,
    fileBytes: number,
    file: FileSource,
    decoder: CaptureDecoder,
    gunzip: GunzipSource | undefined,
    pending: Uint8Array,
  ) {
    this.path = path;
    this.fileBytes = fileBytes;
    this.#file = file;
    this.#decoder = decoder;
    this.#gunzip = gunzip;
    this.#pending = pending;
  }

  get format(): CaptureFormat {
    return this.#decoder.format;
  }
  get isCompressed(): boolean {
    return this.#gunzip !== undefined;
  }
  get linkTypes(): readonly string[] {
    return this.#decoder.linkTypes;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.#decoder.interfaces;
  }
  get nameRecords(): readonly CaptureNameRecord[] {
    return this.#decoder.nameRecords;
  }
  get packets(): number {
    return this.#decoder.packets;
  }
  get bytes(): number {
    return this.#decoder.bytes;
  }
  get originalBytes(): number {
    return this.#decoder.originalBytes;
  }
  get ignoredFacts(): number {
    return this.#decoder.ignoredFacts;
  }
  get error(): CaptureDamage | null {
    return this.#error;
  }
  get fileBytesRead(): number {
    return this.#file.bytesRead;
  }

  tryNext(): CaptureRecord | undefined {
    const step = this.#decoder.next();
    if (step === DECODE.PACKET) return this.#decoder.record;
    this.#starved = true;
    if (step === DECODE.END) this.#end();
    return undefined;
  }

  async fill(): Promise<boolean> {
    if (this.#ended) return false;
    // Bytes are at hand that nobody has asked for yet.
    if (!this.#starved && this.#decodedBytes > 0) return true;
    let length = 0;
    try {
      length = await this.#readOn();
    } catch (error) {
      if (this.#closed) return false;
      this.#failReading(error);
      return false;
    }
    this.#decodedBytes += length;
    this.#starved = false;
    if (length > 0) return true;
    this.#decoder.finish();
    this.#decoder.next();
    this.#end();
    return false;
  }

  async next(): Promise<CaptureRecord | undefined> {
    for (;;) {
      const record = this.tryNext();
      if (record !== undefined || !await this.fill()) return record;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    this.#gunzip?.close();
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #readOn(): Promise<number> {
    if (this.#gunzip === undefined) {
      const length = await this.#file.readInto(this.#decoder.room());
      this.#decoder.filled(length);
      return length;
    }
    const bytes = this.#pending.length > 0 ? this.#pending : await this.#gunzip.read();
    this.#pending = new Uint8Array(0);
    this.#decoder.push(bytes);
    return bytes.length;
  }

  #failReading(error: unknown): void {
    this.#ended = true;
    const reason = error instanceof Error ? error.message : String(error);
    const what = this.#gunzip === undefined ? `reading fails (${reason})` : `the gzip data is damaged (${reason})`;
    this.#setError(what, this.#decodedBytes);
  }

  #end(): void {
    this.#ended = true;
    const damage = this.#decoder.error;
    if (damage !== null && this.#error === null) this.#setError(damage.message, damage.offset);
  }

  #setError(what: string, offset: number): void {
    const where = this.isCompressed ? `byte ${offset} of the decompressed data` : `byte ${offset}`;
    this.#error = { message: `Cannot read capture ${this.path} from ${where} on: ${what}`, offset };
  }
}

function describeFirstBytes(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length === 0 ? "the file is empty" : `it begins with ${shown}`;
}

function notACapture(path: string, first: Uint8Array): CaptureError {
  const packed = COMPRESSIONS.find(([, magic]) => magic.every((byte, i) => first[i] === byte));
  if (packed !== undefined) {
    return new CaptureError(
      `Cannot read capture ${path}: it is compressed with ${packed[0]}, of which weir reads gzip only`,
    );
  }
  return new CaptureError(`Cannot read capture ${path}: not a pcap or pcapng file (${describeFirstBytes(first)})`);
}

async function openFile(path: string): Promise<[Deno.FsFile, number]> {
  let file: Deno.FsFile | undefined;
  try {
    // Before opening: a directory opens on some systems and not on others.
    const info = await Deno.stat(path);
    if (info.isDirectory) throw new CaptureError(`Cannot read capture ${path}: it is a directory`);
    file = await Deno.open(path, { read: true });
    return [file, info.isFile ? info.size : 0];
  } catch (error) {
    file?.close();
    if (error instanceof CaptureError) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new CaptureError(`Cannot read capture ${path}: there is no such file`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new CaptureError(`Cannot read capture ${path}: access is denied`);
    }
    throw new CaptureError(`Cannot read capture ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Enough decompressed bytes to tell the format; fewer when the data ends. */
async function readAtLeast(source: ByteSource, lengthBytes: number): Promise<Uint8Array> {
  let bytes = new Uint8Array(0);
  while (bytes.length < lengthBytes) {
    const more = await source.read(CAPTURE_CHUNK_BYTES);
    if (more.length === 0) break;
    const joined = new Uint8Array(bytes.length + more.length);
    joined.set(bytes);
    joined.set(more, bytes.length);
    bytes = joined;
  }
  return bytes;
}

/**
 * Opens a pcap or pcapng file, gzip around it or not; the contents tell which, never the name.
 * Errors: rejects with `CaptureError` when there is no capture; damage further on is `error` of the reader, after what came before it.
 */
export async function openCapture(path: string, observer?: BlockObserver): Promise<CaptureReader> {
  const [handle, fileBytes] = await openFile(path);
  const file = new FileSource(handle, fileBytes > 0);
  let gunzip: GunzipSource | undefined;
  try {
    let first = await file.peek(8);
    let pending: Uint8Array = new Uint8Array(0);
    if (first[0] === 0x1f && first[1] === 0x8b) {
      gunzip = new GunzipSource(file);
      pending = await readAtLeast(gunzip, CAPTURE_MAGIC_BYTES);
      first = pending;
    }
    const decoder = decoderFor(first, observer);
    if (decoder === undefined) throw notACapture(path, first);
    return new FileCaptureReader(path, fileBytes, file, decoder, gunzip, pending);
  } catch (error) {
    gunzip?.close();
    file.close();
    if (error instanceof CaptureError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CaptureError(
      `Cannot read capture ${path}: ${gunzip === undefined ? "" : "damaged gzip data, "}${reason}`,
    );
  }
}
