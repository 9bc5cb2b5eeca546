import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { loadConfig } from "../../core/config/load.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import { MemoryFiles } from "./memory_files.ts";

const SECRET = "hush-hush-1234";
const UUID = "b831381d-6324-4d53-ad4f-8cda48b30811";

/** Reads one proxy, written as lines. Shape: what came of it, and mistakes as line:column and message. */
async function read(...lines: string[]): Promise<{ outbound: OutboundSettings | undefined; mistakes: string[] }> {
  const text = `proxies:\n  - name: p\n${lines.map((line) => `    ${line}\n`).join("")}rules: [ "MATCH,p" ]\n`;
  const { config, issues } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": text }));
  const all = [...issues, ...config?.outboundIssues ?? []];
  return {
    outbound: config?.outbounds[0],
    mistakes: all.map(({ line, column, message }) => `${line}:${column} ${message}`),
  };
}

const SERVER = ["server: s.example", "port: 443"];
const GOOD: readonly (readonly [string[], Partial<OutboundSettings>])[] = [
  [["type: socks5", ...SERVER], { protocol: { kind: "socks5", login: undefined }, tls: undefined, udp: false }],
  [["type: socks5", ...SERVER, "username: u", `password: ${SECRET}`, "udp: true"], {
    protocol: { kind: "socks5", login: { user: "u", password: SECRET } },
    udp: true,
  }],
  [["type: ss", ...SERVER, "cipher: AES-256-GCM", `password: ${SECRET}`], {
    protocol: { kind: "ss", cipher: "AES-256-GCM", password: SECRET },
  }],
  // Trojan always speaks TLS, and the server's name is the certificate's unless another is given.
  [["type: trojan", ...SERVER, "password: 123"], {
    protocol: { kind: "trojan", password: "123" },
    tls: {
      serverName: "s.example",
      alpn: [],
      skipsVerification: false,
      fingerprint: undefined,
      authorities: undefined,
    },
  }],
  [["type: vmess", ...SERVER, `uuid: ${UUID}`, "network: ws", 'ws-opts: { path: "/a?ed=2048" }'], {
    protocol: { kind: "vmess", uuid: UUID, cipher: "auto" },
    webSocket: { path: "/a", headers: [], earlyDataBytesMax: 2048, earlyDataHeader: "Sec-WebSocket-Protocol" },
  }],
  [[
    "type: vless",
    ...SERVER,
    `uuid: ${UUID}`,
    "tls: true",
    "servername: n.example",
    "alpn: [h2]",
    "skip-cert-verify: true",
  ], {
    tls: {
      serverName: "n.example",
      alpn: ["h2"],
      skipsVerification: true,
      fingerprint: undefined,
      authorities: undefined,
    },
  }],
  [["type: http", ...SERVER, "tls: true", `fingerprint: "${"AB:".repeat(31)}AB"`, "ip-version: ipv6-prefer"], {
    tls: {
      serverName: "s.example",
      alpn: [],
      skipsVerification: false,
      fingerprint: "ab".repeat(32),
      authorities: undefined,
    },
    ipVersion: "ipv6-prefer",
  }],
  [["type: direct", "interface-name: eth7"], { protocol: { kind: "direct" }, udp: true, interfaceName: "eth7" }],
];
for (const [lines, expected] of GOOD) {
  Deno.test(`readOutbound() reads ${lines.join(", ").replace(SECRET, "…")}`, async () => {
    const { outbound, mistakes } = await read(...lines);
    assertEquals(mistakes, []);
    for (const [key, value] of Object.entries(expected)) {
      assertEquals(outbound![key as keyof OutboundSettings], value, key);
    }
  });
}

/** Lines of the proxy begin at 3, in column 5. */
const BAD: readonly (readonly [string[], RegExp])[] = [
  [["type: hysteria2", ...SERVER], /^3:5 Cannot use the proxy "p": weir does not carry proxies of type hysteria2$/],
  [
    ["type: ss", ...SERVER, "cipher: rc4-md5", `password: ${SECRET}`],
    /^6:5 Cannot use the proxy "p": the cipher rc4-md5 is none of /,
  ],
  [["type: ss", ...SERVER, "cipher: aes-128-gcm"], /^2:5 Cannot use the proxy "p": the key "password" is missing$/],
  [
    ["type: ss", ...SERVER, "cipher: aes-128-gcm", `password: ${SECRET}`, "plugin: obfs"],
    /^8:5 .*weir has no plugin obfs$/,
  ],
  [["type: ss", ...SERVER, "cipher: aes-128-gcm", `password: ${SECRET}`, "udp-over-tcp: true"], /^8:5 .*UDP over TCP/],
  [["type: vmess", ...SERVER, `uuid: ${UUID}`, "alterId: 4"], /^7:5 .*alterId other than 0 means VMess without AEAD/],
  [["type: vmess", ...SERVER, `uuid: ${UUID}`, "cipher: zero"], /^7:5 .*the cipher zero is none of/],
  [["type: vmess", ...SERVER, `uuid: ${UUID}`, "network: grpc"], /^7:5 .*weir does not have the transport grpc$/],
  [
    ["type: vless", ...SERVER, `uuid: ${UUID}`, "flow: xtls-rprx-vision"],
    /^7:5 .*weir does not have the flow xtls-rprx-vision$/,
  ],
  [["type: vless", ...SERVER, `uuid: ${UUID}`, "reality-opts: { public-key: x }"], /^7:5 .*"reality-opts" asks for$/],
  [["type: vless", ...SERVER], /^2:5 .*the key "uuid" is missing$/],
  [["type: trojan", ...SERVER, `password: ${SECRET}`, "fingerprint: chrome"], /^7:18 .*SHA-256 of a certificate/],
  [["type: http", ...SERVER, 'headers: { "X Y": z }'], /^6:.* is no header field with a value$/],
  [["type: http", ...SERVER, "ip-version: 4"], /^6:17 .*ip-version/],
];
for (const [lines, expected] of BAD) {
  Deno.test(`readOutbound() refuses ${lines.join(", ").replace(SECRET, "…")} where it stands`, async () => {
    const { outbound, mistakes } = await read(...lines);
    assertEquals(outbound, undefined);
    assert(mistakes.some((mistake) => expected.test(mistake)), mistakes.join("\n"));
    assertFalse(mistakes.join().includes(SECRET));
    assertFalse(mistakes.join().includes(UUID));
  });
}

Deno.test("readOutbound() tells no secret, whatever else is wrong", async () => {
  const keys = fc.constantFrom(
    "type",
    "port",
    "cipher",
    "network",
    "alterId",
    "tls",
    "flow",
    "plugin",
    "fingerprint",
    "headers",
    "ws-opts",
    "udp",
  );
  const values = fc.constantFrom(
    "ss",
    "vmess",
    "vless",
    "trojan",
    "http",
    "socks5",
    "443",
    "x",
    "[1]",
    "{ a: 1 }",
    "true",
    "ws",
    "none",
    "aes-128-gcm",
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(keys, values, { maxKeys: 8 }), async (drawn) => {
      const lines = Object.entries({ type: "vmess", ...drawn }).map(([key, value]) => `${key}: ${value}`);
      const { mistakes } = await read(
        "server: s.example",
        ...lines,
        `password: ${SECRET}`,
        `username: ${SECRET}`,
        `uuid: ${UUID}`,
      );
      assertFalse(mistakes.join().includes(SECRET), mistakes.join());
      assertFalse(mistakes.join().includes(UUID), mistakes.join());
    }),
    { seed: 9, numRuns: 150 },
  );
});
