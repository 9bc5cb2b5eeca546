import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { HeadWalk, HttpHeadWalk } from "../../core/wire/http_head.ts";
import { asciiBytes, viewOf } from "../support/hello_build.ts";

function walk(text: string): [HeadWalk, string] {
  const bytes = asciiBytes(text);
  const head = new HttpHeadWalk();
  const state = head.step(viewOf(bytes), 0, bytes.length);
  const hasHost = state === HeadWalk.Host || state === HeadWalk.Connect;
  return [state, hasHost ? text.slice(head.hostAt, head.hostAt + head.hostLength) : ""];
}

const HEADS: [string, HeadWalk, string][] = [
  ["GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", HeadWalk.Host, "example.com"],
  ["GET / HTTP/1.1\nhost:example.com\n\n", HeadWalk.Host, "example.com"],
  ["POST /a HTTP/1.0\r\nA: b\r\nHOST \t: \t example.com:81 \t\r\n", HeadWalk.Host, "example.com:81"],
  ["M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n", HeadWalk.Host, "239.255.255.250:1900"],
  ["GET   /a b   HTTP/1.1\r\nHost: x\r\n", HeadWalk.Host, "x"],
  ["GET http://a.org/ HTTP/1.1\r\nHost: b.org\r\n\r\n", HeadWalk.Host, "a.org"],
  ["GET http://u@a.org:8?q HTTP/1.1\r\n\r\n", HeadWalk.Host, "u@a.org:8"],
  ["CONNECT a.org:443 HTTP/1.1\r\n", HeadWalk.Connect, "a.org:443"],
  ["connect a.org:443 HTTP/1.1\r\n", HeadWalk.Connect, "a.org:443"],
  ["GET / HTTP/1.1\r\nX-Host: no\r\nHostel: no\r\n\r\n", HeadWalk.NoHost, ""],
  ["GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadWalk.NoHost, ""],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadWalk.NoHost, ""],
  ["GET / HTTP/1.1\r\nHost: exam", HeadWalk.More, ""],
  ["GET / HTTP/1.1\r\n", HeadWalk.More, ""],
  ["GE", HeadWalk.More, ""],
  ["", HeadWalk.More, ""],
  ["HTTP/1.1 200 OK\r\n", HeadWalk.Response, ""],
  ["EHLO mail.example.com\r\n", HeadWalk.Bad, ""],
  ["GET /\r\nHost: old.example\r\n", HeadWalk.Bad, ""],
  ["SSH-2.0-OpenSSH_9.6\r\n", HeadWalk.Bad, ""],
  ["GET \x01", HeadWalk.Bad, ""],
  [" GET / HTTP/1.1\r\n", HeadWalk.Bad, ""],
  ["A".repeat(33) + " / HTTP/1.1\r\n", HeadWalk.Bad, ""],
  ["\x16\x03\x01", HeadWalk.Bad, ""],
];

Deno.test("HttpHeadWalk.step() finds the host, or says that there is none", () => {
  for (const [text, state, host] of HEADS) assertEquals(walk(text), [state, host], JSON.stringify(text));
});

Deno.test("HttpHeadWalk.step() comes to the same end when the head comes byte by byte", () => {
  for (const [text, state] of HEADS) {
    const bytes = asciiBytes(text);
    const head = new HttpHeadWalk();
    let last: HeadWalk = HeadWalk.More;
    for (let length = 1; length <= bytes.length && last === HeadWalk.More; length++) {
      last = head.step(viewOf(bytes), 0, length);
    }
    assertEquals(last, state, JSON.stringify(text));
  }
});

Deno.test("HttpHeadWalk.step() stays inside the bytes, whatever they are", () => {
  const text = fc.string({ maxLength: 120 }).map((tail) => asciiBytes("GET " + tail));
  fc.assert(
    fc.property(fc.oneof(text, fc.uint8Array({ maxLength: 120 })), (bytes) => {
      const head = new HttpHeadWalk();
      const state = head.step(viewOf(bytes), 0, bytes.length);
      return state === HeadWalk.More || head.hostAt + head.hostLength <= bytes.length;
    }),
    { seed: 3, numRuns: 5_000 },
  );
});
