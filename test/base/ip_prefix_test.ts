/** Arithmetic of address blocks, against counting addresses one by one. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  formatPrefix,
  type IpAddress,
  type IpPrefix,
  ipv4FromWord,
  parsePrefix,
  prefixContains,
} from "../../core/base/ip_address.ts";
import { halves, maskPrefix, prefixCovers, subtractPrefixes, tunnelRoutes } from "../../core/base/ip_prefix.ts";

function prefix(text: string): IpPrefix {
  return parsePrefix(text)!;
}

function texts(prefixes: readonly IpPrefix[]): string {
  return prefixes.map(formatPrefix).join(" ");
}

Deno.test("maskPrefix() clears what stands behind the length", () => {
  for (
    const [given, masked] of [
      ["198.18.0.1/30", "198.18.0.0/30"],
      ["255.255.255.255/0", "0.0.0.0/0"],
      ["255.255.255.255/1", "128.0.0.0/1"],
      ["10.1.2.3/32", "10.1.2.3/32"],
      ["fdfe:dcba:9876::1/126", "fdfe:dcba:9876::/126"],
      ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/33", "ffff:ffff:8000::/33"],
      ["2001:db8::1/128", "2001:db8::1/128"],
      ["ffff::/0", "::/0"],
    ] as const
  ) assertEquals(formatPrefix(maskPrefix(prefix(given))), masked);
});

Deno.test("halves() are the two blocks of one bit more, and none for a single address", () => {
  for (
    const [given, found] of [
      ["0.0.0.0/0", "0.0.0.0/1 128.0.0.0/1"],
      ["::/0", "::/1 8000::/1"],
      ["192.168.0.0/31", "192.168.0.0/32 192.168.0.1/32"],
      ["2001:db8::/32", "2001:db8::/33 2001:db8:8000::/33"],
      ["10.0.0.1/32", ""],
      ["::1/128", ""],
    ] as const
  ) assertEquals(texts(halves(prefix(given))), found);
});

Deno.test("tunnelRoutes() replaces a default route by its halves and leaves excludes out", () => {
  const everything = ["0.0.0.0/0", "::/0"].map(prefix);
  for (
    const [wanted, excludes, found] of [
      [everything, [], "0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1"],
      [everything, ["0.0.0.0/0"], "::/1 8000::/1"],
      [[prefix("10.0.0.0/8")], ["10.0.0.0/9"], "10.128.0.0/9"],
      [[prefix("10.0.0.0/8")], ["11.0.0.0/8", "::/0"], "10.0.0.0/8"],
      [[prefix("10.0.0.0/30")], ["10.0.0.2/32"], "10.0.0.0/31 10.0.0.3/32"],
      [["10.1.2.3/8", "10.0.0.0/8", "10.3.0.0/16"].map(prefix), [], "10.0.0.0/8"],
      [[prefix("2001:db8::/126")], ["2001:db8::1/128"], "2001:db8::/128 2001:db8::2/127"],
    ] as const
  ) assertEquals(texts(tunnelRoutes(wanted, excludes.map(prefix))), found);
});

Deno.test("tunnelRoutes() keeps a single address of IPv6 out with 127 routes at most", () => {
  const routes = tunnelRoutes([prefix("::/0")], [prefix("2001:db8::1/128")]);
  assertEquals(routes.length, 128);
  assert(!routes.some((route) => prefixContains(route, prefix("2001:db8::1/128").address)));
});

/** Blocks inside 10.0.0.0/24, so that all addresses can be looked at. */
const smallBlock = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 })).map(
  ([last, bits]): IpPrefix => ({ address: ipv4FromWord(0x0a00_0000 + last), bits }),
);

Deno.test("tunnelRoutes() has exactly the addresses that are wanted and not excluded, each once, in the fewest blocks", () => {
  fc.assert(
    fc.property(
      fc.array(smallBlock, { minLength: 1, maxLength: 4 }),
      fc.array(smallBlock, { maxLength: 5 }),
      (wanted, excludes) => {
        const routes = tunnelRoutes(wanted, excludes);
        const has = (blocks: readonly IpPrefix[], ip: IpAddress) => blocks.filter((each) => prefixContains(each, ip));
        for (let last = 0; last < 256; last++) {
          const ip = ipv4FromWord(0x0a00_0000 + last);
          const isWanted = has(wanted, ip).length > 0 && has(excludes, ip).length === 0;
          assertEquals(has(routes, ip).length, isWanted ? 1 : 0);
        }
        for (const route of routes) assertEquals(maskPrefix(route), route);
      },
    ),
    { seed: 20_01, numRuns: 400 },
  );
});

Deno.test("subtractPrefixes() leaves no two blocks that are halves of one", () => {
  fc.assert(
    fc.property(smallBlock, fc.array(smallBlock, { maxLength: 5 }), (block, excludes) => {
      const left = subtractPrefixes(block, excludes);
      for (let i = 1; i < left.length; i++) {
        const [a, b] = [left[i - 1]!, left[i]!];
        const parent = maskPrefix({ address: a.address, bits: a.bits - 1 });
        assert(a.bits !== b.bits || !prefixCovers(parent, b));
      }
    }),
    { seed: 20_02, numRuns: 400 },
  );
});
