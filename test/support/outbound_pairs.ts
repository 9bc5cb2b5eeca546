/** Every proxy protocol with a simulated server that fits it, for tests that hold for all of them. */
import { parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { createOutboundCrypto } from "../../core/host/outbound_crypto.ts";
import { HttpConnectTunnel } from "../../core/outbound/http_connect.ts";
import { LayeredTunnel } from "../../core/outbound/layered.ts";
import { shadowsocksKey, shadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";
import { ShadowsocksTunnel } from "../../core/outbound/shadowsocks/stream.ts";
import { Socks5Command, Socks5Tunnel } from "../../core/outbound/socks5.ts";
import { trojanKey, TrojanTunnel } from "../../core/outbound/trojan.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "../../core/outbound/tunnel.ts";
import { readUuid } from "../../core/outbound/uuid.ts";
import { VlessTunnel } from "../../core/outbound/vless.ts";
import { vmessUserKey } from "../../core/outbound/vmess/header.ts";
import { vmessSecurity, VmessTunnel } from "../../core/outbound/vmess/vmess.ts";
import { WebSocketTunnel } from "../../core/outbound/websocket.ts";
import { HttpServer } from "../../sim/servers/http_server.ts";
import type { ServerTunnel } from "../../sim/servers/proxy_server.ts";
import { ShadowsocksServer } from "../../sim/servers/shadowsocks_server.ts";
import { Socks5Server } from "../../sim/servers/socks5_server.ts";
import { TrojanServer } from "../../sim/servers/trojan_server.ts";
import { VlessServer } from "../../sim/servers/vless_server.ts";
import { VmessServer } from "../../sim/servers/vmess_server.ts";
import { WebSocketServer } from "../../sim/servers/websocket_server.ts";

/** Where test flows go. */
export const NAMED: Destination = { address: undefined, host: "example.org", port: 443 };
/** The same by address. */
export const ADDRESSED: Destination = { address: parseIp("2001:db8::7"), host: "", port: 8443 };

/** The secret of every server here; no message may hold it. */
export const SECRET = "correct horse battery staple";
/** Another one. */
export const WRONG_SECRET = "incorrect pony";

/** The runtime's cryptography, with randomness and a clock of the test's own. */
export function testEnv(seed = 1, unixSeconds = 1_700_000_000): OutboundEnv {
  const random = new Prng(seed);
  return {
    crypto: createOutboundCrypto(),
    randomBytes: (count) => Uint8Array.from({ length: count }, () => random.below(256)),
    unixSeconds: () => unixSeconds,
  };
}

/** One protocol. `secret` is a password or what a UUID or key is made of. */
export interface Pair {
  readonly name: string;
  client(destination: Destination, secret: string, env: OutboundEnv): StreamTunnel;
  server(env: OutboundEnv): ServerTunnel;
  /** False where the client cannot tell the server when it has said all without ending both halves. */
  readonly closesHalf: boolean;
}

function login(password: string) {
  return { user: "somebody", password };
}

function uuidOf(secret: string, env: OutboundEnv): Uint8Array {
  return readUuid(secret.slice(0, 30), env.crypto)!;
}

function keyOf2022(secret: string, bytes: number): string {
  return btoa(secret.padEnd(bytes, "x").slice(0, bytes));
}

function shadowsocks(cipher: string): Pair {
  const method = shadowsocksMethod(cipher)!;
  const keyOf = (secret: string, env: OutboundEnv): Uint8Array => {
    const key = shadowsocksKey(method, method.is2022 ? keyOf2022(secret, method.keyBytes) : secret, env.crypto);
    if (typeof key === "string") throw new Error(key);
    return key;
  };
  return {
    name: `ss ${cipher}`,
    client: (destination, secret, env) => new ShadowsocksTunnel(method, keyOf(secret, env), destination, env),
    server: (env) => new ShadowsocksServer(method, keyOf(SECRET, env), env),
    closesHalf: true,
  };
}

function vmess(cipher: string): Pair {
  return {
    name: `vmess ${cipher}`,
    client: (destination, secret, env) => {
      const userKey = vmessUserKey(uuidOf(secret, env), env.crypto);
      return new VmessTunnel({ userKey, security: vmessSecurity(cipher)! }, destination, env);
    },
    server: (env) => new VmessServer(uuidOf(SECRET, env), env),
    closesHalf: true,
  };
}

const VLESS: Pair = {
  name: "vless",
  client: (destination, secret, env) => new VlessTunnel(uuidOf(secret, env), destination),
  server: (env) => new VlessServer(uuidOf(SECRET, env)),
  closesHalf: true,
};

function overWebSocket(pair: Pair): Pair {
  return {
    name: `${pair.name} over ws`,
    client: (destination, secret, env) => {
      const options = { host: "cdn.example", path: "/way", headers: [], earlyData: undefined };
      return new LayeredTunnel(new WebSocketTunnel(options, env), pair.client(destination, secret, env));
    },
    server: (env) => new WebSocketServer(pair.server(env), "/way", env.crypto),
    closesHalf: false,
  };
}

/** All of them. */
export const PAIRS: readonly Pair[] = [
  {
    name: "socks5",
    client: (destination, secret) => new Socks5Tunnel(Socks5Command.Connect, destination, login(secret)),
    server: () => new Socks5Server(login(SECRET)),
    closesHalf: true,
  },
  {
    name: "http",
    client: (destination, secret) => new HttpConnectTunnel(destination, { login: login(secret), headers: [] }),
    server: () => new HttpServer(login(SECRET)),
    closesHalf: true,
  },
  shadowsocks("aes-128-gcm"),
  shadowsocks("aes-256-gcm"),
  shadowsocks("chacha20-ietf-poly1305"),
  shadowsocks("2022-blake3-aes-128-gcm"),
  shadowsocks("2022-blake3-aes-256-gcm"),
  {
    name: "trojan",
    client: (destination, secret, env) => new TrojanTunnel(trojanKey(secret, env.crypto), destination),
    server: (env) => new TrojanServer(trojanKey(SECRET, env.crypto)),
    closesHalf: true,
  },
  vmess("auto"),
  vmess("aes-128-gcm"),
  vmess("none"),
  VLESS,
  overWebSocket(vmess("auto")),
  overWebSocket(VLESS),
];
