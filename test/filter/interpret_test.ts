import { assertEquals, assertGreater } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import type { FilterAddress } from "../../core/filter/address.ts";
import { interpretFilter } from "../../core/filter/interpret.ts";
import { LAYER_NAMES } from "../../core/filter/layer.ts";
import { compileFilter, filterObject, FilterSyntaxError, formatFilter } from "../../core/filter/mod.ts";
import { randomAddress, randomFilter, randomPacket } from "./generate.ts";

const SEED = 20_241;
const CASES = 100_000;
const PACKETS_PER_FILTER = 40;

interface Scene {
  packet: Uint8Array;
  address: FilterAddress;
}

function scenes(prng: Prng, layer: number, count: number): Scene[] {
  return Array.from({ length: count }, () => {
    const packet = layer < 2 ? randomPacket(prng) : new Uint8Array(0);
    return { packet, address: randomAddress(prng, layer, packet) };
  });
}

/** A random filter with its slow judge; the few with an index out of bounds are passed over. */
function readable(prng: Prng, layer: number): { source: string; slow: ReturnType<typeof interpretFilter> } {
  while (true) {
    const source = randomFilter(prng, layer);
    try {
      return { source, slow: interpretFilter(source, LAYER_NAMES[layer]!) };
    } catch (error) {
      if (!(error instanceof FilterSyntaxError)) throw error;
    }
  }
}

/** WinDivert sets a choice's colon right behind a constant; after `::` or 39 characters it cannot read that again. */
function readableForm(text: string): string {
  return text.replace(/(?<=[^:])(::)?:(?= )/g, "$1 :");
}

Deno.test(`compileFilter() agrees with the slow interpreter when asked ${CASES} times (seed ${SEED})`, () => {
  const prng = new Prng(SEED);
  const worlds = LAYER_NAMES.map((_, layer) => scenes(prng, layer, 400));
  let matched = 0;
  for (let i = 0; i < CASES / PACKETS_PER_FILTER; i++) {
    const layer = prng.chance(3, 5) ? 0 : prng.below(LAYER_NAMES.length);
    const name = LAYER_NAMES[layer]!;
    const { source, slow } = readable(prng, layer);
    const fast = compileFilter(source, name);
    // The normal form loses some signs (`loopback = -1` becomes `loopback`), in WinDivert as here.
    const again = /[=<>] ?-/.test(source) ? fast : compileFilter(readableForm(formatFilter(source, name)), name);
    const object = compileFilter(filterObject(source, name), name);
    for (let k = 0; k < PACKETS_PER_FILTER; k++) {
      const { packet, address } = worlds[layer]![prng.below(400)]!;
      const expected = slow(packet, address);
      const verdicts = [fast, again, object].map((filter) => filter.matches(packet, address));
      assertEquals(
        verdicts,
        [expected, expected, expected],
        `${source} [${name}] ${JSON.stringify(address, bigintText)}`,
      );
      if (expected) matched++;
    }
  }
  assertGreater(matched, CASES / 10, "both outcomes must be frequent");
});

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}
