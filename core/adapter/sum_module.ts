/**
 * A WebAssembly module that sums and copies bytes of one memory, sixteen at a time.
 *
 * Read first: WebAssembly 2.0, sections 5.4 (instructions) and 5.5 (modules); RFC 1071 section 2 (one's-complement sums in any byte order).
 *
 * It is assembled here, so that there is no binary to ship and none to trust:
 *
 * ```
 * (import "m" "m" (memory 0))
 * (func (export "s") (param $at i32) (param $length i32) (result i32))    the folded sum of big-endian 16-bit words
 * (func (export "c") (param $to i32) (param $from i32) (param $length i32))    memory.copy
 * ```
 */

/** Numbers of bytes that `sum` may be given; longer stretches could overflow its 32-bit lanes. */
export const QUICK_SUM_BYTES_MAX = 0x1_ffff;

/** The functions of the module over one memory. Offsets count from the start of that memory; one that lies outside traps. */
export interface QuickSums {
  /** The folded one's-complement sum of up to `QUICK_SUM_BYTES_MAX` bytes as big-endian 16-bit words; an odd last byte is padded with zero. */
  readonly sum: (at: number, length: number) => number;
  /** Copies; the stretches may overlap. */
  readonly copy: (to: number, from: number, length: number) => void;
}

type Code = readonly number[];

const I32 = 0x7f;
const V128 = 0x7b;
const VOID = 0x40;

// Locals of `sum`: two parameters, then ours.
const AT = 0;
const LENGTH = 1;
const STOP = 2;
const TOTAL = 3;
const EVEN = 4;
const ODD = 5;

const ADD: Code = [0x6a];
const AND: Code = [0x71];
const OR: Code = [0x72];
const SHIFT_LEFT: Code = [0x74];
const SHIFT_RIGHT: Code = [0x76];
const LESS: Code = [0x49];
const END: Code = [0x0b];

/** Shape: LEB128, unsigned. Source: WebAssembly section 5.2.2. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left & 0x7f) | 0x80);
    left >>>= 7;
  }
  bytes.push(left);
  return bytes;
}

/** Shape: LEB128, signed. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left < -64 || left > 63) {
    bytes.push((left & 0x7f) | 0x80);
    left >>= 7;
  }
  bytes.push(left & 0x7f);
  return bytes;
}

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
/** `v128.load`, without a promise about alignment. */
const load16Bytes = (offset: number): Code => [0xfd, ...unsigned(0), 0, ...unsigned(offset)];
const load2Bytes = (offset: number): Code => [0x2f, 0, offset];
const load1Byte: Code = [0x2d, 0, 0];
/** `i32x4.extadd_pairwise_i16x8_u`: eight words become four sums of two. */
const ADD_PAIRS: Code = [0xfd, ...unsigned(0x7f)];
/** `i32x4.add`. */
const ADD_LANES: Code = [0xfd, ...unsigned(0xae)];
/** `i32x4.extract_lane`. */
const lane = (index: number): Code => [0xfd, ...unsigned(0x1b), index];

/** Repeats `body` while `AT` is below `STOP`. */
function whileBelow(body: Code): Code {
  const test = [...get(AT), ...get(STOP), ...LESS, 0x45, /* i32.eqz */ 0x0d, /* br_if */ 1];
  return [0x02, /* block */ VOID, 0x03, /* loop */ VOID, ...test, ...body, 0x0c, /* br */ 0, ...END, ...END];
}

function advance(bytes: number): Code {
  return [...get(AT), ...constant(bytes), ...ADD, ...set(AT)];
}

/** `STOP` := `AT` + (`LENGTH` & mask). */
function stopAfter(mask: number): Code {
  return [...get(AT), ...get(LENGTH), ...constant(mask), ...AND, ...ADD, ...set(STOP)];
}

function addVector(accumulator: number, offset: number): Code {
  return [...get(accumulator), ...get(AT), ...load16Bytes(offset), ...ADD_PAIRS, ...ADD_LANES, ...set(accumulator)];
}

/** The words of the last `bytes` bytes of a power of two, if the length has them. */
function addTail(bytes: number): Code {
  const loads: number[] = [];
  for (let offset = 0; offset < bytes; offset += 2) loads.push(...get(AT), ...load2Bytes(offset), ...ADD);
  const body = [...get(TOTAL), ...loads, ...set(TOTAL), ...advance(bytes)];
  return [...get(LENGTH), ...constant(bytes), ...AND, 0x04, /* if */ VOID, ...body, ...END];
}

const addLastByte: Code = [
  ...get(LENGTH),
  ...constant(1),
  ...AND,
  ...[0x04, /* if */ VOID, ...get(TOTAL), ...get(AT), ...load1Byte, ...ADD, ...set(TOTAL), ...END],
];

/** `TOTAL` := its low half + its high half. */
const fold: Code = [
  ...[...get(TOTAL), ...constant(0xffff), ...AND],
  ...[...get(TOTAL), ...constant(16), ...SHIFT_RIGHT, ...ADD, ...set(TOTAL)],
];

/** The machine reads words with the low byte first: the sum is turned round once. */
const turnRound: Code = [
  ...[...get(TOTAL), ...constant(0xff), ...AND, ...constant(8), ...SHIFT_LEFT],
  ...[...get(TOTAL), ...constant(8), ...SHIFT_RIGHT, ...OR],
];

function sumBody(): Code {
  const lanes = [0, 1, 2, 3].flatMap((index) => [...get(EVEN), ...lane(index), ...(index === 0 ? [] : ADD)]);
  return [
    ...stopAfter(-64),
    ...whileBelow([
      ...[...addVector(EVEN, 0), ...addVector(ODD, 16), ...addVector(EVEN, 32), ...addVector(ODD, 48), ...advance(64)],
    ]),
    ...stopAfter(48),
    ...whileBelow([...addVector(EVEN, 0), ...advance(16)]),
    ...[...get(EVEN), ...get(ODD), ...ADD_LANES, ...set(EVEN), ...lanes, ...set(TOTAL)],
    ...[...addTail(8), ...addTail(4), ...addTail(2), ...addLastByte, ...fold, ...fold, ...turnRound],
  ];
}

const copyBody: Code = [...get(0), ...get(1), ...get(2), 0xfc, ...unsigned(10), 0, 0];

function section(id: number, items: readonly Code[]): Code {
  const body = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(body.length), ...body];
}

function functionCode(locals: readonly Code[], body: Code): Code {
  const code = [...unsigned(locals.length), ...locals.flat(), ...body, ...END];
  return [...unsigned(code.length), ...code];
}

const name = (letter: string): Code => [1, letter.charCodeAt(0)];

/** The module in its binary form. */
export function sumModuleBytes(): Uint8Array<ArrayBuffer> {
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, 2, I32, I32, 1, I32], [0x60, 3, I32, I32, I32, 0]]),
    ...section(2, [[...name("m"), ...name("m"), 2, 0, 0]]),
    ...section(3, [[0], [1]]),
    ...section(7, [[...name("s"), 0, 0], [...name("c"), 0, 1]]),
    ...section(10, [functionCode([[2, I32], [2, V128]], sumBody()), functionCode([], copyBody)]),
  ]);
}

/** The functions over `memory`; undefined where WebAssembly has no SIMD. */
export function createQuickSums(memory: WebAssembly.Memory): QuickSums | undefined {
  const bytes = sumModuleBytes();
  if (!WebAssembly.validate(bytes)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory } });
  return { sum: exports["s"] as QuickSums["sum"], copy: exports["c"] as QuickSums["copy"] };
}
