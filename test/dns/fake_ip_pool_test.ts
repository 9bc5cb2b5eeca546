import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, parseIp, parsePrefix } from "../../core/base/ip_address.ts";
import { FakeIpPool } from "../../core/dns/fake_ip_pool.ts";

function poolOf(range: string): FakeIpPool {
  return new FakeIpPool(parsePrefix(range)!);
}

Deno.test("addressOf() begins with the fourth address and keeps a name's address", () => {
  const pool = poolOf("198.18.0.1/16");
  assertEquals(formatIp(pool.addressOf("a.example")), "198.18.0.4");
  assertEquals(formatIp(pool.addressOf("b.example")), "198.18.0.5");
  assertEquals(formatIp(pool.addressOf("a.example")), "198.18.0.4");
  assertEquals(pool.nameOf(parseIp("198.18.0.5")!), "b.example");
  assertEquals(pool.nameOf(parseIp("198.18.0.6")!), undefined);
  assert(pool.has(parseIp("198.18.255.254")!));
  assert(!pool.has(parseIp("198.19.0.1")!));
});

Deno.test("addressOf() begins again when the range is used up, and the oldest name loses its address", () => {
  const pool = poolOf("198.18.0.0/29"); // 4, 5 and 6 are to be given out
  assertEquals(["a", "b", "c", "d"].map((name) => formatIp(pool.addressOf(name)).slice(-1)), ["4", "5", "6", "4"]);
  assertEquals(pool.nameOf(parseIp("198.18.0.4")!), "d");
  assertEquals(formatIp(pool.addressOf("a")), "198.18.0.5");
  assertEquals(pool.count, 3);
});

Deno.test("restore() takes over what state() gave, but not of another range", () => {
  const pool = poolOf("198.18.0.1/16");
  for (const name of ["a", "b", "c"]) pool.addressOf(name);
  const later = poolOf("198.18.0.1/16");
  assert(later.restore(pool.state()));
  assertEquals(formatIp(later.addressOf("b")), "198.18.0.5");
  assertEquals(formatIp(later.addressOf("new")), "198.18.0.7");
  assert(!poolOf("10.0.0.0/16").restore(pool.state()));
});

Deno.test("restore() survives what somebody wrote into the file", () => {
  const pool = poolOf("198.18.0.0/28");
  const { range } = pool.state();
  pool.restore({
    range,
    next: 1e9,
    entries: [[0, "x"], [4, "y"], [4, "z"], [-3, "w"], [15, "v"], [5, "y"], [1.5, "u"]],
  });
  assertEquals(pool.count, 1);
  assertEquals(pool.nameOf(parseIp("198.18.0.4")!), "y");
});

Deno.test("names and addresses always agree, whatever is asked in whatever order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 }), (asked) => {
      const pool = poolOf("198.18.0.0/28");
      for (const number of asked) {
        const address = pool.addressOf(`name${number}`);
        assertEquals(pool.nameOf(address), `name${number}`);
        assert(pool.count <= 11);
      }
    }),
    { seed: 3, numRuns: 100 },
  );
});
