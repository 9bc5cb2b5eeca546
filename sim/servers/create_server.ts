/** Settings of proxies become the servers that fit them, TLS left out. */
import { serverOf } from "../../core/outbound/create_stream_tunnel.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import { shadowsocksKey, shadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";
import { trojanKey } from "../../core/outbound/trojan.ts";
import type { OutboundEnv } from "../../core/outbound/tunnel.ts";
import { readUuid } from "../../core/outbound/uuid.ts";
import { ChainedServer } from "./chained_server.ts";
import { HttpServer } from "./http_server.ts";
import type { ServerTunnel } from "./proxy_server.ts";
import { ShadowsocksServer } from "./shadowsocks_server.ts";
import { Socks5Server } from "./socks5_server.ts";
import { TrojanServer } from "./trojan_server.ts";
import { VlessServer } from "./vless_server.ts";
import { VmessServer } from "./vmess_server.ts";
import { WebSocketServer } from "./websocket_server.ts";

/** The server of one protocol; undefined for settings that no server fits. */
function createPlainServer({ protocol }: OutboundSettings, env: OutboundEnv): ServerTunnel | undefined {
  switch (protocol.kind) {
    case "direct":
    case "reject":
      return undefined;
    case "socks5":
      return new Socks5Server(protocol.login);
    case "http":
      return new HttpServer(protocol.login);
    case "ss": {
      const method = shadowsocksMethod(protocol.cipher)!;
      const key = shadowsocksKey(method, protocol.password, env.crypto);
      return typeof key === "string" ? undefined : new ShadowsocksServer(method, key, env);
    }
    case "trojan":
      return new TrojanServer(trojanKey(protocol.password, env.crypto));
    case "vmess":
    case "vless": {
      const uuid = readUuid(protocol.uuid, env.crypto);
      if (uuid === undefined) return undefined;
      return protocol.kind === "vless" ? new VlessServer(uuid) : new VmessServer(uuid, env);
    }
  }
}

/** The server of one proxy, in a WebSocket where the settings want one; undefined for settings that no server fits. */
export function createServer(settings: OutboundSettings, env: OutboundEnv): ServerTunnel | undefined {
  const server = createPlainServer(settings, env);
  if (server === undefined || settings.webSocket === undefined) return server;
  return new WebSocketServer(server, settings.webSocket.path, env.crypto);
}

/** The servers of a chain as one, the first hop's being the one that reaches the destination. Undefined when nothing in it has a server. */
export function createChainServer(hops: readonly OutboundSettings[], env: OutboundEnv): ServerTunnel | undefined {
  const [hop, ...rest] = hops;
  if (hop === undefined) return undefined;
  const below = createChainServer(rest, env);
  const own = createServer(hop, env);
  if (own === undefined || below === undefined) return own ?? below;
  return new ChainedServer(below, own, serverOf(hop));
}
