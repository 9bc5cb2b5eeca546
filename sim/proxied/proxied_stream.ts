/**
 * A stream through proxies without a network: the client's machines of a chain of proxies, and the servers that fit them, mouth to mouth.
 *
 *     application ──► client's machines ══ what would go over the wire ══► servers ──► destination
 *                 ◄──                   ══                             ══          ◄──
 */
import { createChainTunnel } from "../../core/outbound/create_stream_tunnel.ts";
import { formatDestination } from "../../core/outbound/destination.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "../../core/outbound/tunnel.ts";
import { createChainServer } from "../servers/create_server.ts";
import type { ServerTunnel } from "../servers/proxy_server.ts";

/** How a chain is called in reports, the proxy that speaks to the destination first: `vmess over ws`, `socks5`. */
export function protocolNames(hops: readonly OutboundSettings[]): string[] {
  return hops.filter(({ protocol }) => protocol.kind !== "direct").map(({ protocol, webSocket, tls }) => {
    const cipher = protocol.kind === "ss" || protocol.kind === "vmess" ? ` ${protocol.cipher}` : "";
    return `${protocol.kind}${cipher}${webSocket === undefined ? "" : " over ws"}${
      tls === undefined ? "" : " over tls"
    }`;
  });
}

/** One stream. After each call everything that can move has moved. */
export class ProxiedStream {
  readonly client: StreamTunnel;
  readonly server: ServerTunnel;
  readonly #destination: string;
  /** Bytes on the wire, TLS left out. */
  bytesToServer = 0;
  bytesToClient = 0;
  #isAccepted = false;
  #hasClosedUp = false;
  #failure: string | undefined = undefined;

  private constructor(client: StreamTunnel, server: ServerTunnel, destination: Destination) {
    this.client = client;
    this.server = server;
    this.#destination = formatDestination(destination);
  }

  /** Opens a stream. Shape: the stream; or one sentence about a chain that cannot be used; undefined when nothing in it is a proxy. */
  static open(
    hops: readonly OutboundSettings[],
    destination: Destination,
    env: OutboundEnv,
  ): ProxiedStream | string | undefined {
    const client = createChainTunnel(hops, destination, env);
    const server = createChainServer(hops, env);
    if (typeof client === "string") return client;
    if (client === undefined || server === undefined) return undefined;
    const stream = new ProxiedStream(client, server, destination);
    client.start();
    stream.#move();
    return stream;
  }

  /** True when the application may speak. */
  get isOpen(): boolean {
    return this.client.state === "open" && this.failure === undefined;
  }

  /** Why it carries nothing any more. It holds no secret. */
  get failure(): string | undefined {
    if (this.#failure !== undefined) return this.#failure;
    const { refusal } = this.server;
    return refusal !== undefined ? `the server refused: ${refusal}` : this.client.failure?.message;
  }

  /** Takes bytes of the application. */
  write(bytes: Uint8Array): void {
    this.client.write(bytes);
    this.#move();
  }

  /** The application has said all. */
  end(): void {
    this.client.end();
    this.#move();
  }

  /** Takes bytes of the destination. */
  answer(bytes: Uint8Array): void {
    this.server.write(bytes);
    this.#move();
  }

  /** The destination has said all. */
  answerEnd(): void {
    const closes = this.server.end();
    this.#move();
    if (!closes || this.client.isServerDone) return;
    this.client.receiveEnd();
    this.#move();
  }

  /** The next bytes that reach the destination; undefined when there are none. */
  takeForTarget(): Uint8Array | undefined {
    return this.server.toTarget.shift();
  }

  /** The next bytes that reach the application; undefined when there are none. */
  takeForApplication(): Uint8Array | undefined {
    return this.client.toApplication.shift();
  }

  /** Carries bytes from one side to the other until both have nothing more to say. */
  #move(): void {
    const { client, server } = this;
    for (let moved = true; moved && this.failure === undefined;) {
      moved = false;
      for (let chunk = client.toServer.shift(); chunk !== undefined; chunk = client.toServer.shift()) {
        this.bytesToServer += chunk.length;
        server.receive(chunk);
        moved = true;
      }
      if (client.closesTransport && !this.#hasClosedUp) {
        this.#hasClosedUp = true;
        server.receiveEnd();
      }
      if (!this.#isAccepted && server.destination !== undefined) this.#accept(server.destination);
      for (let chunk = server.toClient.shift(); chunk !== undefined; chunk = server.toClient.shift()) {
        this.bytesToClient += chunk.length;
        client.receive(chunk);
        moved = true;
      }
    }
  }

  #accept(asked: Destination): void {
    this.#isAccepted = true;
    const text = formatDestination(asked);
    if (text !== this.#destination) this.#failure = `the server was asked for ${text}, not for ${this.#destination}`;
    this.server.accept();
  }
}
