import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { createDtlsFragment, readDtlsFragment } from "../../core/wire/dtls.ts";
import { dtlsHello, helloBody, viewOf } from "../support/hello_build.ts";
import { joinBytes } from "../support/quic_build.ts";

Deno.test("readDtlsFragment() walks all fragments in a datagram", () => {
  const body = helloBody({ name: "example.com", cookieBytes: 0 });
  const datagram = joinBytes(...dtlsHello({ name: "example.com" }, 40));
  const fragment = createDtlsFragment();
  const whole = new Uint8Array(body.length);
  let from = 0;
  while (readDtlsFragment(viewOf(datagram), 0, from, datagram.length, fragment)) {
    assertEquals(fragment.messageLength, body.length);
    whole.set(datagram.subarray(fragment.dataAt, fragment.dataAt + fragment.dataLength), fragment.offset);
    from = fragment.end;
  }
  assertEquals(from, datagram.length);
  assertEquals([...whole], body);
});

Deno.test("readDtlsFragment() refuses what is no clear-text ClientHello, and lengths that lie", () => {
  const good = dtlsHello({ name: "example.com" }, 40)[0]!;
  const fragment = createDtlsFragment();
  const cases: [string, number, number][] = [
    ["content type", 0, 23],
    ["version", 1, 3],
    ["epoch", 4, 1],
    ["record length", 12, 255],
    ["ServerHello", 13, 2],
    ["fragment offset", 19, 255],
    ["fragment length", 24, 60],
    ["message length", 14, 255],
  ];
  for (const [title, at, value] of cases) {
    const bytes = good.slice();
    bytes[at] = value;
    assertEquals(readDtlsFragment(viewOf(bytes), 0, 0, bytes.length, fragment), false, title);
  }
  for (let length = 0; length < good.length; length++) {
    assertEquals(readDtlsFragment(viewOf(good), 0, 0, length, fragment), false);
  }
});

Deno.test("readDtlsFragment() stays inside any bytes", () => {
  const good = dtlsHello({ name: "example.com" }, 40)[0]!;
  const fragment = createDtlsFragment();
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bytes = good.slice();
      bytes[at] = value;
      const ok = readDtlsFragment(viewOf(bytes), 0, 0, bytes.length, fragment);
      return !ok || (fragment.dataAt + fragment.dataLength <= fragment.end && fragment.end <= bytes.length);
    }),
    { seed: 8, numRuns: 3_000 },
  );
});
