import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { readSocks4, readSocks5, SocksRead } from "../../core/wire/socks5.ts";
import { asciiBytes, viewOf } from "../support/hello_build.ts";

type Reader = typeof readSocks5;

function read(reader: Reader, bytes: Uint8Array): [SocksRead, string] {
  const out = { targetAt: 0, targetLength: 0 };
  const state = reader(viewOf(bytes), 0, bytes.length, out);
  const target = bytes.subarray(out.targetAt, out.targetAt + out.targetLength);
  if (state === SocksRead.Name) return [state, new TextDecoder().decode(target)];
  return [state, state === SocksRead.Address ? target.join(".") : ""];
}

const name = [...asciiBytes("example.com")];
const greeting = [5, 2, 0, 2];
const password = [1, 4, ...asciiBytes("user"), 3, ...asciiBytes("pwd")];
const request = [5, 1, 0, 3, name.length, ...name, 1, 187];

Deno.test("readSocks5() finds the target behind greeting and password", () => {
  const cases: [string, number[], SocksRead, string][] = [
    ["name", [...greeting, ...request], SocksRead.Name, "example.com"],
    ["name after a password", [...greeting, ...password, ...request], SocksRead.Name, "example.com"],
    ["IPv4", [...greeting, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80], SocksRead.Address, "192.0.2.1"],
    [
      "IPv6",
      [...greeting, 5, 1, 0, 4, ...new Array(16).fill(1), 0, 80],
      SocksRead.Address,
      new Array(16).fill(1).join("."),
    ],
    ["UDP ASSOCIATE", [...greeting, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0], SocksRead.NoTarget, ""],
    ["greeting alone", greeting, SocksRead.More, ""],
    ["part of the name", [...greeting, ...request.slice(0, 8)], SocksRead.More, ""],
    ["no methods", [5, 0], SocksRead.Bad, ""],
    ["no such method", [5, 1, 0x20], SocksRead.Bad, ""],
    ["no such address type", [...greeting, 5, 1, 0, 2, 0, 0], SocksRead.Bad, ""],
    ["something else behind the greeting", [...greeting, 22, 3, 1], SocksRead.Bad, ""],
    ["another version", [6, 1], SocksRead.Bad, ""],
  ];
  for (const [title, bytes, state, target] of cases) {
    assertEquals(read(readSocks5, new Uint8Array(bytes)), [state, target], title);
  }
});

Deno.test("readSocks4() finds an address, or the name of 4A", () => {
  const cases: [string, number[], SocksRead, string][] = [
    ["4A", [4, 1, 1, 187, 0, 0, 0, 1, 0x6d, 0x65, 0, ...name, 0], SocksRead.Name, "example.com"],
    ["4", [4, 1, 0, 80, 192, 0, 2, 1, 0x6d, 0x65, 0], SocksRead.Address, "192.0.2.1"],
    ["4A without its end", [4, 1, 1, 187, 0, 0, 0, 1, 0, ...name], SocksRead.More, ""],
    ["no end of the user", [4, 1, 1, 187, 192, 0, 2, 1, 0x6d], SocksRead.More, ""],
    ["BIND", [4, 2, 1, 187, 192, 0, 2, 1, 0], SocksRead.NoTarget, ""],
    ["no such command", [4, 9], SocksRead.Bad, ""],
    ["a TDS response, which begins alike", [4, 1, 0, 37, 0, 51, 1, 0, 0, 0, 0], SocksRead.Bad, ""],
    ["more than a request", [4, 1, 0, 80, 192, 0, 2, 1, 0, 1], SocksRead.Bad, ""],
    ["a user name without end", [4, 1, 0, 80, 1, 2, 3, 4, ...new Array(300).fill(0x61)], SocksRead.Bad, ""],
  ];
  for (const [title, bytes, state, target] of cases) {
    assertEquals(read(readSocks4, new Uint8Array(bytes)), [state, target], title);
  }
});

Deno.test("readSocks5() and readSocks4() stay inside the bytes, whatever they are", () => {
  const tail = fc.uint8Array({ maxLength: 60 });
  fc.assert(
    fc.property(fc.constantFrom(4, 5), fc.nat(3), tail, (version, count, bytes) => {
      const whole = new Uint8Array([version, count, ...bytes]);
      const out = { targetAt: 0, targetLength: 0 };
      const reader = version === 5 ? readSocks5 : readSocks4;
      const state = reader(viewOf(whole), 0, whole.length, out);
      const found = state === SocksRead.Name || state === SocksRead.Address;
      return !found || out.targetAt + out.targetLength <= whole.length;
    }),
    { seed: 4, numRuns: 5_000 },
  );
});
