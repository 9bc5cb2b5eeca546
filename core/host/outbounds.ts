/** Proxies of the configuration as ways out: connections through their servers, one proxy through another where the configuration says so. */
import type { IpAddress } from "../base/ip_address.ts";
import { createStreamTunnel, hopsOf, overWebSocket, serverOf } from "../outbound/create_stream_tunnel.ts";
import type { OutboundSettings } from "../outbound/settings.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "../outbound/tunnel.ts";
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

/** Makes the machine of a stream. Errors: `TunnelError` when the settings cannot be used. */
function streamTunnel(settings: OutboundSettings, destination: Destination, env: OutboundEnv): StreamTunnel {
  const tunnel = createStreamTunnel(settings, destination, env);
  if (typeof tunnel === "string") throw new TunnelError("prohibited", tunnel);
  return tunnel!;
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
      const message = error instanceof Error ? error.message : String(error);
      if (!(error instanceof TunnelError)) return { failure: "failed", message };
      return { failure: error.kind, message, isPassing: error.isPassing };
    }
  }

  /** What the program around gives. */
  get host(): OutboundsHost {
    return this.#host;
  }

  /** The proxies one after the other, with those that `dialer-proxy` adds. Errors: `TunnelError` for a name that is not there, or a circle. */
  hopsOf(chain: readonly string[]): OutboundSettings[] {
    const hops = hopsOf(chain, (name) => this.#settings.get(name));
    if (typeof hops === "string") throw new TunnelError("prohibited", hops);
    return hops;
  }

  /** Opens a stream through proxies, from the outermost inwards. Errors: `TunnelError`. */
  async open(
    hops: readonly OutboundSettings[],
    destination: Destination,
    signal: AbortSignal | undefined,
  ): Promise<Duplex> {
    const [hop, ...rest] = hops;
    if (hop === undefined) return await this.#direct(destination, "destination", undefined, signal);
    if (hop.protocol.kind === "direct") {
      return rest.length > 0
        ? await this.open(rest, destination, signal)
        : await this.#direct(destination, "destination", hop, signal);
    }
    const tunnel = streamTunnel(hop, destination, this.#host.env);
    const transport = await this.openTransport(hops, signal);
    const stream = new TunnelDuplex(transport, overWebSocket(hop, tunnel, this.#host.env));
    await stream.open(signal);
    return stream;
  }

  /** A connection to the server of the first hop, TLS around it where the settings want it. Errors: `TunnelError`. */
  async openTransport(hops: readonly OutboundSettings[], signal: AbortSignal | undefined): Promise<Duplex> {
    const [hop, ...rest] = hops;
    const server = serverOf(hop!);
    const transport = rest.length > 0
      ? await this.open(rest, server, signal)
      : await this.#direct(server, "server", hop, signal);
    return hop!.tls === undefined ? transport : await wrapTls(transport, hop!.tls);
  }

  async #direct(
    { address, host, port }: Destination,
    what: "server" | "destination",
    by: OutboundSettings | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Duplex> {
    const found = address !== undefined ? [address] : await this.#resolve(host, what);
    const addresses = orderAddresses(found, by?.ipVersion ?? "dual");
    let failure: TunnelError | undefined;
    for (const candidate of addresses.slice(0, 2)) {
      const result = await this.#host.dialer.dial(candidate, port, signal, by?.interfaceName);
      if (result.stream !== undefined) return result.stream;
      failure = new TunnelError(result.failure, result.message, what === "server");
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
