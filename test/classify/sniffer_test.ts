import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SNIFF_SERVER_SEGMENTS_MAX, STREAM_PREFIX_BYTES_MAX } from "../../core/base/limits.ts";
import { createSniffOptions, FlowSniffer, SniffReason, SniffState } from "../../core/classify/sniffer.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { asciiBytes, type HelloOptions, tlsHello, viewOf } from "../support/hello_build.ts";

const options = createSniffOptions();
const initialCrypto = createQuicCrypto();
const ISN = 0xffff_ff00;

function newSniffer(use = options): FlowSniffer {
  return new FlowSniffer("tcp", use, initialCrypto);
}

function opened(use = options): FlowSniffer {
  const sniffer = newSniffer(use);
  sniffer.tcpSyn(ISN);
  return sniffer;
}

function send(sniffer: FlowSniffer, bytes: Uint8Array, offset = 0, fromClient = true): SniffState {
  return sniffer.tcpSegment(fromClient, (ISN + 1 + offset) >>> 0, viewOf(bytes), 0, bytes.length);
}

Deno.test("FlowSniffer names a flow by its client's first segment", () => {
  const socksName = [5, 1, 0, 5, 1, 0, 3, 11, ...asciiBytes("example.com"), 1, 187];
  const cases: [string, Uint8Array, string, string][] = [
    ["TLS", tlsHello({ name: "Example.COM" }), "tls", "example.com"],
    ["TLS over many records", tlsHello({ name: "example.com" }, 9), "tls", "example.com"],
    ["HTTP", asciiBytes("GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n"), "http", "example.com"],
    ["CONNECT", asciiBytes("CONNECT example.com:443 HTTP/1.1\r\n\r\n"), "connect", "example.com"],
    ["SOCKS 5", new Uint8Array(socksName), "socks5", "example.com"],
    [
      "SOCKS 4A",
      new Uint8Array([4, 1, 0, 80, 0, 0, 0, 9, 0, ...asciiBytes("example.com"), 0]),
      "socks5",
      "example.com",
    ],
  ];
  for (const [title, bytes, protocol, host] of cases) {
    const sniffer = opened();
    assertEquals(send(sniffer, bytes), SniffState.Found, title);
    assertEquals([sniffer.host, sniffer.protocol, sniffer.ech], [host, protocol, false], title);
    assertEquals(sniffer.reason, SniffReason.Named);
    sniffer.dispose();
  }
  assertEquals(options.budget.bytesUsed, 0);
});

Deno.test("FlowSniffer marks a name that is only the outer one of Encrypted ClientHello", () => {
  const sniffer = opened();
  send(sniffer, tlsHello({ name: "public.example", ech: 0 }));
  assertEquals([sniffer.host, sniffer.ech], ["public.example", true]);
});

Deno.test("FlowSniffer says None at once, and why, when no name can come", () => {
  const cases: [string, Uint8Array, SniffReason][] = [
    ["SSH", asciiBytes("SSH-2.0-OpenSSH_9.6\r\n"), SniffReason.Unrecognised],
    ["binary", new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]), SniffReason.Unrecognised],
    ["TLS without SNI", tlsHello({}), SniffReason.NoName],
    ["TLS with a name that is none", tlsHello({ name: "a b" }), SniffReason.BadName],
    ["a TLS server", new Uint8Array([22, 3, 3, 0, 40, 2, 0, 0, 36]), SniffReason.Unrecognised],
    ["TLS application data", new Uint8Array([23, 3, 3, 0, 40, 1]), SniffReason.Unrecognised],
    ["HTTP without Host", asciiBytes("GET / HTTP/1.0\r\n\r\n"), SniffReason.NoName],
    ["HTTP/2", asciiBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SniffReason.NoName],
  ];
  for (const [title, bytes, reason] of cases) {
    const sniffer = opened();
    assertEquals([send(sniffer, bytes), sniffer.reason, sniffer.host], [SniffState.None, reason, ""], title);
  }
});

Deno.test("FlowSniffer keeps an address apart from names", () => {
  const cases: [Uint8Array, string][] = [
    [asciiBytes("GET / HTTP/1.1\r\nHost: 192.0.2.1:81\r\n\r\n"), "192.0.2.1"],
    [asciiBytes("GET / HTTP/1.1\r\nHost: [2001:DB8:0::1]\r\n\r\n"), "2001:db8::1"],
    [tlsHello({ name: "192.0.2.1" }), "192.0.2.1"],
    [new Uint8Array([5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]), "192.0.2.1"],
  ];
  for (const [bytes, address] of cases) {
    const sniffer = opened();
    assertEquals(send(sniffer, bytes), SniffState.Found);
    assertEquals([sniffer.host, sniffer.address, sniffer.reason], ["", address, SniffReason.Address]);
  }
});

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): { offset: number; data: Uint8Array }[] {
  const at = [...new Set([0, ...places.map((place) => place % bytes.length), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => ({ offset: at[i]!, data: bytes.slice(at[i]!, end) }));
}

const hello: fc.Arbitrary<HelloOptions> = fc.record({
  name: fc.constantFrom("example.com", "a.very.long.name.of.a.host.in.some.example.org"),
  sessionIdBytes: fc.constantFrom(0, 32),
  paddingBytes: fc.constantFrom(0, 300, 3_000),
});

Deno.test("FlowSniffer gives the same name for any cut, order, repetition and record size of a hello", () => {
  const places = fc.array(fc.nat(4_000), { maxLength: 40 });
  const order = fc.array(fc.nat(1_000), { minLength: 41, maxLength: 41 });
  const recordBytes = fc.constantFrom(1, 5, 64, 500, 16_384);
  fc.assert(
    fc.property(hello, recordBytes, places, order, fc.nat(50), (what, record, cuts, keys, again) => {
      const bytes = tlsHello(what, record);
      const segments = cut(bytes, cuts).map((segment, i) => ({ ...segment, key: keys[i] ?? i }));
      segments.sort((a, b) => a.key - b.key);
      segments.splice(again % (segments.length + 1), 0, segments[again % segments.length]!);
      const sniffer = opened();
      for (const { offset, data } of segments) send(sniffer, data, offset);
      const same = sniffer.state === SniffState.Found && sniffer.host === what.name;
      sniffer.dispose();
      return same && options.budget.bytesUsed === 0;
    }),
    { seed: 13, numRuns: 1_500 },
  );
});

Deno.test("FlowSniffer gives the same name for any cut and order of an HTTP head and a SOCKS request", () => {
  const http = asciiBytes("GET /a?b HTTP/1.1\r\nAccept: */*\r\nHost: example.com\r\n\r\nbody");
  const socks = new Uint8Array([5, 1, 0, 5, 1, 0, 3, 11, ...asciiBytes("example.com"), 1, 187]);
  const places = fc.array(fc.nat(100), { maxLength: 20 });
  fc.assert(
    fc.property(fc.constantFrom(http, socks), places, fc.infiniteStream(fc.nat(100)), (bytes, cuts, keys) => {
      const segments = cut(bytes, cuts).map((segment) => ({ ...segment, key: keys.next().value }));
      segments.sort((a, b) => a.key - b.key);
      const sniffer = opened();
      for (const { offset, data } of segments) send(sniffer, data, offset);
      return sniffer.host === "example.com";
    }),
    { seed: 14, numRuns: 1_000 },
  );
});

Deno.test("FlowSniffer keeps what came first when a later copy says something else", () => {
  const first = tlsHello({ name: "first.example" });
  const other = tlsHello({ name: "other.example" });
  const sniffer = opened();
  send(sniffer, first.slice(0, 120));
  send(sniffer, other);
  assertEquals(sniffer.state, SniffState.Found);
  const at = first.findIndex((byte, i) => byte !== other[i]);
  assertEquals(sniffer.host, at < 120 ? "first.example" : "other.example");
});

Deno.test("FlowSniffer reads a hello of 20,000 cipher suites, and gives up on one that is too long", () => {
  const large = tlsHello({ name: "example.com", cipherCount: 20_000 });
  const sniffer = opened();
  for (let at = 0; at < large.length; at += 1_400) send(sniffer, large.slice(at, at + 1_400), at);
  assertEquals(sniffer.host, "example.com");
  sniffer.dispose();

  const endless = asciiBytes("GET /" + "a".repeat(STREAM_PREFIX_BYTES_MAX + 2_000));
  const other = opened();
  for (let at = 0; at < endless.length; at += 1_400) send(other, endless.slice(at, at + 1_400), at);
  assertEquals([other.state, other.reason], [SniffState.None, SniffReason.TooLong]);
  other.dispose();
  assertEquals(options.budget.bytesUsed, 0);
});

Deno.test("FlowSniffer stays without a name when all sniffers' memory is used up", () => {
  const small = createSniffOptions(4_096);
  const bytes = tlsHello({ name: "example.com", paddingBytes: 1_500 });
  const sniffers = [0, 1, 2].map(() => new FlowSniffer("tcp", small, initialCrypto));
  for (const sniffer of sniffers) {
    sniffer.tcpSyn(ISN);
    send(sniffer, bytes.slice(0, 1_000));
  }
  assertEquals(sniffers.map((sniffer) => sniffer.reason), [
    SniffReason.NotYet,
    SniffReason.NotYet,
    SniffReason.MemoryFull,
  ]);
  for (const sniffer of sniffers) sniffer.dispose();
  assertEquals(small.budget.bytesUsed, 0);
});

Deno.test("FlowSniffer.finish() decides with what is there", () => {
  const bytes = tlsHello({ name: "example.com", ech: 0 });
  const cutOff = opened();
  send(cutOff, bytes.slice(0, bytes.length - 3));
  assertEquals([cutOff.state, cutOff.finish(), cutOff.host], [SniffState.Pending, SniffState.Found, "example.com"]);
  const early = opened();
  send(early, bytes.slice(0, 40));
  assertEquals([early.finish(), early.reason, early.host], [SniffState.None, SniffReason.Finished, ""]);
  const empty = newSniffer();
  assertEquals([empty.finish(), empty.reason], [SniffState.None, SniffReason.Finished]);
});

Deno.test("FlowSniffer says None when the server speaks first after a SYN", () => {
  const sniffer = opened();
  assertEquals(send(sniffer, asciiBytes("220 mail.example.com ESMTP\r\n"), 0, false), SniffState.None);
  assertEquals(sniffer.reason, SniffReason.ServerFirst);
});

Deno.test("FlowSniffer gives a hole up when the server goes on talking", () => {
  const bytes = tlsHello({ name: "example.com", paddingBytes: 2_000 });
  const sniffer = opened();
  send(sniffer, bytes.slice(0, 500));
  for (let i = 1; i < SNIFF_SERVER_SEGMENTS_MAX; i++) {
    assertEquals(send(sniffer, asciiBytes("x"), i, false), SniffState.Pending);
  }
  assertEquals(send(sniffer, asciiBytes("x"), 99, false), SniffState.None);
  assertEquals(sniffer.reason, SniffReason.Hole);
});

Deno.test("FlowSniffer takes Ethernet padding that was counted as payload for nothing", () => {
  const padding = new Uint8Array(6);
  const sniffer = opened();
  assertEquals(send(sniffer, padding.slice(0, 2)), SniffState.Pending);
  assertEquals(send(sniffer, padding, 0, false), SniffState.Pending);
  assertEquals(send(sniffer, tlsHello({ name: "example.com" })), SniffState.Found);
  const zeros = opened();
  assertEquals(send(zeros, new Uint8Array(7)), SniffState.None);
});

Deno.test("FlowSniffer reads either direction when no SYN was seen", () => {
  const bytes = tlsHello({ name: "example.com" });
  const reversed = newSniffer();
  assertEquals(send(reversed, bytes, 0, false), SniffState.Found);
  assertEquals(reversed.host, "example.com");

  const answerFirst = newSniffer();
  assertEquals(send(answerFirst, asciiBytes("HTTP/1.1 200 OK\r\n\r\nabc")), SniffState.Pending);
  assertEquals(send(answerFirst, asciiBytes("more of it"), 30), SniffState.Pending);
  assertEquals(send(answerFirst, asciiBytes("GET / HTTP/1.1\r\nHost: a.org\r\n\r\n"), 0, false), SniffState.Found);
  assertEquals(answerFirst.host, "a.org");
});

Deno.test("FlowSniffer takes the SYN's word for where the beginning is, also when it comes late", () => {
  const bytes = tlsHello({ name: "example.com", paddingBytes: 500 });
  const same = newSniffer();
  send(same, bytes.slice(0, 300));
  same.tcpSyn(ISN);
  send(same, bytes.slice(300), 300);
  assertEquals(same.host, "example.com");

  const other = newSniffer();
  send(other, bytes.slice(0, 300), 1_000);
  other.tcpSyn(ISN);
  send(other, bytes.slice(300), 300);
  assertEquals(other.state, SniffState.Pending);
  send(other, bytes.slice(0, 300));
  assertEquals(other.host, "example.com");
});

Deno.test("FlowSniffer looks only for what the options want on a port", () => {
  const narrow = {
    ...createSniffOptions(),
    tls: [{ from: 443, to: 443 }],
    http: [{ from: 80, to: 81 }],
    socks: [],
    quic: [],
  };
  const tls = tlsHello({ name: "example.com" });
  const http = asciiBytes("GET / HTTP/1.1\r\nHost: a.org\r\n\r\n");
  const named = (port: number, bytes: Uint8Array): string => {
    const sniffer = new FlowSniffer("tcp", narrow, initialCrypto, port);
    sniffer.tcpSyn(ISN);
    send(sniffer, bytes);
    return sniffer.host;
  };
  assertEquals([named(443, tls), named(443, http), named(81, http), named(81, tls)], ["example.com", "", "a.org", ""]);
  assertEquals(new FlowSniffer("tcp", narrow, initialCrypto, 22).state, SniffState.None);
  assertEquals(new FlowSniffer("udp", narrow, initialCrypto, 80).reason, SniffReason.NotWanted);
  assertEquals(new FlowSniffer("tcp", { ...narrow, enabled: false }, initialCrypto, 443).state, SniffState.None);
});

Deno.test("FlowSniffer comes to no harm from any bytes in any segments", () => {
  const start = fc.constantFrom([22, 3, 1], [5, 1, 0], [4, 1], [...asciiBytes("GET / HTTP/1.1\r\n")], []);
  const bytes = fc.tuple(start, fc.uint8Array({ minLength: 1, maxLength: 80 })).map(([a, b]) =>
    new Uint8Array([...a, ...b])
  );
  const segment = fc.record({ bytes, offset: fc.oneof(fc.nat(100), fc.nat(0xffff_ffff)), fromClient: fc.boolean() });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 20 }), fc.boolean(), (segments, withSyn) => {
      const sniffer = newSniffer();
      if (withSyn) sniffer.tcpSyn(ISN);
      for (const { bytes, offset, fromClient } of segments) send(sniffer, bytes, offset, fromClient);
      const end = sniffer.finish();
      assert(end !== SniffState.Pending);
      assert((end === SniffState.Found) === (sniffer.host !== "" || sniffer.address !== ""));
      sniffer.dispose();
      assertEquals(options.budget.bytesUsed, 0);
    }),
    { seed: 15, numRuns: 3_000 },
  );
});

Deno.test("FlowSniffer comes to no harm from mutated hellos, and a truncated one names nothing else", () => {
  const good = tlsHello({ name: "example.com", ech: 0 });
  for (let length = 0; length <= good.length; length++) {
    const sniffer = opened();
    send(sniffer, good.slice(0, length));
    sniffer.finish();
    assert(sniffer.host === "" || sniffer.host === "example.com");
  }
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const bytes = good.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const sniffer = opened();
      send(sniffer, bytes.slice(0, 70));
      send(sniffer, bytes.slice(70), 70);
      sniffer.finish();
      sniffer.dispose();
      return /^[a-z0-9._-]*$/.test(sniffer.host) && options.budget.bytesUsed === 0;
    }),
    { seed: 16, numRuns: 3_000 },
  );
});
