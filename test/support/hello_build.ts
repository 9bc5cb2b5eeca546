/** Makes ClientHello messages, TLS records and DTLS records for tests. */

/** What a made hello has in it. */
export interface HelloOptions {
  readonly name?: string;
  /** Type byte of an encrypted_client_hello extension; undefined: none. */
  readonly ech?: number;
  /** An extension with this many bytes before server_name. */
  readonly paddingBytes?: number;
  readonly cipherCount?: number;
  readonly sessionIdBytes?: number;
  /** Makes it a DTLS hello with a cookie of this length. */
  readonly cookieBytes?: number;
  readonly withoutExtensions?: boolean;
}

function uint16(value: number): number[] {
  return [(value >> 8) & 255, value & 255];
}

function uint24(value: number): number[] {
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function extension(type: number, data: readonly number[]): number[] {
  return [...uint16(type), ...uint16(data.length), ...data];
}

/** The server_name extension's data. */
export function serverName(name: string): number[] {
  const bytes = [...new TextEncoder().encode(name)];
  return [...uint16(bytes.length + 3), 0, ...uint16(bytes.length), ...bytes];
}

/** The body of a ClientHello. */
export function helloBody(options: HelloOptions): number[] {
  const body = [3, 3];
  for (let i = 0; i < 32; i++) body.push(i * 7 & 255);
  const session = options.sessionIdBytes ?? 32;
  body.push(session, ...new Array<number>(session).fill(0xaa));
  if (options.cookieBytes !== undefined) {
    body.push(options.cookieBytes, ...new Array<number>(options.cookieBytes).fill(0xcc));
  }
  const ciphers = options.cipherCount ?? 3;
  body.push(...uint16(ciphers * 2));
  for (let i = 0; i < ciphers; i++) body.push(0x13, i & 255);
  body.push(1, 0);
  if (options.withoutExtensions) return body;
  const extensions = extension(0x0a0a, []); // GREASE
  if (options.paddingBytes !== undefined) extensions.push(...extension(21, new Array(options.paddingBytes).fill(0)));
  if (options.name !== undefined) extensions.push(...extension(0, serverName(options.name)));
  if (options.ech !== undefined) extensions.push(...extension(0xfe0d, [options.ech, 0, 1, 0, 1, 7, 0, 0, 0, 0]));
  extensions.push(...extension(43, [2, 3, 4]));
  body.push(...uint16(extensions.length), ...extensions);
  return body;
}

/** A handshake message of type ClientHello. */
export function helloMessage(options: HelloOptions): Uint8Array {
  const body = helloBody(options);
  return new Uint8Array([1, ...uint24(body.length), ...body]);
}

/** TLS records over a message, each with `fragmentBytes` of it at most. */
export function tlsRecords(message: Uint8Array, fragmentBytes = 16_384): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes) {
    const fragment = message.subarray(at, at + fragmentBytes);
    bytes.push(22, 3, 1, ...uint16(fragment.length), ...fragment);
  }
  return new Uint8Array(bytes);
}

/** A ClientHello in TLS records. */
export function tlsHello(options: HelloOptions, fragmentBytes = 16_384): Uint8Array {
  return tlsRecords(helloMessage(options), fragmentBytes);
}

/** DTLS records, one a fragment of the hello. */
export function dtlsHello(options: HelloOptions, fragmentBytes: number, messageNumber = 0): Uint8Array[] {
  const body = helloBody({ cookieBytes: 0, ...options });
  const records: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += fragmentBytes) {
    const part = body.slice(at, at + fragmentBytes);
    const fragment = [
      1,
      ...uint24(body.length),
      ...uint16(messageNumber),
      ...uint24(at),
      ...uint24(part.length),
      ...part,
    ];
    records.push(
      new Uint8Array([22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, records.length, ...uint16(fragment.length), ...fragment]),
    );
  }
  return records;
}

/** The bytes as a view. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes of text, one a character. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The bytes that hexadecimal text stands for. */
export function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}
