/** Proxies of the configuration as ways out: connections through their servers, one proxy through another where the configuration says so. */
import type { DialError } from "../act/command.ts";
import { type IpAddress, parseIp } from "../base/ip_address.ts";
import { DIALER_CHAIN_MAX } from "../base/limits.ts";
import { HttpConnectTunnel } from "../outbound/http_connect.ts";
import { LayeredTunnel } from "../outbound/layered.ts";
import type { OutboundSettings } from "../outbound/settings.ts";
import { shadowsocksKey, shadowsocksMethod } from "../outbound/shadowsocks/method.ts";
import { ShadowsocksTunnel } from "../outbound/shadowsocks/stream.ts";
import { Socks5Command, Socks5Tunnel } from "../outbound/socks5.ts";
import { trojanKey, TrojanTunnel } from "../outbound/trojan.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "../outbound/tunnel.ts";
import { readUuid } from "../outbound/uuid.ts";
import { VlessTunnel } from "../outbound/vless.ts";
import { vmessUserKey } from "../outbound/vmess/header.ts";
import { vmessSecurity, VmessTunnel } from "../outbound/vmess/vmess.ts";
import { WebSocketTunnel } from "../outbound/websocket.ts";
import type { Dialer, DialResult } from "./dial.ts";
import type { Duplex } from "./duplex.ts";
import { wrapTls } from "./tls_transport.ts";
import { TunnelDuplex, TunnelError } from "./tunnel_duplex.ts";

/** What outbounds need of the program around them. */
export interface OutboundsHost {
  readonly dialer: Dialer;
  readonly env: OutboundEnv;
  /** Resolves names of proxies' servers, and of what is reached without a proxy. Rejects when there is no address. */
  resolve(host: string, what: "server" | "destination"): Promise<readonly IpAddress[]>;
}

/** Where the server of an outbound is. */
export function serverOf({ server, port }: OutboundSettings): Destination {
  return { address: parseIp(server), host: parseIp(server) === undefined ? server : "", port };
}

/** Makes the machine of a stream. Errors: `TunnelError` when the settings cannot be used. */
export function createStreamTunnel(
  { protocol, name }: OutboundSettings,
  destination: Destination,
  env: OutboundEnv,
): StreamTunnel | undefined {
  const unusable = (why: string) => new TunnelError("prohibited", `Cannot use the proxy "${name}": ${why}`);
  switch (protocol.kind) {
    case "direct":
      return undefined;
    case "reject":
      throw unusable("it refuses everything");
    case "socks5":
      return new Socks5Tunnel(Socks5Command.Connect, destination, protocol.login);
    case "http":
      return new HttpConnectTunnel(destination, protocol);
    case "ss": {
      const method = shadowsocksMethod(protocol.cipher)!;
      const key = shadowsocksKey(method, protocol.password, env.crypto);
      if (typeof key === "string") throw unusable(key);
      return new ShadowsocksTunnel(method, key, destination, env);
    }
    case "trojan":
      return new TrojanTunnel(trojanKey(protocol.password, env.crypto), destination);
    case "vmess":
    case "vless": {
      const uuid = readUuid(protocol.uuid, env.crypto);
      if (uuid === undefined) throw unusable("its uuid is neither a UUID nor a name of 1 to 30 bytes");
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
function overWebSocket(settings: OutboundSettings, tunnel: StreamTunnel, env: OutboundEnv): StreamTunnel {
  const most = settings.webSocket?.earlyDataBytesMax ?? 0;
  if (settings.webSocket === undefined) return tunnel;
  if (most === 0) return new LayeredTunnel(createWebSocket(settings, env)!, tunnel);
  tunnel.start();
  const early = tunnel.toServer.length > 0 && tunnel.toServer.length <= most ? tunnel.toServer.takeAll() : undefined;
  return new LayeredTunnel(createWebSocket(settings, env, early)!, tunnel, true);
}

/** Sorts addresses as `ip-version` wants them, and leaves out those it does not. */
export function orderAddresses(
  addresses: readonly IpAddress[],
  wish: OutboundSettings["ipVersion"],
): readonly IpAddress[] {
  if (wish === "dual") return addresses;
  const version = wish.startsWith("ipv4") ? 4 : 6;
  const wanted = addresses.filter((address) => address.version === version);
  return wish.endsWith("prefer") ? [...wanted, ...addresses.filter((address) => address.version !== version)] : wanted;
}

/** All proxies of a configuration, by their names. */
export class Outbounds {
  readonly #settings: ReadonlyMap<string, OutboundSettings>;
  readonly #host: OutboundsHost;

  constructor(settings: readonly OutboundSettings[], host: OutboundsHost) {
    this.#settings = new Map(settings.map((outbound) => [outbound.name, outbound]));
    this.#host = host;
  }

  /** The settings of a proxy; undefined for one that is not there. */
  find(name: string): OutboundSettings | undefined {
    return this.#settings.get(name);
  }

  /**
   * Connects through proxies, the first of `chain` being the one that speaks to the destination, each further one carrying the one before.
   * Never rejects.
   */
  async connect(chain: readonly string[], destination: Destination, signal?: AbortSignal): Promise<DialResult> {
    try {
      return { stream: await this.open(this.hopsOf(chain), destination, signal) };
    } catch (error) {
      const failure: DialError = error instanceof TunnelError ? error.kind : "failed";
      return { failure, message: error instanceof Error ? error.message : String(error) };
    }
  }

  /** What the program around gives. */
  get host(): OutboundsHost {
    return this.#host;
  }

  /** The proxies one after the other, with those that `dialer-proxy` adds. Errors: `TunnelError` for a name that is not there, or a circle. */
  hopsOf(chain: readonly string[]): OutboundSettings[] {
    const hops: OutboundSettings[] = [];
    for (const first of chain) {
      for (let name: string | undefined = first; name !== undefined;) {
        const settings = this.#settings.get(name);
        if (settings === undefined) {
          throw new TunnelError("prohibited", `Cannot use the proxy "${name}": there is none`);
        }
        if (hops.length >= DIALER_CHAIN_MAX) {
          throw new TunnelError(
            "prohibited",
            `Cannot use the proxy "${first}": more than ${DIALER_CHAIN_MAX} in a row`,
          );
        }
        hops.push(settings);
        name = settings.dialer;
      }
    }
    return hops;
  }

  /** Opens a stream through proxies, from the outermost inwards. Errors: `TunnelError`. */
  async open(
    hops: readonly OutboundSettings[],
    destination: Destination,
    signal: AbortSignal | undefined,
  ): Promise<Duplex> {
    const [hop, ...rest] = hops;
    if (hop === undefined) return await this.#direct(destination, "destination", "dual", signal);
    if (hop.protocol.kind === "direct") {
      return rest.length > 0
        ? await this.open(rest, destination, signal)
        : await this.#direct(destination, "destination", hop.ipVersion, signal);
    }
    const tunnel = createStreamTunnel(hop, destination, this.#host.env)!;
    const transport = await this.openTransport(hops, signal);
    const stream = new TunnelDuplex(transport, overWebSocket(hop, tunnel, this.#host.env));
    await stream.open();
    return stream;
  }

  /** A connection to the server of the first hop, TLS around it where the settings want it. Errors: `TunnelError`. */
  async openTransport(hops: readonly OutboundSettings[], signal: AbortSignal | undefined): Promise<Duplex> {
    const [hop, ...rest] = hops;
    const server = serverOf(hop!);
    const transport = rest.length > 0
      ? await this.open(rest, server, signal)
      : await this.#direct(server, "server", hop!.ipVersion, signal);
    return hop!.tls === undefined ? transport : await wrapTls(transport, hop!.tls);
  }

  async #direct(
    { address, host, port }: Destination,
    what: "server" | "destination",
    wish: OutboundSettings["ipVersion"],
    signal: AbortSignal | undefined,
  ): Promise<Duplex> {
    const found = address !== undefined ? [address] : await this.#resolve(host, what);
    const addresses = orderAddresses(found, wish);
    let failure: TunnelError | undefined;
    for (const candidate of addresses.slice(0, 2)) {
      const result = await this.#host.dialer.dial(candidate, port, signal);
      if (result.stream !== undefined) return result.stream;
      failure = new TunnelError(result.failure, result.message);
    }
    throw failure ?? new TunnelError("hostUnreachable", `Cannot reach ${host}: it has no address`);
  }

  async #resolve(host: string, what: "server" | "destination"): Promise<readonly IpAddress[]> {
    try {
      return await this.#host.resolve(host, what);
    } catch (error) {
      throw new TunnelError("hostUnreachable", error instanceof Error ? error.message : String(error));
    }
  }
}
