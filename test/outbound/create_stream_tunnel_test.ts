import { assert, assertEquals } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { DIALER_CHAIN_MAX } from "../../core/base/limits.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import { createChainTunnel, createStreamTunnel, hopsOf, serverOf } from "../../core/outbound/create_stream_tunnel.ts";
import { destinationOf } from "../../core/outbound/flow_destination.ts";
import type { OutboundSettings, ProtocolSettings } from "../../core/outbound/settings.ts";
import { NAMED, SECRET, testEnv } from "../support/outbound_pairs.ts";

function outbound(name: string, protocol: ProtocolSettings, more: Partial<OutboundSettings> = {}): OutboundSettings {
  const network = { server: "192.0.2.1", port: 1080, udp: true, interfaceName: undefined, ipVersion: "dual" } as const;
  return { name, protocol, ...network, tls: undefined, webSocket: undefined, dialer: undefined, ...more };
}

const SOCKS: ProtocolSettings = { kind: "socks5", login: undefined };
const HTTP: ProtocolSettings = { kind: "http", login: undefined, headers: [] };

function said(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

Deno.test("createStreamTunnel() makes the machine of each protocol, and none for what goes straight out", () => {
  const first = (protocol: ProtocolSettings): string => {
    const tunnel = createStreamTunnel(outbound("p", protocol), NAMED, testEnv());
    assert(tunnel !== undefined && typeof tunnel !== "string", String(tunnel));
    tunnel.start();
    return said(tunnel.toServer.takeAll());
  };
  assertEquals(first(SOCKS), "05 01 00");
  assert(first(HTTP).startsWith(said(new TextEncoder().encode("CONNECT example.org:443 HTTP/1.1\r\n"))));
  assertEquals(createStreamTunnel(outbound("p", { kind: "direct" }), NAMED, testEnv()), undefined);
});

const UNUSABLE: readonly { name: string; protocol: ProtocolSettings; why: string }[] = [
  { name: "it refuses", protocol: { kind: "reject" }, why: "it refuses everything" },
  {
    name: "its uuid is too long to be a name",
    protocol: { kind: "vless", uuid: "x".repeat(31) },
    why: "its uuid is neither a UUID nor a name of 1 to 30 bytes",
  },
  {
    name: "its password is empty",
    protocol: { kind: "ss", cipher: "aes-128-gcm", password: "" },
    why: "the password is empty",
  },
];

for (const { name, protocol, why } of UNUSABLE) {
  Deno.test(`createStreamTunnel() says why a proxy cannot be used when ${name}`, () => {
    const tunnel = createStreamTunnel(outbound("p", protocol), NAMED, testEnv());
    assertEquals(tunnel, `Cannot use the proxy "p": ${why}`);
  });
}

Deno.test("createStreamTunnel() tells no secret when a password cannot be used", () => {
  const protocol = { kind: "ss", cipher: "2022-blake3-aes-128-gcm", password: SECRET } as const;
  const tunnel = createStreamTunnel(outbound("p", protocol), NAMED, testEnv());
  assert(typeof tunnel === "string" && !tunnel.includes(SECRET), String(tunnel));
});

Deno.test("hopsOf() lays proxies end to end, with those that dialer-proxy adds", () => {
  const all = new Map([
    ["a", outbound("a", SOCKS, { dialer: "b" })],
    ["b", outbound("b", HTTP, { dialer: "c" })],
    ["c", outbound("c", SOCKS)],
    ["d", outbound("d", HTTP)],
    ["round", outbound("round", SOCKS, { dialer: "round" })],
    ["lost", outbound("lost", SOCKS, { dialer: "nobody" })],
  ]);
  const names = (...chain: string[]) => {
    const hops = hopsOf(chain, (name) => all.get(name));
    return typeof hops === "string" ? hops : hops.map(({ name }) => name).join(" ");
  };
  assertEquals(names("a", "d"), "a b c d");
  assertEquals(names(), "");
  assertEquals(names("lost"), 'Cannot use the proxy "nobody": there is none');
  assertEquals(names("round"), `Cannot use the proxy "round": more than ${DIALER_CHAIN_MAX} in a row`);
});

Deno.test("createChainTunnel() asks the outer server for the inner one, and the inner one for the destination", () => {
  const inner = outbound("inner", SOCKS, { server: "inner.example", port: 1081 });
  const chain = createChainTunnel([inner, outbound("outer", HTTP)], NAMED, testEnv());
  assert(chain !== undefined && typeof chain !== "string", String(chain));
  chain.start();
  const outer = new TextDecoder().decode(chain.toServer.takeAll());
  assert(outer.startsWith("CONNECT inner.example:1081 HTTP/1.1\r\n"), outer);
  chain.receive(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
  assertEquals(said(chain.toServer.takeAll()), "05 01 00");
  chain.receive(Uint8Array.of(5, 0));
  const request = new TextDecoder().decode(chain.toServer.takeAll());
  assert(request.includes("example.org"), request);
});

Deno.test("serverOf() tells names from addresses", () => {
  assertEquals(serverOf(outbound("p", SOCKS)), { address: parseIp("192.0.2.1"), host: "", port: 1080 });
  const named = outbound("p", SOCKS, { server: "a.example" });
  assertEquals(serverOf(named), { address: undefined, host: "a.example", port: 1080 });
});

Deno.test("destinationOf() prefers the name that fits the way the address came", () => {
  const address = parseIp("192.0.2.9");
  const facts = { ...emptyFacts("tcp"), destinationIp: address, destinationPort: 443 };
  const host = (more: Partial<typeof facts>) => destinationOf({ ...facts, ...more });
  assertEquals(host({}), { address, host: "", port: 443 });
  assertEquals(host({ host: "dns.example" }).host, "dns.example");
  assertEquals(host({ host: "dns.example", sniffHost: "tls.example" }).host, "tls.example");
  assertEquals(host({ host: "fake.example", sniffHost: "tls.example", dnsMode: "fake-ip" }).host, "fake.example");
  assertEquals(host({ host: "hosts.example", sniffHost: "tls.example", dnsMode: "hosts" }).host, "");
});
