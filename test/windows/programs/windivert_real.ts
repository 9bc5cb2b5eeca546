/**
 * Runs under Wine: asks the real WinDivert.dll (version 2.2) what core/filter answers as well, and tries to open it although there is no driver.
 * Prints one JSON document; "differences" lists what is not equal, and is empty when all is well.
 * windivert_real.ts DLL [RANDOM-FILTERS] [FILE]; the file has a JSON list of more filters
 */
import { Prng } from "../../../core/base/prng.ts";
import {
  calcChecksums,
  compileFilter,
  filterObject,
  FilterSyntaxError,
  formatFilter,
  hashPacket,
  LAYER_NAMES,
  parsePacket,
} from "../../../core/filter/mod.ts";
import { filterAddressOf, type PacketAddress, writePacketAddress } from "../../../ffi/windivert/address.ts";
import { type CompiledByWinDivert, WinDivertHelpers } from "../../../ffi/windivert/windivert_helpers.ts";
import { AddressBit, Layer, Size } from "../../../ffi/windivert/layout.ts";
import { openWinDivert } from "../../../ffi/windivert/open.ts";
import { damageFilter, randomFilter, randomPacket } from "../../filter/generate.ts";
import vectors from "../../filter/vectors/windivert-2.2.json" with { type: "json" };

const SHOWN_MAX = 20;
const PACKETS_PER_FILTER = 12;
const ROOM_BEHIND = 64;

const [dll, randomCount = "3000", file] = Deno.args as [string, string?, string?];
const open = tryToOpen();
const helpers = openHelpers();
const differences: unknown[] = [];
const counts = { filters: 0, accepted: 0, objects: 0, verdicts: 0, checksums: 0, hashes: 0, parsed: 0 };

/** A library of another version has others, or none: then how it fails to open is all there is to tell. */
function openHelpers(): WinDivertHelpers {
  try {
    return WinDivertHelpers.open(dll);
  } catch {
    console.log(JSON.stringify({ open }, null, 2));
    Deno.exit(0);
  }
}

function compare(what: string, of: unknown, ours: unknown, real: unknown): void {
  const [one, other] = [ours, real].map((value) => JSON.stringify(value));
  if (one !== other && differences.length < SHOWN_MAX) differences.push({ what, of, ours: one, real: other });
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function compileOurs(filter: string, layer: number): CompiledByWinDivert {
  const name = LAYER_NAMES[layer]!;
  try {
    return { object: filterObject(filter, name), formatted: formatFilter(filter, name) };
  } catch (error) {
    if (error instanceof FilterSyntaxError) return { error: error.message, position: error.position };
    throw error;
  }
}

interface Packet {
  readonly bytes: Uint8Array;
  readonly facts: PacketAddress;
  readonly address: Uint8Array;
}

/** A packet with an address that agrees with its version, as a driver's does. */
function packetOf(bytes: Uint8Array, prng: Prng): Packet {
  const isV6 = bytes.length > 0 && bytes[0]! >>> 4 === 6;
  const bits = (prng.below(256) & ~AddressBit.Ipv6) | (isV6 ? AddressBit.Ipv6 : 0);
  const facts: PacketAddress = {
    timestamp: BigInt(prng.uint32()) << 20n,
    layer: Layer.Network,
    event: 0,
    bits,
    ifIdx: prng.below(20),
    subIfIdx: prng.below(3),
  };
  const address = new Uint8Array(Size.WINDIVERT_ADDRESS);
  writePacketAddress(new DataView(address.buffer), 0, facts);
  return { bytes, facts, address };
}

function compareFilter(filter: string, layer: number, packets: readonly Packet[]): void {
  counts.filters++;
  const ours = compileOurs(filter, layer);
  const real = helpers.compile(filter, layer);
  compare("filter", { filter, layer }, ours, real);
  if (!("object" in ours) || !("object" in real)) return;
  counts.accepted++;
  if (ours.object === real.object) counts.objects++;
  if (layer !== Layer.Network) return;
  const compiled = compileFilter(filter, "network");
  const fromObject = compileFilter(real.object, "network");
  for (const { bytes, facts, address } of packets) {
    counts.verdicts++;
    const verdict = helpers.matches(filter, bytes, address);
    const tested = filterAddressOf(facts);
    compare(
      "verdict",
      { filter, packet: hex(bytes), facts: String(facts.bits) },
      compiled.matches(bytes, tested),
      verdict,
    );
    compare("verdict of its object", { filter, packet: hex(bytes) }, fromObject.matches(bytes, tested), verdict);
  }
}

function comparePacket({ bytes }: Packet): void {
  const ours = bytes.slice();
  // A TCP header may claim more than there is: the library reads on behind the packet, where core/filter takes zeros.
  const real = new Uint8Array(bytes.length + ROOM_BEHIND).subarray(0, bytes.length);
  real.set(bytes);
  const { ok, ...bits } = calcChecksums(ours);
  const told = helpers.calcChecksums(real, 0);
  const set = told.address[10]!;
  const has = (bit: number) => (set & bit) !== 0;
  const realBits = {
    ipChecksum: has(AddressBit.IpChecksum),
    tcpChecksum: has(AddressBit.TcpChecksum),
    udpChecksum: has(AddressBit.UdpChecksum),
  };
  compare("checksums", hex(bytes), { ok, ...bits, bytes: hex(ours) }, { ok: told.ok, ...realBits, bytes: hex(real) });
  compare("offsets", hex(bytes), parsePacket(bytes), helpers.parse(bytes));
  compare("hash", hex(bytes), String(hashPacket(bytes, 7n)), String(helpers.hash(bytes, 7n)));
  counts.checksums++;
  counts.parsed++;
  counts.hashes++;
}

/** What `weir run` would say where there is no driver, or too few rights. */
function tryToOpen(): string {
  try {
    openWinDivert(dll, {
      name: "weir",
      addresses: [],
      mtu: 1500,
      routes: [],
      sources: [],
      offload: false,
      namespace: undefined,
      divert: { filter: "tcp", priority: 0 },
    }).close();
    return "it opened";
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

const prng = new Prng(20260714);
const packets = [
  ...vectors.packets.map(({ hex }) => Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16))),
  ...Array.from({ length: 200 }, () => randomPacket(prng)),
].map((bytes) => packetOf(bytes, prng));
packets.forEach(comparePacket);
for (const { filter, layer } of vectors.filters) compareFilter(filter, layer, packets.slice(0, PACKETS_PER_FILTER));
for (let i = 0; i < Number(randomCount); i++) {
  const layer = prng.chance(3, 5) ? Layer.Network : prng.below(LAYER_NAMES.length);
  const whole = randomFilter(prng, layer, 3);
  const from = prng.below(packets.length - PACKETS_PER_FILTER);
  const text = prng.chance(1, 4) ? damageFilter(prng, whole) : whole;
  compareFilter(text, layer, packets.slice(from, from + PACKETS_PER_FILTER));
}
const more: string[] = file === undefined ? [] : JSON.parse(Deno.readTextFileSync(file));
for (const filter of more) compareFilter(filter, Layer.Network, packets.slice(0, PACKETS_PER_FILTER));
console.log(JSON.stringify({ counts, differences, open }, null, 2));
