/** Settings of proxies become machines: the client's half of a protocol, a WebSocket below it, one proxy inside another. */
import { parseIp } from "../base/ip_address.ts";
import { DIALER_CHAIN_MAX } from "../base/limits.ts";
import { HttpConnectTunnel } from "./http_connect.ts";
import { LayeredTunnel } from "./layered.ts";
import type { OutboundSettings } from "./settings.ts";
import { shadowsocksKey, shadowsocksMethod } from "./shadowsocks/method.ts";
import { ShadowsocksTunnel } from "./shadowsocks/stream.ts";
import { Socks5Command, Socks5Tunnel } from "./socks5.ts";
import { trojanKey, TrojanTunnel } from "./trojan.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "./tunnel.ts";
import { readUuid } from "./uuid.ts";
import { VlessTunnel } from "./vless.ts";
import { vmessUserKey } from "./vmess/header.ts";
import { vmessSecurity, VmessTunnel } from "./vmess/vmess.ts";
import { WebSocketTunnel } from "./websocket.ts";

/** Where the server of an outbound is. */
export function serverOf({ server, port }: OutboundSettings): Destination {
  const address = parseIp(server);
  return { address, host: address === undefined ? server : "", port };
}

/** Makes the machine of a stream, without a WebSocket; undefined for what goes straight out. Errors: one sentence. It holds no secret. */
export function createStreamTunnel(
  { protocol, name }: OutboundSettings,
  destination: Destination,
  env: OutboundEnv,
): StreamTunnel | string | undefined {
  const unusable = (why: string) => `Cannot use the proxy "${name}": ${why}`;
  switch (protocol.kind) {
    case "direct":
      return undefined;
    case "reject":
      return unusable("it refuses everything");
    case "socks5":
      return new Socks5Tunnel(Socks5Command.Connect, destination, protocol.login);
    case "http":
      return new HttpConnectTunnel(destination, protocol);
    case "ss": {
      const method = shadowsocksMethod(protocol.cipher)!;
      const key = shadowsocksKey(method, protocol.password, env.crypto);
      return typeof key === "string" ? unusable(key) : new ShadowsocksTunnel(method, key, destination, env);
    }
    case "trojan":
      return new TrojanTunnel(trojanKey(protocol.password, env.crypto), destination);
    case "vmess":
    case "vless": {
      const uuid = readUuid(protocol.uuid, env.crypto);
      if (uuid === undefined) return unusable("its uuid is neither a UUID nor a name of 1 to 30 bytes");
      if (protocol.kind === "vless") return new VlessTunnel(uuid, destination);
      const userKey = vmessUserKey(uuid, env.crypto);
      return new VmessTunnel({ userKey, security: vmessSecurity(protocol.cipher)! }, destination, env);
    }
  }
}

/** The WebSocket that lies below a protocol; undefined where the settings want none. */
export function createWebSocket(
  settings: OutboundSettings,
  env: OutboundEnv,
  early?: Uint8Array,
): WebSocketTunnel | undefined {
  const { webSocket, tls, server, port } = settings;
  if (webSocket === undefined) return undefined;
  const { path, headers, earlyDataHeader } = webSocket;
  const name = tls?.serverName ?? server;
  const isUsualPort = port === (tls === undefined ? 80 : 443);
  const earlyData = early && { header: earlyDataHeader, bytes: early };
  return new WebSocketTunnel({ host: isUsualPort ? name : `${name}:${port}`, path, headers, earlyData }, env);
}

/** Puts a WebSocket below a machine where the settings want one; what opens the machine goes with the request when that is allowed. */
export function overWebSocket(settings: OutboundSettings, tunnel: StreamTunnel, env: OutboundEnv): StreamTunnel {
  const most = settings.webSocket?.earlyDataBytesMax ?? 0;
  if (settings.webSocket === undefined) return tunnel;
  if (most === 0) return new LayeredTunnel(createWebSocket(settings, env)!, tunnel);
  tunnel.start();
  const early = tunnel.toServer.length > 0 && tunnel.toServer.length <= most ? tunnel.toServer.takeAll() : undefined;
  return new LayeredTunnel(createWebSocket(settings, env, early)!, tunnel, true);
}

/** The proxies of a chain one after the other, with those that `dialer-proxy` adds. Errors: one sentence, for a name that is not there or a circle. */
export function hopsOf(
  chain: readonly string[],
  find: (name: string) => OutboundSettings | undefined,
): OutboundSettings[] | string {
  const hops: OutboundSettings[] = [];
  for (const first of chain) {
    for (let name: string | undefined = first; name !== undefined;) {
      const settings = find(name);
      if (settings === undefined) return `Cannot use the proxy "${name}": there is none`;
      if (hops.length >= DIALER_CHAIN_MAX) {
        return `Cannot use the proxy "${first}": more than ${DIALER_CHAIN_MAX} in a row`;
      }
      hops.push(settings);
      name = settings.dialer;
    }
  }
  return hops;
}

/**
 * The machines of a whole chain as one, TLS left out: the first hop speaks to the destination, each further one carries the one before.
 * Undefined when nothing in it is a proxy. Errors: one sentence.
 */
export function createChainTunnel(
  hops: readonly OutboundSettings[],
  destination: Destination,
  env: OutboundEnv,
): StreamTunnel | string | undefined {
  const [hop, ...rest] = hops;
  if (hop === undefined) return undefined;
  if (hop.protocol.kind === "direct") return createChainTunnel(rest, destination, env);
  const below = createChainTunnel(rest, serverOf(hop), env);
  const own = createStreamTunnel(hop, destination, env);
  if (typeof below === "string" || typeof own === "string") return typeof below === "string" ? below : own;
  const machine = overWebSocket(hop, own!, env);
  return below === undefined ? machine : new LayeredTunnel(below, machine);
}
