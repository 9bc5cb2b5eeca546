import { assertEquals } from "@std/assert";
import {
  formatPrefix,
  type IpAddress,
  ipFromWords,
  type IpPrefix,
  ipv4FromWord,
  prefixContains,
} from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { PrefixForest, PrefixSet } from "../../core/decide/prefix_forest.ts";

/** Addresses that share many first bits, so that prefixes nest. */
function randomAddress(prng: Prng): IpAddress {
  if (prng.chance(1, 2)) return ipv4FromWord((0x0a000000 | (prng.below(8) << 21) | prng.below(8)) >>> 0);
  return ipFromWords(0x20010db8, prng.below(2) << 31, prng.below(4) << 15, prng.below(4));
}

function randomPrefix(prng: Prng): IpPrefix {
  const address = randomAddress(prng);
  return { address, bits: prng.below(address.version === 4 ? 33 : 129) };
}

Deno.test("PrefixForest.first() gives the lowest place of all prefixes that hold the address", () => {
  const prng = new Prng(17);
  for (let round = 0; round < 400; round++) {
    const prefixes = Array.from({ length: prng.below(40) }, () => randomPrefix(prng));
    const places = prefixes.map(() => prng.below(1_000));
    const forest = new PrefixForest(prefixes, places);
    const set = new PrefixSet(prefixes);
    for (let i = 0; i < 40; i++) {
      const ip = randomAddress(prng);
      const holding = places.filter((_, k) => prefixContains(prefixes[k]!, ip));
      const expected = holding.length === 0 ? -1 : Math.min(...holding);
      assertEquals(forest.first(ip), expected, prefixes.map(formatPrefix).join(" "));
      assertEquals(set.has(ip), expected >= 0);
    }
  }
});

Deno.test("PrefixForest.first() finds the ends of a prefix and not what lies beside it", () => {
  const forest = new PrefixForest([{ address: ipv4FromWord(0x0a010200), bits: 24 }, {
    address: ipv4FromWord(0),
    bits: 0,
  }], [0, 5]);
  const words = [0x0a0101ff, 0x0a010200, 0x0a0102ff, 0x0a010300, 0, 0xffffffff];
  assertEquals(words.map((word) => forest.first(ipv4FromWord(word))), [5, 0, 0, 5, 5, 5]);
  assertEquals(forest.first(ipFromWords(0, 0, 0, 1)), -1);
});
