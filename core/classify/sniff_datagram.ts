/** The name in the datagrams of one direction of a UDP flow: QUIC, Google's older QUIC, DTLS. */
import { formatIp, parseIp } from "../base/ip_address.ts";
import { findChlo } from "../wire/gquic_chlo.ts";
import type { InitialCrypto } from "./sniff_crypto.ts";
import { DtlsSniff, DtlsSniffer } from "./sniff_dtls.ts";
import { clearHelloName, createHelloName } from "./sniff_hello.ts";
import { nameChlo, QuicSniff, QuicSniffer } from "./sniff_quic.ts";
import { SniffReason, type SniffResult, SniffState } from "./sniff_result.ts";
import type { PrefixBudget } from "./stream_prefix.ts";

/** What to look for. */
export interface DatagramChoice {
  readonly quic: boolean;
  /** TLS stands for DTLS here. */
  readonly tls: boolean;
}

const FIRST_DTLS = 22;

const hello = createHelloName();

function createQuic(initialCrypto: InitialCrypto, budget: PrefixBudget): QuicSniffer {
  return new QuicSniffer(initialCrypto, budget);
}

function createDtls(budget: PrefixBudget): DtlsSniffer {
  return new DtlsSniffer(budget);
}

/** One direction of one flow. */
export class DatagramSniffer {
  readonly #choice: DatagramChoice;
  readonly #crypto: InitialCrypto;
  readonly #budget: PrefixBudget;
  readonly #out: SniffResult;
  #quic: QuicSniffer | undefined = undefined;
  #dtls: DtlsSniffer | undefined = undefined;

  /** `out` is filled when the state becomes `Found` or `None`. */
  constructor(choice: DatagramChoice, initialCrypto: InitialCrypto, budget: PrefixBudget, out: SniffResult) {
    this.#choice = choice;
    this.#crypto = initialCrypto;
    this.#budget = budget;
    this.#out = out;
  }

  /** True when this direction has shown that it is a client's. */
  get recognised(): boolean {
    return this.#dtls !== undefined || (this.#quic !== undefined && this.#quic.opened);
  }

  /** Looks at one datagram. */
  datagram(view: DataView, at: number, length: number): SniffState {
    const first = view.getUint8(at);
    if (first === FIRST_DTLS && this.#choice.tls) return this.#readDtls(view, at, length);
    if (!this.#choice.quic) return this.#unknown();
    const google = findChlo(view, at, length);
    if (google >= 0) return this.#readChlo(view, at + google, length - google);
    if ((first & 0x80) === 0) return this.#unknown();
    const quic = this.#quic ??= createQuic(this.#crypto, this.#budget);
    const sniffed = quic.datagram(view, at, length, hello);
    if (sniffed === QuicSniff.Hello) return this.#name("quic");
    if (sniffed === QuicSniff.Unknown) return this.#unknown();
    if (sniffed === QuicSniff.More && !quic.overflowed) return SniffState.Pending;
    this.#out.reason = quic.overflowed ? SniffReason.TooLong : SniffReason.Undecryptable;
    return SniffState.None;
  }

  /** Decides with what is there. */
  finish(reason: SniffReason): SniffState {
    clearHelloName(hello);
    if (this.#quic !== undefined && this.#quic.opened) {
      this.#quic.finish(hello);
      if (hello.host !== "") return this.#name("quic");
    }
    if (this.#dtls !== undefined) {
      this.#dtls.finish(hello);
      if (hello.host !== "") return this.#name("tls");
    }
    this.#out.reason = reason;
    return SniffState.None;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#quic?.dispose();
    this.#dtls?.dispose();
  }

  #readDtls(view: DataView, at: number, length: number): SniffState {
    const dtls = this.#dtls ??= createDtls(this.#budget);
    const sniffed = dtls.datagram(view, at, length, hello);
    if (sniffed === DtlsSniff.Hello) return this.#name("tls");
    return sniffed === DtlsSniff.More ? SniffState.Pending : this.#unknown();
  }

  #readChlo(view: DataView, at: number, length: number): SniffState {
    const read = nameChlo(view, at, length, hello);
    return read === QuicSniff.Hello ? this.#name("quic") : this.#unknown();
  }

  #unknown(): SniffState {
    this.#out.reason = SniffReason.Unrecognised;
    return SniffState.None;
  }

  #name(protocol: "quic" | "tls"): SniffState {
    const out = this.#out;
    out.protocol = protocol;
    out.ech = hello.ech;
    const address = parseIp(hello.host);
    out.host = address === undefined ? hello.host : "";
    out.address = address === undefined ? "" : formatIp(address);
    if (address !== undefined) out.reason = SniffReason.Address;
    else if (out.host !== "") out.reason = SniffReason.Named;
    else out.reason = hello.badName ? SniffReason.BadName : SniffReason.NoName;
    return hello.host === "" ? SniffState.None : SniffState.Found;
  }
}
