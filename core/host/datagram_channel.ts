/** Datagrams of one source through proxies: one channel inside another where a proxy is reached through a proxy. */
import { createSocket, type Socket } from "node:dgram";
import { formatIp, type IpAddress, parseIp } from "../base/ip_address.ts";
import { DATAGRAM_TUNNELS_MAX, TUNNEL_READ_BYTES, UDP_RELAY_WAITING_COUNT_MAX } from "../base/limits.ts";
import { createWebSocket, serverOf } from "../outbound/create_stream_tunnel.ts";
import { formatDestination } from "../outbound/destination.ts";
import { LayeredDatagrams } from "../outbound/layered.ts";
import type { OutboundSettings } from "../outbound/settings.ts";
import { ShadowsocksDatagrams } from "../outbound/shadowsocks/datagrams.ts";
import { ShadowsocksDatagrams2022 } from "../outbound/shadowsocks/datagrams_2022.ts";
import { shadowsocksKey, shadowsocksMethod } from "../outbound/shadowsocks/method.ts";
import { Socks5Command, Socks5Datagrams, Socks5Tunnel } from "../outbound/socks5.ts";
import { TrojanDatagrams, trojanKey } from "../outbound/trojan.ts";
import type { DatagramCodec, DatagramTunnel, Destination } from "../outbound/tunnel.ts";
import { readUuid } from "../outbound/uuid.ts";
import { LengthDatagrams, VlessTunnel } from "../outbound/vless.ts";
import { vmessUserKey } from "../outbound/vmess/header.ts";
import { VmessDatagrams, vmessSecurity } from "../outbound/vmess/vmess.ts";
import { addressOn } from "./dial.ts";
import type { Duplex } from "./duplex.ts";
import { orderAddresses, type Outbounds } from "./outbounds.ts";
import { TunnelDuplex, TunnelError } from "./tunnel_duplex.ts";

/** Who hears of a channel. */
export interface ChannelObserver {
  received(source: Destination, payload: Uint8Array): void;
  /** It is gone and carries nothing any more. `why` is empty when it was closed on purpose. */
  closed(why: string): void;
}

/** A way for datagrams, to any destination that it can carry them to. */
export interface DatagramChannel {
  /** The payload is not changed by the caller any more. What cannot be carried is lost, as datagrams may be. */
  send(destination: Destination, payload: Uint8Array): void;
  close(): void;
}

/**
 * Opens the way through proxies, the first of `hops` being the one that speaks to the destinations. Never throws: what fails is told the observer.
 * `proxy` is the one whose server is the destination, if any.
 */
export function openChannel(
  outbounds: Outbounds,
  hops: readonly OutboundSettings[],
  observer: ChannelObserver,
  proxy?: OutboundSettings,
): DatagramChannel {
  const [hop, ...rest] = hops;
  if (hop === undefined || (hop.protocol.kind === "direct" && rest.length === 0)) {
    return new SocketChannel(outbounds, observer, proxy === undefined ? "destination" : "server", hop ?? proxy);
  }
  if (hop.protocol.kind === "direct") return openChannel(outbounds, rest, observer, proxy);
  if (hop.protocol.kind === "ss") return openShadowsocks(outbounds, hops, observer);
  if (hop.protocol.kind === "socks5") return new AssociateChannel(outbounds, hops, observer);
  if (hop.protocol.kind === "trojan") return new TunnelChannel(outbounds, hops, observer);
  if (hop.protocol.kind === "vmess" || hop.protocol.kind === "vless") {
    return new PerPeerChannel(outbounds, hops, observer);
  }
  return new ClosedChannel(
    observer,
    `Cannot carry datagrams by ${hop.name}: proxies of type ${hop.protocol.kind} do not`,
  );
}

/** A channel that never was. */
class ClosedChannel implements DatagramChannel {
  constructor(observer: ChannelObserver, why: string) {
    queueMicrotask(() => observer.closed(why));
  }

  send(): void {}

  close(): void {}
}

/** Sockets of the host, one for each IP version. */
class SocketChannel implements DatagramChannel {
  readonly #outbounds: Outbounds;
  readonly #observer: ChannelObserver;
  readonly #what: "server" | "destination";
  readonly #by: OutboundSettings | undefined;
  readonly #sockets = new Map<4 | 6, { socket: Socket; isReady: boolean; waiting: (() => void)[] }>();
  #isOpen = true;

  /** `by` says which addresses are wanted and which interface they are reached by. */
  constructor(
    outbounds: Outbounds,
    observer: ChannelObserver,
    what: "server" | "destination",
    by: OutboundSettings | undefined,
  ) {
    this.#outbounds = outbounds;
    this.#observer = observer;
    this.#what = what;
    this.#by = by;
  }

  send(destination: Destination, payload: Uint8Array): void {
    if (!this.#isOpen) return;
    if (destination.address !== undefined) return this.#sendTo(destination.address, destination.port, payload);
    this.#outbounds.host.resolve(destination.host, this.#what).then((found) => {
      const [address] = orderAddresses(found, this.#by?.ipVersion ?? "dual");
      if (address !== undefined) this.#sendTo(address, destination.port, payload);
    }, () => {});
  }

  #sendTo(address: IpAddress, port: number, payload: Uint8Array): void {
    if (!this.#isOpen || port === 0) return;
    let entry = this.#sockets.get(address.version);
    try {
      entry ??= this.#open(address.version);
    } catch (error) {
      return this.#end((error as Error).message);
    }
    const { socket } = entry;
    const go = () => socket.send(payload, port, formatIp(address), () => {});
    if (entry.isReady) go();
    else if (entry.waiting.length < UDP_RELAY_WAITING_COUNT_MAX) entry.waiting.push(go);
  }

  /** Errors: an Error when the interface that is wanted has no address. */
  #open(version: 4 | 6) {
    const through = this.#by?.interfaceName;
    const own = through === undefined ? this.#outbounds.host.dialer.sourceFor(version) : addressOn(through, version);
    const socket = version === 4 ? createSocket("udp4") : createSocket({ type: "udp6", ipv6Only: true });
    const entry = { socket, isReady: false, waiting: [] as (() => void)[] };
    this.#sockets.set(version, entry);
    socket.on("error", (error) => this.#end(error.message));
    socket.on("message", (bytes, from) => {
      const address = parseIp(from.address);
      if (address !== undefined) this.#observer.received({ address, host: "", port: from.port }, bytes);
    });
    socket.on("listening", () => {
      entry.isReady = true;
      entry.waiting.splice(0).forEach((go) => go());
    });
    socket.bind({ port: 0, address: own === undefined ? (version === 4 ? "0.0.0.0" : "::") : formatIp(own) });
    return entry;
  }

  #end(why: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const { socket } of this.#sockets.values()) socket.close();
    this.#observer.closed(why);
  }

  close(): void {
    this.#end("");
  }
}

/** Each datagram in a datagram to the server. */
class CodecChannel implements DatagramChannel {
  readonly #codec: DatagramCodec;
  readonly #server: Destination;
  readonly #below: DatagramChannel;

  constructor(
    codec: DatagramCodec,
    server: Destination,
    observer: ChannelObserver,
    open: (below: ChannelObserver) => DatagramChannel,
  ) {
    this.#codec = codec;
    this.#server = server;
    this.#below = open({
      received: (_source, bytes) => {
        const datagram = codec.open(bytes);
        if (datagram !== undefined) observer.received(datagram.source, datagram.payload);
      },
      closed: (why) => observer.closed(why),
    });
  }

  send(destination: Destination, payload: Uint8Array): void {
    const sealed = this.#codec.seal(destination, payload);
    if (sealed !== undefined) this.#below.send(this.#server, sealed);
  }

  close(): void {
    this.#below.close();
  }
}

function openShadowsocks(
  outbounds: Outbounds,
  [hop, ...rest]: readonly OutboundSettings[],
  observer: ChannelObserver,
): DatagramChannel {
  const protocol = hop!.protocol;
  if (protocol.kind !== "ss") return new ClosedChannel(observer, "Cannot carry datagrams: this is no Shadowsocks");
  const { env } = outbounds.host;
  const method = shadowsocksMethod(protocol.cipher)!;
  const key = shadowsocksKey(method, protocol.password, env.crypto);
  if (typeof key === "string") return new ClosedChannel(observer, `Cannot use the proxy "${hop!.name}": ${key}`);
  const codec = method.is2022
    ? new ShadowsocksDatagrams2022(method, key, env)
    : new ShadowsocksDatagrams(method, key, env);
  return new CodecChannel(codec, serverOf(hop!), observer, (below) => openChannel(outbounds, rest, below, hop));
}

/** SOCKS 5: a connection that keeps an association alive, and datagrams beside it. */
class AssociateChannel implements DatagramChannel {
  readonly #observer: ChannelObserver;
  readonly #waiting: (readonly [Destination, Uint8Array])[] = [];
  #channel: CodecChannel | undefined = undefined;
  #control: Duplex | undefined = undefined;
  #isOpen = true;

  constructor(outbounds: Outbounds, hops: readonly OutboundSettings[], observer: ChannelObserver) {
    this.#observer = observer;
    this.#run(outbounds, hops).catch((error: Error) => this.#end(error.message));
  }

  async #run(outbounds: Outbounds, hops: readonly OutboundSettings[]): Promise<void> {
    const [hop, ...rest] = hops;
    const protocol = hop!.protocol;
    if (protocol.kind !== "socks5") return;
    const anywhere: Destination = { address: parseIp("0.0.0.0"), host: "", port: 0 };
    const tunnel = new Socks5Tunnel(Socks5Command.UdpAssociate, anywhere, protocol.login);
    const control = new TunnelDuplex(await outbounds.openTransport(hops, undefined), tunnel);
    await control.open();
    if (!this.#isOpen) return control.abort();
    this.#control = control;
    const observer: ChannelObserver = {
      received: (source, payload) => this.#observer.received(source, payload),
      closed: (why) => this.#end(why),
    };
    const relay = relayOf(tunnel.bound!, serverOf(hop!));
    this.#channel = new CodecChannel(
      new Socks5Datagrams(),
      relay,
      observer,
      (below) => openChannel(outbounds, rest, below, hop),
    );
    for (const [destination, payload] of this.#waiting.splice(0)) this.#channel.send(destination, payload);
    // The association ends with this connection. Source: RFC 1928 section 7.
    const byte = new Uint8Array(64);
    while (await control.read(byte) !== null) { /* servers say nothing here */ }
    this.#end("the SOCKS 5 server ended the association");
  }

  send(destination: Destination, payload: Uint8Array): void {
    if (this.#channel !== undefined) this.#channel.send(destination, payload);
    else if (this.#isOpen && this.#waiting.length < UDP_RELAY_WAITING_COUNT_MAX) {
      this.#waiting.push([destination, payload]);
    }
  }

  #end(why: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#control?.abort();
    this.#channel?.close();
    this.#observer.closed(why);
  }

  close(): void {
    this.#end("");
  }
}

/** Servers that do not know their own address say 0.0.0.0: the one that they are reached at is meant. */
function relayOf(bound: Destination, server: Destination): Destination {
  const { address, host, port } = bound;
  const isNowhere = host === "" && (address === undefined || (address.w0 | address.w1 | address.w3) === 0);
  return isNowhere ? { ...server, port } : bound;
}

/** Datagrams over one stream. */
class TunnelChannel implements DatagramChannel {
  readonly #outbounds: Outbounds;
  readonly #hops: readonly OutboundSettings[];
  readonly #observer: ChannelObserver;
  readonly #waiting: (readonly [Destination, Uint8Array])[] = [];
  #tunnel: DatagramTunnel | undefined = undefined;
  #transport: Duplex | undefined = undefined;
  #isStarted = false;
  #isOpen = true;
  #sending: Promise<void> = Promise.resolve();

  constructor(outbounds: Outbounds, hops: readonly OutboundSettings[], observer: ChannelObserver) {
    this.#outbounds = outbounds;
    this.#hops = hops;
    this.#observer = observer;
  }

  send(destination: Destination, payload: Uint8Array): void {
    if (!this.#isOpen) return;
    if (this.#tunnel !== undefined && this.#tunnel.state === "open") {
      this.#tunnel.send(destination, payload);
      return this.#flush();
    }
    if (this.#waiting.length < UDP_RELAY_WAITING_COUNT_MAX) this.#waiting.push([destination, payload]);
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#run(destination).catch((error: Error) => this.#end(error.message));
  }

  async #run(first: Destination): Promise<void> {
    const hop = this.#hops[0]!;
    const tunnel = createDatagramTunnel(hop, first, this.#outbounds);
    const transport = await this.#outbounds.openTransport(this.#hops, undefined);
    if (!this.#isOpen) return transport.abort();
    this.#transport = transport;
    this.#tunnel = tunnel;
    tunnel.start();
    const buffer = new Uint8Array(TUNNEL_READ_BYTES);
    for (;;) {
      if (tunnel.state === "open") this.#sendWaiting(tunnel);
      this.#flush();
      checkTunnel(tunnel);
      const count = await transport.read(buffer);
      if (count === null) tunnel.receiveEnd();
      else tunnel.receive(buffer.slice(0, count));
      for (let datagram = tunnel.take(); datagram !== undefined; datagram = tunnel.take()) {
        this.#observer.received(datagram.source, datagram.payload);
      }
      checkTunnel(tunnel);
      if (count === null) throw new Error("the server closed the connection");
    }
  }

  #sendWaiting(tunnel: DatagramTunnel): void {
    for (const [destination, payload] of this.#waiting.splice(0)) tunnel.send(destination, payload);
  }

  #flush(): void {
    this.#sending = this.#sending.then(() => this.#sendAll()).catch((error: Error) => this.#end(error.message));
  }

  async #sendAll(): Promise<void> {
    const queue = this.#tunnel!.toServer;
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      for (let at = 0; at < chunk.length;) at += await this.#transport!.write(at === 0 ? chunk : chunk.subarray(at));
    }
  }

  #end(why: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#transport?.abort();
    this.#observer.closed(why);
  }

  close(): void {
    this.#end("");
  }
}

/** Errors: `TunnelError` when the tunnel is broken. */
function checkTunnel({ failure }: DatagramTunnel): void {
  if (failure !== undefined) throw new TunnelError(failure.kind, failure.message);
}

/** A tunnel for each destination, for protocols whose streams have one. */
class PerPeerChannel implements DatagramChannel {
  readonly #outbounds: Outbounds;
  readonly #hops: readonly OutboundSettings[];
  readonly #observer: ChannelObserver;
  readonly #peers = new Map<string, TunnelChannel>();
  #isOpen = true;

  constructor(outbounds: Outbounds, hops: readonly OutboundSettings[], observer: ChannelObserver) {
    this.#outbounds = outbounds;
    this.#hops = hops;
    this.#observer = observer;
  }

  send(destination: Destination, payload: Uint8Array): void {
    if (!this.#isOpen) return;
    const name = formatDestination(destination);
    const known = this.#peers.get(name);
    if (known !== undefined) return known.send(destination, payload);
    if (this.#peers.size >= DATAGRAM_TUNNELS_MAX) this.#peers.values().next().value!.close();
    const channel: TunnelChannel = new TunnelChannel(this.#outbounds, this.#hops, {
      received: (source, bytes) => this.#observer.received(source, bytes),
      closed: () => {
        if (this.#peers.get(name) === channel) this.#peers.delete(name);
      },
    });
    this.#peers.set(name, channel);
    channel.send(destination, payload);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const channel of [...this.#peers.values()]) channel.close();
    this.#observer.closed("");
  }
}

/** Makes the machine of a stream that carries datagrams. Errors: `TunnelError` when the settings cannot be used. */
function createDatagramTunnel(hop: OutboundSettings, first: Destination, outbounds: Outbounds): DatagramTunnel {
  const { protocol, name } = hop;
  const { env } = outbounds.host;
  if (protocol.kind === "trojan") {
    return overStream(hop, new TrojanDatagrams(trojanKey(protocol.password, env.crypto), first), outbounds);
  }
  if (protocol.kind !== "vmess" && protocol.kind !== "vless") {
    throw new TunnelError("prohibited", `Cannot carry datagrams by ${name}: proxies of type ${protocol.kind} do not`);
  }
  const uuid = readUuid(protocol.uuid, env.crypto);
  if (uuid === undefined) {
    throw new TunnelError(
      "prohibited",
      `Cannot use the proxy "${name}": its uuid is neither a UUID nor a name of 1 to 30 bytes`,
    );
  }
  if (protocol.kind === "vless") {
    return overStream(hop, new LengthDatagrams(new VlessTunnel(uuid, first, "udp"), first), outbounds);
  }
  const options = { userKey: vmessUserKey(uuid, env.crypto), security: vmessSecurity(protocol.cipher)! };
  return overStream(hop, new VmessDatagrams(options, first, env), outbounds);
}

/** Puts a WebSocket below datagrams where the settings want one. */
function overStream(hop: OutboundSettings, tunnel: DatagramTunnel, outbounds: Outbounds): DatagramTunnel {
  const webSocket = createWebSocket(hop, outbounds.host.env);
  return webSocket === undefined ? tunnel : new LayeredDatagrams(webSocket, tunnel);
}
