/**
 * The name in the first bytes of one direction of a TCP flow.
 *
 *     first byte 22 → TLS │ 5, 4 → SOCKS │ a letter → HTTP │ else nothing that we read
 */
import { STREAM_PREFIX_BYTES_MAX } from "../base/limits.ts";
import { formatIp, formatIpv4Word, formatIpv6Words, parseIp } from "../base/ip_address.ts";
import { readAuthorityHost, readHostName } from "../wire/host_name.ts";
import { HeadWalk, HttpHeadWalk } from "../wire/http_head.ts";
import { readSocks4, readSocks5, SocksRead, type SocksTarget } from "../wire/socks5.ts";
import { HelloWalk, RECORD_HEADER_BYTES, TlsHelloWalk } from "../wire/tls_record.ts";
import type { SniffProtocol } from "./facts.ts";
import { createHelloName, nameHello } from "./sniff_hello.ts";
import { SniffReason, type SniffResult, SniffState } from "./sniff_result.ts";
import { type PrefixBudget, StreamPrefix } from "./stream_prefix.ts";

/** What to look for. */
export interface StreamChoice {
  readonly tls: boolean;
  readonly http: boolean;
  readonly socks: boolean;
}

const Kind = { Unknown: 0, Tls: 1, Http: 2, Socks5: 3, Socks4: 4 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

const FIRST_TLS = 22;
const FIRST_SOCKS5 = 5;
const FIRST_SOCKS4 = 4;

const hello = createHelloName();
const target: SocksTarget = { targetAt: 0, targetLength: 0 };

function createPrefix(budget: PrefixBudget): StreamPrefix {
  return new StreamPrefix(STREAM_PREFIX_BYTES_MAX, budget);
}

function createView(lengthBytes: number): DataView {
  return new DataView(new ArrayBuffer(lengthBytes));
}

function createHelloWalk(): TlsHelloWalk {
  return new TlsHelloWalk();
}

function createHeadWalk(): HttpHeadWalk {
  return new HttpHeadWalk();
}

/** One direction of one flow. Allocates only when the first segment does not hold everything. */
export class StreamSniffer {
  readonly #choice: StreamChoice;
  readonly #budget: PrefixBudget;
  readonly #out: SniffResult;
  #prefix: StreamPrefix | undefined = undefined;
  #kind: Kind = Kind.Unknown;
  #hello: TlsHelloWalk | undefined = undefined;
  #head: HttpHeadWalk | undefined = undefined;
  #beginKnown = false;
  #beginSure = false;
  #beginSeq = 0;
  #seen = false;

  /** `out` is filled when the state becomes `Found` or `None`. */
  constructor(choice: StreamChoice, budget: PrefixBudget, out: SniffResult) {
    this.#choice = choice;
    this.#budget = budget;
    this.#out = out;
  }

  /** True when a segment with payload came. */
  get seen(): boolean {
    return this.#seen;
  }

  /** True when the protocol is known, and only the rest of its first message is missing. */
  get recognised(): boolean {
    return this.#kind !== Kind.Unknown;
  }

  /** True when the first bytes are those of a SOCKS client, to which the server answers before the target is named. */
  get isSocks(): boolean {
    return this.#kind === Kind.Socks5 || this.#kind === Kind.Socks4;
  }

  /** True when a segment would be the stream's first bytes; nothing that we read begins with a zero. */
  isBeginning(seq: number): boolean {
    return !this.#beginKnown || seq === this.#beginSeq;
  }

  /** Says which sequence number the stream's first byte has, as a SYN does. */
  begin(seq: number): void {
    if (this.#beginSure) return;
    this.#beginKnown = true;
    this.#beginSure = true;
    this.#beginSeq = seq;
    if (this.#prefix !== undefined && this.#prefix.offsetOf(seq) !== 0) this.#restart();
  }

  /** Adds a segment. Retransmissions, overlaps, holes and any order are fine. */
  segment(seq: number, view: DataView, at: number, length: number): SniffState {
    this.#seen = true;
    if (!this.#beginKnown) {
      this.#beginKnown = true;
      this.#beginSeq = seq;
    }
    let prefix = this.#prefix;
    if (prefix === undefined) {
      if (seq === this.#beginSeq) {
        const state = this.#read(view, at, length);
        if (state !== SniffState.Pending) return state;
      }
      prefix = createPrefix(this.#budget);
      prefix.start(this.#beginSeq);
      this.#prefix = prefix;
      prefix.addSegment(seq, view, at, length);
      return prefix.overflowed ? this.#overflow(prefix) : SniffState.Pending;
    }
    const before = prefix.readable;
    prefix.addSegment(seq, view, at, length);
    if (prefix.readable > before) {
      const state = this.#read(prefix.view, 0, prefix.readable);
      if (state !== SniffState.Pending) return state;
    }
    return prefix.overflowed ? this.#overflow(prefix) : SniffState.Pending;
  }

  /** Decides with what is there. */
  finish(reason: SniffReason): SniffState {
    const prefix = this.#prefix;
    const walk = this.#hello;
    if (prefix !== undefined && walk !== undefined && prefix.readable > 0) {
      this.#nameTls(prefix.view, 0, walk, walk.availableBytes);
      if (this.#out.host !== "" || this.#out.address !== "") return SniffState.Found;
    }
    this.#out.reason = reason;
    return SniffState.None;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#prefix?.dispose();
    this.#prefix = undefined;
  }

  #overflow(prefix: StreamPrefix): SniffState {
    const full = prefix.view.byteLength < STREAM_PREFIX_BYTES_MAX && !prefix.hasHole;
    return this.finish(full ? SniffReason.MemoryFull : SniffReason.TooLong);
  }

  #restart(): void {
    this.#prefix?.dispose();
    this.#prefix = undefined;
    this.#kind = Kind.Unknown;
    this.#hello = undefined;
    this.#head = undefined;
  }

  #read(view: DataView, at: number, length: number): SniffState {
    if (this.#kind === Kind.Unknown) this.#kind = this.#kindOf(view.getUint8(at));
    switch (this.#kind) {
      case Kind.Tls:
        return this.#readTls(view, at, length);
      case Kind.Http:
        return this.#readHttp(view, at, length);
      case Kind.Socks5:
        return this.#readSocks(view, at, length, readSocks5(view, at, length, target));
      case Kind.Socks4:
        return this.#readSocks(view, at, length, readSocks4(view, at, length, target));
      default:
        return this.#none(SniffReason.Unrecognised);
    }
  }

  #kindOf(first: number): Kind {
    if (first === FIRST_TLS) return this.#choice.tls ? Kind.Tls : Kind.Unknown;
    if (first === FIRST_SOCKS5) return this.#choice.socks ? Kind.Socks5 : Kind.Unknown;
    if (first === FIRST_SOCKS4) return this.#choice.socks ? Kind.Socks4 : Kind.Unknown;
    const lower = first | 0x20;
    return this.#choice.http && lower >= 0x61 && lower <= 0x7a ? Kind.Http : Kind.Unknown;
  }

  #readTls(view: DataView, at: number, length: number): SniffState {
    const walk = this.#hello ??= createHelloWalk();
    const step = walk.step(view, at, length);
    if (step === HelloWalk.More) return SniffState.Pending;
    if (step === HelloWalk.Bad) {
      // A record that breaks off may still have brought the name.
      if (walk.messageBytes < 0) return this.#none(SniffReason.Unrecognised);
      this.#nameTls(view, at, walk, walk.availableBytes);
    } else {
      this.#nameTls(view, at, walk, walk.messageBytes);
    }
    return this.#out.host !== "" || this.#out.address !== "" ? SniffState.Found : SniffState.None;
  }

  #nameTls(view: DataView, at: number, walk: TlsHelloWalk, length: number): void {
    if (walk.inOneRecord) {
      nameHello(view, at + RECORD_HEADER_BYTES, length, false, hello);
    } else {
      const message = createView(length);
      walk.gather(view, at, length, message);
      nameHello(message, 0, length, false, hello);
    }
    this.#name(hello.host, "tls", hello.badName);
    this.#out.ech = hello.ech;
  }

  #readHttp(view: DataView, at: number, length: number): SniffState {
    const walk = this.#head ??= createHeadWalk();
    const step = walk.step(view, at, length);
    if (step === HeadWalk.More) return SniffState.Pending;
    if (step === HeadWalk.Bad) return this.#none(SniffReason.Unrecognised);
    if (step === HeadWalk.Response) return this.#none(SniffReason.Response);
    if (step === HeadWalk.NoHost) return this.#none(SniffReason.NoName);
    const host = readAuthorityHost(view, at + walk.hostAt, walk.hostLength);
    return this.#name(host, step === HeadWalk.Connect ? "connect" : "http", host === "");
  }

  #readSocks(view: DataView, at: number, length: number, read: SocksRead): SniffState {
    if (read === SocksRead.More) return SniffState.Pending;
    if (read === SocksRead.Bad) return this.#none(SniffReason.Unrecognised);
    if (read === SocksRead.NoTarget) return this.#none(SniffReason.NoName);
    const from = at + target.targetAt;
    if (target.targetAt + target.targetLength > length) return SniffState.Pending;
    if (read === SocksRead.Name) {
      const host = readHostName(view, from, target.targetLength);
      return this.#name(host, "socks5", host === "");
    }
    const text = target.targetLength === 4 ? formatIpv4Word(view.getUint32(from)) : formatIpv6Words(
      view.getUint32(from),
      view.getUint32(from + 4),
      view.getUint32(from + 8),
      view.getUint32(from + 12),
    );
    return this.#name(text, "socks5", false);
  }

  #name(host: string, protocol: SniffProtocol, isBad: boolean): SniffState {
    const out = this.#out;
    out.protocol = protocol;
    out.ech = false;
    const address = parseIp(host);
    out.host = address === undefined ? host : "";
    out.address = address === undefined ? "" : formatIp(address);
    if (address !== undefined) out.reason = SniffReason.Address;
    else if (host !== "") out.reason = SniffReason.Named;
    else out.reason = isBad ? SniffReason.BadName : SniffReason.NoName;
    return host === "" ? SniffState.None : SniffState.Found;
  }

  #none(reason: SniffReason): SniffState {
    this.#out.reason = reason;
    return SniffState.None;
  }
}
