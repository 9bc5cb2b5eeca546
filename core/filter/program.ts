/**
 * A filter's program as plain numbers, and the loop that runs it. No allocation, no closure, no throw per packet.
 *
 *   word   0     1       2       3      4       5     6     7       8         9 … 12    13       14       15
 *         kind  field  header  offset  width  shift  mask  holds  negative  constant  success  failure  value
 *
 * `holds` has a bit for each outcome of the comparison that satisfies the test: 1 below, 2 equal, 4 above. Labels go forward only.
 * Tests with the same `value` number read the same thing, so a run of them (a list of ports) reads it once.
 */
import type { FilterAddress } from "./address.ts";
import { type Field, fieldFitsLayer, HEADER } from "./fields.ts";
import { ACCEPT, REJECT, type Step } from "./flatten.ts";
import type { PacketView } from "./packet_view.ts";
import { readNumber, readWide, setWideBytes, wide } from "./values.ts";

const STRIDE = 16;
const FIELD = 1;
const HEADER_AT = 2;
const OFFSET = 3;
const WIDTH = 4;
const SHIFT = 5;
const MASK = 6;
const HOLDS = 7;
const NEGATIVE = 8;
const CONSTANT = 9;
const SUCCESS = 13;
const FAILURE = 14;
const VALUE = 15;

const KIND_LOAD = 0;
const KIND_DATA = 1;
const KIND_NUMBER = 2;
const KIND_LOAD128 = 3;
const KIND_WIDE = 4;
const KIND_INVALID = 5;

const BELOW = 1;
const EQUAL = 2;
const ABOVE = 4;
/** By relation number: =, !=, <, <=, >, >=. */
const HOLDS_BY_RELATION = [EQUAL, BELOW | ABOVE, BELOW, BELOW | EQUAL, ABOVE, ABOVE | EQUAL];

/** Labels inside the code: an offset of the next test, or one of these. */
const ACCEPTED = -1;
const REJECTED = -2;

/** A program for one layer. */
export interface Program {
  readonly layer: number;
  readonly code: Int32Array;
}

function kindOf(field: Field, layer: number): number {
  if (!fieldFitsLayer(field, layer)) return KIND_INVALID;
  switch (field.kind) {
    case "load":
      return KIND_LOAD;
    case "load128":
      return KIND_LOAD128;
    case "data":
      return KIND_DATA;
    case "wide":
      return KIND_WIDE;
    case "number":
    case "constant":
      return KIND_NUMBER;
  }
}

function target(label: number): number {
  return label === ACCEPT ? ACCEPTED : label === REJECT ? REJECTED : label * STRIDE;
}

/** The program of some steps, to be run on one layer. */
export function createProgram(steps: readonly Step[], layer: number): Program {
  const code = new Int32Array(steps.length * STRIDE);
  const values = new Map<string, number>();
  steps.forEach((step, i) => {
    const { field, value } = step;
    const offset = field.kind === "data" ? step.index : field.offset;
    const head = [kindOf(field, layer), field.id, field.header, offset, field.width, field.shift, field.mask];
    code.set([...head, HOLDS_BY_RELATION[step.relation]!, value.negative ? 1 : 0], i * STRIDE);
    for (let word = 0; word < 4; word++) {
      code[i * STRIDE + CONSTANT + word] = Number(BigInt.asIntN(32, value.magnitude >> BigInt(32 * word)));
    }
    code[i * STRIDE + SUCCESS] = target(step.success);
    code[i * STRIDE + FAILURE] = target(step.failure);
    const what = `${field.id} ${step.index}`;
    if (!values.has(what)) values.set(what, values.size);
    code[i * STRIDE + VALUE] = values.get(what)!;
  });
  return { layer, code };
}

/** A big-endian number of 1, 2 or 4 bytes. */
function load(bytes: Uint8Array, at: number, width: number): number {
  if (width === 1) return bytes[at]!;
  const half = (bytes[at]! << 8) | bytes[at + 1]!;
  return width === 2 ? half : (half << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** An indexed read from the packet or its payload: −1 when the index is outside, else an unsigned 32-bit number. */
function loadData(code: Int32Array, pc: number, view: PacketView): number {
  const whole = code[pc + HEADER_AT] === HEADER.none;
  const low = whole ? view.start : view.payload;
  const high = low + (whole ? view.length : view.payloadLength);
  const index = code[pc + OFFSET]!;
  const at = index < 0 ? high + index : low + index;
  const width = code[pc + WIDTH]!;
  return at < low || at > high - width ? -1 : load(view.bytes, at, width) >>> 0;
}

/** A field of up to 32 bits: −1 when the packet does not have it. */
function loadNumber(program: Program, pc: number, view: PacketView, address: FilterAddress): number {
  const code = program.code;
  const header = code[pc + HEADER_AT]!;
  const base = header < 0 ? 0 : view.at[header]!;
  if (base < 0) return -1;
  switch (code[pc]) {
    case KIND_LOAD:
      return ((load(view.bytes, base + code[pc + OFFSET]!, code[pc + WIDTH]!) >>> code[pc + SHIFT]!) &
        code[pc + MASK]!) >>> 0;
    case KIND_DATA:
      return loadData(code, pc, view);
    default:
      return readNumber(code[pc + FIELD]!, program.layer, view, address);
  }
}

/** Compares `wide` with a test's constant: `BELOW`, `EQUAL` or `ABOVE`. */
function compareWide(code: Int32Array, pc: number): number {
  const negative = code[pc + NEGATIVE] !== 0;
  if (wide.negative !== negative) return wide.negative ? BELOW : ABOVE;
  for (let i = 3; i >= 0; i--) {
    const value = wide.words[i]!;
    const constant = code[pc + CONSTANT + i]! >>> 0;
    if (value !== constant) return (value < constant) === negative ? ABOVE : BELOW;
  }
  return EQUAL;
}

/** Compares an unsigned 32-bit value with a test's constant, of which only the low word counts. */
function compareNumber(code: Int32Array, pc: number, value: number): boolean {
  const constant = code[pc + CONSTANT]! >>> 0;
  const outcome = value > constant || code[pc + NEGATIVE] !== 0 ? ABOVE : value === constant ? EQUAL : BELOW;
  return (outcome & code[pc + HOLDS]!) !== 0;
}

function testWide(program: Program, pc: number, view: PacketView, address: FilterAddress): boolean {
  const code = program.code;
  if (code[pc] === KIND_LOAD128) {
    const base = view.at[code[pc + HEADER_AT]!]!;
    if (base < 0) return false;
    wide.negative = false;
    setWideBytes(view.bytes, base + code[pc + OFFSET]!);
  } else {
    readWide(code[pc + FIELD]!, program.layer, view, address);
  }
  return (compareWide(code, pc) & code[pc + HOLDS]!) !== 0;
}

/** Runs a program over the headers that `view` found and the facts in `address`. */
export function runProgram(program: Program, view: PacketView, address: FilterAddress): boolean {
  const code = program.code;
  let pc = 0;
  let known = -1;
  let value = 0;
  while (pc >= 0) {
    const kind = code[pc]!;
    let holds: boolean;
    if (kind < KIND_LOAD128) {
      if (code[pc + VALUE] !== known) {
        known = code[pc + VALUE]!;
        value = loadNumber(program, pc, view, address);
      }
      holds = value >= 0 && compareNumber(code, pc, value);
    } else if (kind === KIND_INVALID) {
      return false;
    } else {
      holds = testWide(program, pc, view, address);
    }
    pc = code[pc + (holds ? SUCCESS : FAILURE)]!;
  }
  return pc === ACCEPTED;
}
