/**
 * The name of a QUIC connection: the client's Initial packets are opened and their CRYPTO frames put together.
 *
 * Read first: RFC 9001 section 5 (Initial secrets come from the client's first DCID; a Retry changes it), RFC 9000 section 17.2.2.
 *
 *     datagram → coalesced long-header packets → Initial → open → CRYPTO frames → handshake stream → ClientHello
 */
import { QUIC_INITIALS_MAX, QUIC_UNDECRYPTABLE_MAX, STREAM_PREFIX_BYTES_MAX } from "../base/limits.ts";
import { type ChloName, ChloRead, readChlo } from "../wire/gquic_chlo.ts";
import { readHostName } from "../wire/host_name.ts";
import {
  createLongHeader,
  CryptoFrames,
  expandPacketNumber,
  FrameRead,
  isLongHeader,
  longHeaderVersion,
  LongPacket,
  readLongHeader,
} from "../wire/quic_initial.ts";
import { findQuicVersion, isPlausibleQuicVersion, type QuicVersion } from "../wire/quic_version.ts";
import { HANDSHAKE_HEADER_BYTES } from "../wire/tls_record.ts";
import type { InitialCrypto, InitialKeys } from "./sniff_crypto.ts";
import { type HelloName, nameHello } from "./sniff_hello.ts";
import { type PrefixBudget, StreamPrefix } from "./stream_prefix.ts";

/** What a datagram brought. */
export const QuicSniff = {
  /** QUIC, and the hello is not whole yet. */
  More: 0,
  /** The hello is whole. */
  Hello: 1,
  /** Not QUIC that can be read. */
  Unknown: 2,
  /** The bounds are reached, or the handshake is not what it should be. */
  GiveUp: 3,
} as const;
export type QuicSniff = (typeof QuicSniff)[keyof typeof QuicSniff];

const SAMPLE_BYTES = 16;
const SAMPLE_OFFSET = 4;
const TAG_BYTES = 16;
const PACKET_NUMBER_BYTES_MAX = 4;
const MESSAGE_CLIENT_HELLO = 1;

const header = createLongHeader();
const frames = new CryptoFrames();

/** A copy of some bytes; Initial packets are few per flow, and the cryptography wants arrays of its own. */
function createCopy(view: DataView, at: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(new Uint8Array(view.buffer, view.byteOffset + at, length));
  return copy;
}

function createKeys(initialCrypto: InitialCrypto, version: QuicVersion, dcid: Uint8Array): InitialKeys {
  const client = initialCrypto.hkdfLabel(version.salt, dcid, "client in", 32);
  return {
    key: initialCrypto.hkdfExpandLabel(client, version.keyLabel, 16),
    iv: initialCrypto.hkdfExpandLabel(client, version.ivLabel, 12),
    hp: initialCrypto.hkdfExpandLabel(client, version.hpLabel, 16),
  };
}

function createPlainView(plain: Uint8Array): DataView {
  return new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
}

function createStream(budget: PrefixBudget | undefined): StreamPrefix {
  return new StreamPrefix(STREAM_PREFIX_BYTES_MAX, budget);
}

const chlo: ChloName = { nameAt: -1, nameLength: 0 };

/** Reads the name from a CHLO message of Google's QUIC. */
export function nameChlo(view: DataView, at: number, length: number, out: HelloName): QuicSniff {
  const read = readChlo(view, at, length, chlo);
  if (read === ChloRead.Bad) return QuicSniff.GiveUp;
  if (read === ChloRead.More) return QuicSniff.More;
  out.ech = false;
  out.host = chlo.nameAt < 0 ? "" : readHostName(view, at + chlo.nameAt, chlo.nameLength);
  out.badName = chlo.nameAt >= 0 && out.host === "";
  return QuicSniff.Hello;
}

/** See the head of this file. One per UDP flow; it reads one direction. */
export class QuicSniffer {
  readonly #crypto: InitialCrypto;
  readonly #budget: PrefixBudget | undefined;
  #stream: StreamPrefix;
  #keys: InitialKeys | undefined = undefined;
  #keysDcid: Uint8Array | undefined = undefined;
  #keysVersion = 0;
  #largestNumber = -1;
  #initialCount = 0;
  #sealedCount = 0;
  #opened = false;

  constructor(initialCrypto: InitialCrypto, budget: PrefixBudget | undefined) {
    this.#crypto = initialCrypto;
    this.#budget = budget;
    this.#stream = createStream(budget);
  }

  /** True when an Initial packet could be opened: this direction is the client's. */
  get opened(): boolean {
    return this.#opened;
  }

  /** True when bytes of the hello were given up for lack of room. */
  get overflowed(): boolean {
    return this.#stream.overflowed;
  }

  /** Looks at a datagram with all packets in it. */
  datagram(view: DataView, at: number, length: number, out: HelloName): QuicSniff {
    let from = 0;
    let result: QuicSniff = QuicSniff.Unknown;
    while (from + 7 <= length && isLongHeader(view.getUint8(at + from))) {
      const number = longHeaderVersion(view, at + from);
      const version = findQuicVersion(number);
      if (version === undefined && !(from === 0 && isPlausibleQuicVersion(number))) return result;
      if (!readLongHeader(view, at, from, length, version !== undefined && version.isVersion2, header)) return result;
      result = QuicSniff.More;
      const end = header.end;
      if (version !== undefined && header.packet === LongPacket.Initial) {
        const opened = this.#initial(view, at, from, version, out);
        if (opened !== QuicSniff.More) return opened;
      }
      from = end;
    }
    return result;
  }

  /** The name in what is there of the hello, when no more will come. */
  finish(out: HelloName): void {
    const view = this.#stream.view;
    const count = this.#stream.readable;
    if (count > 0 && view.getUint8(0) === MESSAGE_CLIENT_HELLO) nameHello(view, 0, count, false, out);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#stream.dispose();
  }

  #initial(view: DataView, at: number, from: number, version: QuicVersion, out: HelloName): QuicSniff {
    if (this.#initialCount++ >= QUIC_INITIALS_MAX) return QuicSniff.GiveUp;
    if (header.end - header.numberAt < SAMPLE_OFFSET + SAMPLE_BYTES) return QuicSniff.More;
    const plain = this.#open(view, at, from, version);
    if (plain === undefined) return this.#sealedCount++ >= QUIC_UNDECRYPTABLE_MAX ? QuicSniff.GiveUp : QuicSniff.More;
    this.#sealedCount = 0;
    this.#opened = true;
    return this.#readFrames(createPlainView(plain), version, out);
  }

  /** Opens the packet in `header` with the keys at hand, else with keys from its own DCID (first packet, or after a Retry). */
  #open(view: DataView, at: number, from: number, version: QuicVersion): Uint8Array | undefined {
    if (this.#keys !== undefined && this.#keysVersion === header.version) {
      const plain = this.#openWith(this.#keys, this.#largestNumber, view, at, from);
      if (plain !== undefined || this.#isKeysDcid(view, at)) return plain;
    }
    const dcid = createCopy(view, at + header.dcidAt, header.dcidLength);
    const keys = createKeys(this.#crypto, version, dcid);
    const plain = this.#openWith(keys, -1, view, at, from);
    if (plain === undefined) return undefined;
    if (this.#keys !== undefined) {
      this.#stream.dispose();
      this.#stream = createStream(this.#budget);
    }
    this.#keys = keys;
    this.#keysDcid = dcid;
    this.#keysVersion = header.version;
    return plain;
  }

  #isKeysDcid(view: DataView, at: number): boolean {
    const dcid = this.#keysDcid;
    if (dcid === undefined || dcid.length !== header.dcidLength) return false;
    for (let i = 0; i < dcid.length; i++) {
      if (dcid[i] !== view.getUint8(at + header.dcidAt + i)) return false;
    }
    return true;
  }

  /** Takes header protection off and opens the payload. The captured bytes stay as they are. */
  #openWith(
    keys: InitialKeys,
    largest: number,
    view: DataView,
    at: number,
    from: number,
  ): Uint8Array | undefined {
    const numberAt = header.numberAt;
    const sample = createCopy(view, at + numberAt + SAMPLE_OFFSET, SAMPLE_BYTES);
    const mask = this.#crypto.aes128Block(keys.hp, sample);
    const headBytes = numberAt - from;
    const head = createCopy(view, at + from, headBytes + PACKET_NUMBER_BYTES_MAX);
    head[0] = head[0]! ^ (mask[0]! & 0x0f);
    const numberBytes = (head[0]! & 3) + 1;
    let truncated = 0;
    for (let i = 0; i < numberBytes; i++) {
      const byte = head[headBytes + i]! ^ mask[1 + i]!;
      head[headBytes + i] = byte;
      truncated = truncated * 256 + byte;
    }
    const number = expandPacketNumber(largest, truncated, numberBytes);
    const payloadAt = numberAt + numberBytes;
    if (header.end - payloadAt <= TAG_BYTES) return undefined;
    const nonce = keys.iv.slice();
    for (let i = 0; i < 4; i++) nonce[11 - i] = nonce[11 - i]! ^ ((number >>> (8 * i)) & 0xff);
    const sealed = createCopy(view, at + payloadAt, header.end - payloadAt);
    const plain = this.#crypto.aes128GcmOpen(keys.key, nonce, head.slice(0, headBytes + numberBytes), sealed);
    if (plain !== undefined && number > this.#largestNumber) this.#largestNumber = number;
    return plain;
  }

  #readFrames(plain: DataView, version: QuicVersion, out: HelloName): QuicSniff {
    frames.reset(version.cryptoFrame);
    for (;;) {
      const frame = frames.next(plain, 0, plain.byteLength);
      if (frame !== FrameRead.Crypto) break;
      this.#stream.addAt(frames.offset, plain, frames.dataAt, frames.dataLength);
    }
    const view = this.#stream.view;
    const there = this.#stream.readable;
    if (version.isGoogleCrypto) return nameChlo(view, 0, there, out);
    if (there > 0 && view.getUint8(0) !== MESSAGE_CLIENT_HELLO) return QuicSniff.GiveUp;
    if (there < HANDSHAKE_HEADER_BYTES) return QuicSniff.More;
    const total = HANDSHAKE_HEADER_BYTES + (view.getUint32(0) & 0xff_ffff);
    if (total > STREAM_PREFIX_BYTES_MAX) return QuicSniff.GiveUp;
    if (there < total) return QuicSniff.More;
    nameHello(view, 0, total, false, out);
    return QuicSniff.Hello;
  }
}
