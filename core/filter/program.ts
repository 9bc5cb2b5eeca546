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

/** Where an indexed read begins: −1 when any of it is outside the packet or its payload. */
function locateData(code: Int32Array, pc: number, view: PacketView): number {
  const whole = code[pc + HEADER_AT] === HEADER.none;
  const low = whole ? view.start : view.payload;
  const high = low + (whole ? view.length : view.payloadLength);
  const index = code[pc + OFFSET]!;
  const at = index < 0 ? high + index : low + index;
  return at < low || at > high - code[pc + WIDTH]! ? -1 : at;
}

/** Where a field of up to 32 bits lies, 0 when it is no load: −1 when the packet does not have it. */
function locate(code: Int32Array, pc: number, view: PacketView): number {
  const header = code[pc + HEADER_AT]!;
  const base = header < 0 ? 0 : view.at[header]!;
  if (base < 0) return -1;
  const kind = code[pc];
  if (kind === KIND_LOAD) return base + code[pc + OFFSET]!;
  return kind === KIND_DATA ? locateData(code, pc, view) : 0;
}

/** The value of a field that `locate` found at `at`. Units: 32 bits as a signed number, which V8 need not allocate. */
function readValue(program: Program, pc: number, view: PacketView, address: FilterAddress, at: number): number {
  const code = program.code;
  if (code[pc] === KIND_NUMBER) return readNumber(code[pc + FIELD]!, program.layer, view, address);
  return (load(view.bytes, at, code[pc + WIDTH]!) >>> code[pc + SHIFT]!) & code[pc + MASK]!;
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

/** Compares the 32 bits of `bits`, unsigned, with a test's constant, of which only the low word counts. */
function compareNumber(code: Int32Array, pc: number, bits: number): boolean {
  const value = bits >>> 0;
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
  let at = -1;
  let value = 0;
  while (pc >= 0) {
    const kind = code[pc]!;
    let holds: boolean;
    if (kind < KIND_LOAD128) {
      if (code[pc + VALUE] !== known) {
        known = code[pc + VALUE]!;
        at = locate(code, pc, view);
        if (at >= 0) value = readValue(program, pc, view, address, at);
      }
      holds = at >= 0 && compareNumber(code, pc, value);
    } else if (kind === KIND_INVALID) {
      return false;
    } else {
      holds = testWide(program, pc, view, address);
    }
    pc = code[pc + (holds ? SUCCESS : FAILURE)]!;
  }
  return pc === ACCEPTED;
}
