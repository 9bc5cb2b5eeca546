/** The name of a DTLS connection: fragments of the ClientHello are put together. Read first: RFC 6347 section 4.2. */
import { STREAM_PREFIX_BYTES_MAX } from "../base/limits.ts";
import { createDtlsFragment, readDtlsFragment } from "../wire/dtls.ts";
import { HANDSHAKE_HEADER_BYTES } from "../wire/tls_record.ts";
import { type HelloName, nameHello } from "./sniff_hello.ts";
import { type PrefixBudget, StreamPrefix } from "./stream_prefix.ts";

/** What a datagram brought. */
export const DtlsSniff = { More: 0, Hello: 1, Unknown: 2 } as const;
export type DtlsSniff = (typeof DtlsSniff)[keyof typeof DtlsSniff];

const fragment = createDtlsFragment();
/** Stands for the message header, which a fragment has in another form. */
const noHeader = new DataView(new ArrayBuffer(HANDSHAKE_HEADER_BYTES));

function createStream(budget: PrefixBudget | undefined): StreamPrefix {
  return new StreamPrefix(STREAM_PREFIX_BYTES_MAX, budget);
}

/** One per UDP flow; it reads one direction. */
export class DtlsSniffer {
  readonly #budget: PrefixBudget | undefined;
  #stream: StreamPrefix | undefined = undefined;
  #messageNumber = -1;

  constructor(budget: PrefixBudget | undefined) {
    this.#budget = budget;
  }

  /** Looks at a datagram with all records in it. */
  datagram(view: DataView, at: number, length: number, out: HelloName): DtlsSniff {
    let from = 0;
    let result: DtlsSniff = DtlsSniff.Unknown;
    while (readDtlsFragment(view, at, from, length, fragment)) {
      result = DtlsSniff.More;
      from = fragment.end;
      // A hello sent again with the server's cookie is a new message.
      if (this.#stream === undefined || fragment.messageNumber !== this.#messageNumber) this.#begin();
      const stream = this.#stream!;
      stream.addAt(HANDSHAKE_HEADER_BYTES + fragment.offset, view, at + fragment.dataAt, fragment.dataLength);
      const total = HANDSHAKE_HEADER_BYTES + fragment.messageLength;
      if (stream.readable < total) continue;
      nameHello(stream.view, 0, total, true, out);
      return DtlsSniff.Hello;
    }
    return result;
  }

  /** The name in what is there of the hello, when no more will come. */
  finish(out: HelloName): void {
    const stream = this.#stream;
    if (stream !== undefined) nameHello(stream.view, 0, stream.readable, true, out);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#stream?.dispose();
  }

  #begin(): void {
    this.#stream?.dispose();
    this.#stream = createStream(this.#budget);
    this.#messageNumber = fragment.messageNumber;
    this.#stream.addAt(0, noHeader, 0, HANDSHAKE_HEADER_BYTES);
  }
}
