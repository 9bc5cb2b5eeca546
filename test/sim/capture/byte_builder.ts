/** Builds capture files byte by byte, independently of the product's writer. */
export class ByteBuilder {
  #bytes: number[] = [];
  readonly little: boolean;

  constructor(little: boolean) {
    this.little = little;
  }

  get length(): number {
    return this.#bytes.length;
  }

  #integer(value: bigint, count: number): this {
    const bytes: number[] = [];
    for (let i = 0; i < count; i++) bytes.push(Number((value >> BigInt(8 * i)) & 255n));
    this.#bytes.push(...(this.little ? bytes : bytes.reverse()));
    return this;
  }

  u8(value: number): this {
    return this.#integer(BigInt(value), 1);
  }
  u16(value: number): this {
    return this.#integer(BigInt(value), 2);
  }
  u32(value: number): this {
    return this.#integer(BigInt(value), 4);
  }
  u64(value: bigint): this {
    return this.#integer(value, 8);
  }
  raw(bytes: ArrayLike<number>): this {
    for (let i = 0; i < bytes.length; i++) this.#bytes.push(bytes[i]!);
    return this;
  }
  text(text: string): this {
    return this.raw(new TextEncoder().encode(text));
  }
  pad4(): this {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** A pcap file header. */
export function pcapHeader(
  little: boolean,
  magic: number,
  snapLength: number,
  linkType: number,
  minor = 4,
): Uint8Array {
  return new ByteBuilder(little).u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(snapLength).u32(linkType).done();
}

/** A pcap packet record. */
export function pcapPacket(
  little: boolean,
  seconds: number,
  fraction: number,
  data: ArrayLike<number>,
  original = data.length,
): Uint8Array {
  return new ByteBuilder(little).u32(seconds).u32(fraction).u32(data.length).u32(original).raw(data).done();
}

/** A pcapng block around a body. */
export function block(little: boolean, type: number, body: Uint8Array): Uint8Array {
  const padded = new ByteBuilder(little).raw(body).pad4().done();
  const total = padded.length + 12;
  return new ByteBuilder(little).u32(type).u32(total).raw(padded).u32(total).done();
}

/** An option list with its end mark. */
export function optionList(little: boolean, options: readonly (readonly [number, ArrayLike<number>])[]): Uint8Array {
  const out = new ByteBuilder(little);
  for (const [code, value] of options) out.u16(code).u16(value.length).raw(value).pad4();
  return out.u32(0).done();
}

/** A section header block. */
export function sectionHeader(little: boolean, major = 1, sectionLength = -1n): Uint8Array {
  return block(little, 0x0a0d0d0a, new ByteBuilder(little).u32(0x1a2b3c4d).u16(major).u16(0).u64(sectionLength).done());
}

/** An interface description block. */
export function interfaceBlock(
  little: boolean,
  linkType: number,
  snapLength = 0,
  options: readonly (readonly [number, ArrayLike<number>])[] = [],
): Uint8Array {
  const body = new ByteBuilder(little).u16(linkType).u16(0).u32(snapLength).raw(optionList(little, options));
  return block(little, 1, body.done());
}

/** An enhanced packet block. */
export function enhancedPacket(
  little: boolean,
  interfaceId: number,
  time: bigint,
  data: ArrayLike<number>,
  options: readonly (readonly [number, ArrayLike<number>])[] = [],
  original = data.length,
): Uint8Array {
  const body = new ByteBuilder(little).u32(interfaceId).u32(Number(time >> 32n)).u32(Number(time & 0xffff_ffffn));
  body.u32(data.length).u32(original).raw(data).pad4();
  if (options.length > 0) body.raw(optionList(little, options));
  return block(little, 6, body.done());
}

/** Integers as option values. */
export function u32Bytes(little: boolean, ...values: readonly number[]): Uint8Array {
  const out = new ByteBuilder(little);
  for (const value of values) out.u32(value);
  return out.done();
}

/** Joins parts of a file. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
