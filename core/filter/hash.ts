/**
 * WinDivert's packet hash: one round of 64-bit xxHash over the packet's headers, started from the headers instead of a seed.
 *
 * Read first: the xxHash specification, "XXH64 algorithm description". 64-bit numbers are two 32-bit halves here, since bigints allocate.
 * Words are little-endian. The eight inputs (four lanes' starting values, four lanes' data) are the seed, the IP header and the transport header.
 * Source: behaviour of WinDivert 2.2 `WinDivertHelperHashPacket`; the salt is the beginning of SHA-256's table (FIPS 180-4 section 4.2.2).
 */
import { HEADER } from "./fields.ts";
import { PacketView } from "./packet_view.ts";

/** Halves of xxHash's primes 1 to 4. */
const PRIME_HIGH = [0x9e3779b1, 0xc2b2ae3d, 0x165667b1, 0x85ebca77];
const PRIME_LOW = [0x85ebca87, 0x27d4eb4f, 0x9e3779f9, 0xc2b2ae63];

/** What each input is xored with. Shape: low half, high half, for inputs 0 … 7. */
const SALT = new Uint32Array([
  0x71374491,
  0x428a2f98,
  0xe9b5dba5,
  0xb5c0fbcf,
  0x59f111f1,
  0x3956c25b,
  0xab1c5ed5,
  0x923f82a4,
  0x12835b01,
  0xd807aa98,
  0x550c7dc3,
  0x243185be,
  0x80deb1fe,
  0x72be5d74,
  0xc19bf174,
  0x9bdc06a7,
]);

const DATA = 4; // inputs 0 … 3 start the lanes, 4 … 7 are the data

/** A 64-bit register file with the arithmetic that xxHash needs. */
class Registers {
  readonly low = new Int32Array(10);
  readonly high = new Int32Array(10);

  /** a ← a + b. */
  add(a: number, b: number): void {
    const sum = (this.low[a]! >>> 0) + (this.low[b]! >>> 0);
    this.high[a] = this.high[a]! + this.high[b]! + (sum > 0xffff_ffff ? 1 : 0);
    this.low[a] = sum;
  }

  /** a ← a + a number of 32 bits and a high half. */
  addWords(a: number, low: number, high: number): void {
    const sum = (this.low[a]! >>> 0) + (low >>> 0);
    this.high[a] = this.high[a]! + high + (sum > 0xffff_ffff ? 1 : 0);
    this.low[a] = sum;
  }

  /** a ← a × one of xxHash's primes, by four 16-bit partial products for the low half's carry. */
  multiply(a: number, prime: number): void {
    const low = this.low[a]!;
    const pLow = PRIME_LOW[prime]!;
    const a0 = low & 0xffff;
    const a1 = low >>> 16;
    const b0 = pLow & 0xffff;
    const b1 = pLow >>> 16;
    const middle = a1 * b0 + ((a0 * b0) >>> 16); // below 2³², exact
    const cross = a0 * b1 + (middle & 0xffff);
    const carry = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
    this.high[a] = carry + Math.imul(low, PRIME_HIGH[prime]!) + Math.imul(this.high[a]!, pLow);
    this.low[a] = Math.imul(low, pLow);
  }

  /** a ← a rotated left by 1 … 31. */
  rotate(a: number, by: number): void {
    const low = this.low[a]!;
    const high = this.high[a]!;
    this.low[a] = (low << by) | (high >>> (32 - by));
    this.high[a] = (high << by) | (low >>> (32 - by));
  }

  /** a ← a xor (a >> by), by 1 … 31. */
  fold(a: number, by: number): void {
    const high = this.high[a]!;
    this.low[a] = this.low[a]! ^ ((this.low[a]! >>> by) | (high << (32 - by)));
    this.high[a] = high ^ (high >>> by);
  }

  copy(to: number, from: number): void {
    this.low[to] = this.low[from]!;
    this.high[to] = this.high[from]!;
  }
}

const registers = new Registers();
const SUM = 8;
const SPARE = 9;

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function input(index: number, low: number, high: number): void {
  registers.low[index] = low ^ SALT[index * 2]!;
  registers.high[index] = high ^ SALT[index * 2 + 1]!;
}

function inputBytes(index: number, bytes: Uint8Array, at: number): void {
  input(index, word(bytes, at), word(bytes, at + 4));
}

/** Fills the inputs from the headers and returns how many of the data ones are taken. */
function inputHeaders(view: PacketView): number {
  const { bytes, at } = view;
  const ipv6 = at[HEADER.ipv6]! >= 0;
  const ip = ipv6 ? at[HEADER.ipv6]! : at[HEADER.ip]!;
  inputBytes(1, bytes, ip);
  inputBytes(2, bytes, ip + 8);
  if (ipv6) {
    inputBytes(3, bytes, ip + 16);
    inputBytes(DATA, bytes, ip + 24);
    inputBytes(DATA + 1, bytes, ip + 32);
  } else {
    input(3, word(bytes, ip + 16), 0);
  }
  let used = ipv6 ? 2 : 0;
  const tcp = at[HEADER.tcp]!;
  const short = Math.max(at[HEADER.udp]!, at[HEADER.icmp]!, at[HEADER.icmpv6]!);
  if (tcp >= 0) {
    inputBytes(DATA + used++, bytes, tcp);
    inputBytes(DATA + used++, bytes, tcp + 8);
    const last = word(bytes, tcp + 16);
    if (used < 4) input(DATA + used++, last, 0);
    else registers.high[1] = registers.high[1]! ^ last; // no room left: mixed into the second lane
  } else if (short >= 0) {
    inputBytes(DATA + used++, bytes, short);
  }
  return used;
}

/** acc ← rotl(acc + x × prime₂, 31) × prime₁; destroys x. */
function round(acc: number, x: number): void {
  registers.multiply(x, 1);
  registers.add(acc, x);
  registers.rotate(acc, 31);
  registers.multiply(acc, 0);
}

/** The lanes, merged and finished into `SUM`. */
function finish(): void {
  const r = registers;
  r.low[SUM] = 0;
  r.high[SUM] = 0;
  for (let lane = 0; lane < 4; lane++) {
    r.copy(SPARE, DATA + lane);
    r.rotate(SPARE, lane === 0 ? 1 : lane === 1 ? 7 : lane === 2 ? 12 : 18);
    r.add(SUM, SPARE);
  }
  for (let lane = 0; lane < 4; lane++) {
    r.low[SPARE] = 0;
    r.high[SPARE] = 0;
    round(SPARE, DATA + lane);
    r.low[SUM] = r.low[SUM]! ^ r.low[SPARE]!;
    r.high[SUM] = r.high[SUM]! ^ r.high[SPARE]!;
    r.multiply(SUM, 0);
    r.addWords(SUM, PRIME_LOW[3]!, PRIME_HIGH[3]!);
  }
  r.addWords(SUM, 32, 0);
  r.low[SUM] = r.low[SUM]! ^ (r.high[SUM]! >>> 1); // x ^= x >> 33
  r.multiply(SUM, 1);
  r.fold(SUM, 29);
  r.multiply(SUM, 2);
  r.low[SUM] = r.low[SUM]! ^ r.high[SUM]!; // x ^= x >> 32
}

/** Hashes the headers that `view` found; the halves are then in `hashLow()` and `hashHigh()`. The view must hold an IP header. */
export function hashView(view: PacketView, seedLow: number, seedHigh: number): void {
  input(0, seedLow, seedHigh);
  for (let i = DATA + inputHeaders(view); i < 8; i++) input(i, seedLow, seedHigh);
  for (let lane = 0; lane < 4; lane++) round(DATA + lane, lane);
  finish();
}

/** The low half of the last hash, as a signed 32-bit number. */
export function hashLow(): number {
  return registers.low[SUM]!;
}

/** The high half of the last hash, as a signed 32-bit number. */
export function hashHigh(): number {
  return registers.high[SUM]!;
}

/** WinDivertHelperHashPacket: 0 for a packet that its parser refuses. Units: an unsigned 64-bit number. */
export function hashPacket(packet: Uint8Array, seed = 0n): bigint {
  const view = new PacketView();
  if (!view.parse(packet, 0, packet.length) || view.truncated) return 0n;
  hashView(view, Number(BigInt.asIntN(32, seed)), Number(BigInt.asIntN(32, seed >> 32n)));
  return (BigInt(hashHigh() >>> 0) << 32n) | BigInt(hashLow() >>> 0);
}
