/**
 * DTLS records and the fragments of a ClientHello in them.
 *
 * Read first: RFC 6347 sections 4.1 and 4.2.2 (DTLS 1.2), RFC 9147 section 5.3 (the ClientHello of DTLS 1.3 looks the same).
 *
 *     record     type 8 = 22 │ version 16 = 0xfeff, 0xfefd │ epoch 16 │ number 48 │ length 16 │ fragment
 *     fragment   type 8 = 1 │ message length 24 │ message number 16 │ offset 24 │ length 24 │ bytes
 */

const RECORD_HEADER_BYTES = 13;
const FRAGMENT_HEADER_BYTES = 12;
const TYPE_HANDSHAKE = 22;
const MESSAGE_CLIENT_HELLO = 1;
const VERSION_MAJOR = 0xfe;
const MESSAGE_BYTES_MAX = 65_536;

/** One fragment of a ClientHello. Offsets count from the datagram's beginning. */
export interface DtlsFragment {
  /** Length of the whole message without its header. Units: bytes. */
  messageLength: number;
  messageNumber: number;
  /** Where the fragment belongs in the message. Units: bytes. */
  offset: number;
  dataAt: number;
  dataLength: number;
  /** Where the next record begins. */
  end: number;
}

/** A record to hand to `readDtlsFragment`. */
export function createDtlsFragment(): DtlsFragment {
  return { messageLength: 0, messageNumber: 0, offset: 0, dataAt: 0, dataLength: 0, end: 0 };
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at) * 256 + view.getUint8(at + 2);
}

/** Reads the record at `from` of a datagram; false when it holds no fragment of a ClientHello in clear text. */
export function readDtlsFragment(
  view: DataView,
  at: number,
  from: number,
  length: number,
  out: DtlsFragment,
): boolean {
  if (from + RECORD_HEADER_BYTES + FRAGMENT_HEADER_BYTES > length) return false;
  const record = at + from;
  if (view.getUint8(record) !== TYPE_HANDSHAKE || view.getUint8(record + 1) !== VERSION_MAJOR) return false;
  if (view.getUint16(record + 3) !== 0) return false;
  const size = view.getUint16(record + 11);
  const fragment = record + RECORD_HEADER_BYTES;
  if (view.getUint8(fragment) !== MESSAGE_CLIENT_HELLO || from + RECORD_HEADER_BYTES + size > length) return false;
  out.messageLength = uint24(view, fragment + 1);
  out.messageNumber = view.getUint16(fragment + 4);
  out.offset = uint24(view, fragment + 6);
  out.dataLength = uint24(view, fragment + 9);
  out.dataAt = from + RECORD_HEADER_BYTES + FRAGMENT_HEADER_BYTES;
  out.end = from + RECORD_HEADER_BYTES + size;
  return out.messageLength <= MESSAGE_BYTES_MAX && out.dataAt + out.dataLength <= out.end &&
    out.offset + out.dataLength <= out.messageLength;
}
