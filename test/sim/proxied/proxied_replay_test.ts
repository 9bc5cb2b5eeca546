/** Proxied flows of our own captures, carried offline by every protocol: what arrives is what was captured, both ways. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ReplayFlow, ReplayPlay } from "../../../core/cli/replay_result.ts";
import { replay } from "../../../sim/mod.ts";

const CAPTURE = "test/captures/demo.pcapng";
const UUID = "b831381d-6324-4d53-ad4f-8cda48b30811";
const KEY_16 = btoa("0123456789abcdef");
const KEY_32 = btoa("0123456789abcdef0123456789abcdef");
const WS = "network: ws, ws-opts: { path: /way, headers: { Host: cdn.example } }";
const EARLY =
  "network: ws, ws-opts: { path: /way, max-early-data: 2048, early-data-header-name: Sec-WebSocket-Protocol }";

/** Each protocol: its fields, and how reports call it. */
const PROTOCOLS: readonly (readonly [fields: string, name: string])[] = [
  ["type: socks5", "socks5"],
  ["type: socks5, username: u, password: p", "socks5"],
  ["type: http, username: u, password: p", "http"],
  ["type: http, tls: true", "http over tls"],
  ["type: ss, cipher: aes-128-gcm, password: p", "ss aes-128-gcm"],
  ["type: ss, cipher: aes-256-gcm, password: p", "ss aes-256-gcm"],
  ["type: ss, cipher: chacha20-ietf-poly1305, password: p", "ss chacha20-ietf-poly1305"],
  [`type: ss, cipher: 2022-blake3-aes-128-gcm, password: "${KEY_16}"`, "ss 2022-blake3-aes-128-gcm"],
  [`type: ss, cipher: 2022-blake3-aes-256-gcm, password: "${KEY_32}"`, "ss 2022-blake3-aes-256-gcm"],
  ["type: trojan, password: p", "trojan over tls"],
  [`type: trojan, password: p, ${WS}`, "trojan over ws over tls"],
  [`type: vmess, uuid: ${UUID}, cipher: auto, alterId: 0`, "vmess auto"],
  [`type: vmess, uuid: ${UUID}, cipher: chacha20-poly1305, alterId: 0`, "vmess chacha20-poly1305"],
  [`type: vmess, uuid: ${UUID}, cipher: none, alterId: 0`, "vmess none"],
  [`type: vmess, uuid: ${UUID}, cipher: auto, alterId: 0, ${WS}`, "vmess auto over ws"],
  [`type: vmess, uuid: ${UUID}, cipher: auto, alterId: 0, ${EARLY}`, "vmess auto over ws"],
  [`type: vless, uuid: ${UUID}`, "vless"],
  [`type: vless, uuid: ${UUID}, ${WS}`, "vless over ws"],
];

async function withConfig<T>(lines: readonly string[], use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(path, `${lines.join("\n")}\n`);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** The demo's flows, all of them by one proxy. */
async function replayBy(proxies: readonly string[], target: string, seed = 1): Promise<ReplayFlow[]> {
  const lines = ["sniffer:", "  enable: true", "  sniff: { HTTP: { ports: [80] }, TLS: { ports: [443] } }", "proxies:"];
  for (const proxy of proxies) lines.push(`  - { ${proxy} }`);
  lines.push("rules:", `  - MATCH,${target}`);
  return await withConfig(lines, async (config) => {
    const issues: string[] = [];
    const result = await replay({
      captures: [CAPTURE],
      config,
      stack: "netstack",
      seed,
      onIssue: ({ message }) => issues.push(message),
    });
    assertEquals(issues, []);
    return result.flows.filter(({ play }) => play !== undefined);
  });
}

function proxy(name: string, fields: string, rest = ""): string {
  return `name: ${name}, server: 192.0.2.200, port: 8443, ${fields}${rest}`;
}

/** A play without what its proxy adds. */
function plain({ proxy: _, ...rest }: ReplayPlay): Omit<ReplayPlay, "proxy"> {
  return rest;
}

Deno.test("replay() carries every flow of a capture by every protocol, byte for byte", async (t) => {
  const oracle = await replayBy([proxy("p", "type: socks5")], "p");
  assert(oracle.filter(({ play }) => play!.outcome === "equal").length >= 5);
  for (const [fields, name] of PROTOCOLS) {
    await t.step(`${name}: ${fields}`, async () => {
      const flows = await replayBy([proxy("p", fields)], "p");
      assertEquals(flows.map(({ play }) => plain(play!)), oracle.map(({ play }) => plain(play!)));
      // What has no handshake in the capture has no way out either.
      assert(flows.every(({ play }) => (play!.proxy === undefined) === (play!.outcome === "unplayed")));
      for (const { play, upload, download } of flows.filter(({ play }) => play!.proxy !== undefined)) {
        assertEquals(play!.proxy!.protocols, [name]);
        assertEquals(play!.proxy!.failure, "");
        if (play!.outcome !== "equal") continue;
        assertEquals([play!.bytesToServer, play!.bytesToClient], [upload, download]);
        assert(play!.proxy!.bytesToServer > play!.bytesToServer, "the protocol says where the flow goes");
        assert(play!.proxy!.bytesToClient >= play!.bytesToClient);
      }
    });
  }
});

Deno.test("replay() puts one proxy inside another as dialer-proxy says", async () => {
  const proxies = [
    `name: inner, server: inner.example, port: 443, type: vless, uuid: ${UUID}, ${WS}, dialer-proxy: middle`,
    "name: middle, server: middle.example, port: 8388, type: ss, cipher: aes-256-gcm, password: p, dialer-proxy: outer",
    "name: outer, server: 192.0.2.200, port: 1080, type: socks5, username: u, password: p",
  ];
  const [chained, single] = [await replayBy(proxies, "inner"), await replayBy(proxies, "outer")];
  assertEquals(chained.map(({ play }) => plain(play!)), single.map(({ play }) => plain(play!)));
  for (const [index, { play }] of chained.entries()) {
    if (play!.proxy === undefined) continue;
    assertEquals(play!.proxy!.protocols, ["vless over ws", "ss aes-256-gcm", "socks5"]);
    assert(play!.proxy!.bytesToServer > single[index]!.play!.proxy!.bytesToServer);
  }
});

Deno.test("replay() says the same of proxied flows for the same seed", async () => {
  const fields = proxy("p", `type: ss, cipher: 2022-blake3-aes-256-gcm, password: "${KEY_32}"`);
  const [first, again, other] = [
    await replayBy([fields], "p"),
    await replayBy([fields], "p"),
    await replayBy([fields], "p", 2),
  ];
  assertEquals(first, again);
  // The padding's length is drawn from the seed.
  const wire = (flows: readonly ReplayFlow[]) => flows.map(({ play }) => play!.proxy?.bytesToServer);
  assertNotEquals(wire(first), wire(other));
});

Deno.test("replay() keeps secrets out of what it says of proxied flows", async () => {
  const secret = "correct-horse-battery";
  const flows = await replayBy([proxy("p", `type: trojan, password: ${secret}`)], "p");
  assertEquals(JSON.stringify(flows).includes(secret), false);
});
