import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isIpLiteral, readAuthorityHost, readHostName } from "../../core/wire/host_name.ts";
import { asciiBytes, viewOf } from "../support/hello_build.ts";

function hostOf(text: string): string {
  const bytes = asciiBytes(text);
  return readHostName(viewOf(bytes), 0, bytes.length);
}

function authorityOf(text: string): string {
  const bytes = asciiBytes(text);
  return readAuthorityHost(viewOf(bytes), 0, bytes.length);
}

const label63 = "a".repeat(63);
const name253 = `${label63}.${label63}.${label63}.${"b".repeat(61)}`;

Deno.test("readHostName() gives the name in lower case without its final dot, or nothing", () => {
  const cases: [string, string][] = [
    ["example.com", "example.com"],
    ["WWW.Example.COM", "www.example.com"],
    ["example.com.", "example.com"],
    ["localhost", "localhost"],
    ["_dmarc.r1---sn-5f5.x_y.org", "_dmarc.r1---sn-5f5.x_y.org"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["192.0.2.1", "192.0.2.1"],
    [name253, name253],
    [name253 + ".", name253],
    ["c" + name253, ""],
    ["a" + label63 + ".org", ""],
    ["", ""],
    [".", ""],
    ["..", ""],
    [".org", ""],
    ["a..b", ""],
    ["a b.org", ""],
    ["a\0.org", ""],
    ["%s", ""],
    ["b\u00fccher.example", ""],
    ["a/b", ""],
    ["a:80", ""],
    ["a.org\n", ""],
  ];
  for (const [text, expected] of cases) assertEquals(hostOf(text), expected, text);
});

Deno.test("readAuthorityHost() takes the host out of user, brackets and port", () => {
  const cases: [string, string][] = [
    ["example.com:8080", "example.com"],
    ["example.com", "example.com"],
    ["user:pass@Example.com:1", "example.com"],
    ["[2001:DB8::1]:443", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["[no-address]:1", ""],
    ["[2001:db8::1", ""],
    ["192.0.2.1:80", "192.0.2.1"],
    [":80", ""],
    ["", ""],
    ["%s", ""],
  ];
  for (const [text, expected] of cases) assertEquals(authorityOf(text), expected, text);
});

Deno.test("isIpLiteral() tells addresses from names", () => {
  assertEquals(["192.0.2.1", "2001:db8::1", "::"].map(isIpLiteral), [true, true, true]);
  assertEquals(["example.com", "1.2.3", "256.1.1.1", ""].map(isIpLiteral), [false, false, false, false]);
});

Deno.test("readHostName() gives only what a rule can match, when the bytes are anything", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, (any) => {
      const host = readHostName(viewOf(any), 0, any.length);
      return host === "" || /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(host) && host.length <= 253;
    }),
    { seed: 1, numRuns: 2_000 },
  );
});
