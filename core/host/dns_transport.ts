/**
 * Questions to name servers over the network: by datagram, TCP, TLS and HTTPS, directly or through proxies.
 *
 * Read first: RFC 1035 section 4.2, RFC 7766 (TCP), RFC 7858 (TLS), RFC 8484 (HTTPS).
 */
import { type IpAddress, parseIp } from "../base/ip_address.ts";
import {
  DNS_CONNECTION_IDLE_MS,
  DNS_CONNECTIONS_IDLE_MAX,
  DNS_EXCHANGE_US,
  DNS_MESSAGE_BYTES_MAX,
} from "../base/limits.ts";
import { MILLISECOND_US } from "../base/micros.ts";
import type { NameServer } from "../config/dns.ts";
import { addressAnswer, isTruncated, messageId, readQuery, writeAnswer } from "../dns/message.ts";
import type { Exchange } from "../dns/resolver.ts";
import type { Destination } from "../outbound/tunnel.ts";
import { openChannel } from "./datagram_channel.ts";
import type { Duplex } from "./duplex.ts";
import { HttpStream } from "./http_exchange.ts";
import type { Outbounds } from "./outbounds.ts";
import { StreamReader, writeAll } from "./stream_reader.ts";
import { wrapTls } from "./tls_transport.ts";

/** What the transport needs of the program around it. */
export interface DnsTransportHost {
  readonly outbounds: Outbounds;
  /** The proxies that carry the questions to a server, by their names; empty for none. Rejects when there is no such way. */
  chainTo(server: NameServer): Promise<readonly string[]>;
  /** The addresses of a name server that is given by its name. Rejects when there is none. */
  resolveNameServer(host: string): Promise<readonly IpAddress[]>;
  /** Asks this machine's own resolver. Rejects when there is no address. */
  resolveWithSystem(host: string): Promise<readonly ReturnType<typeof parseIp>[]>;
}

/** A connection that questions go over one after the other. */
interface Line {
  ask(message: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

/** Messages behind their lengths. */
class FramedLine implements Line {
  readonly #stream: Duplex;
  readonly #reader: StreamReader;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#reader = new StreamReader(stream);
  }

  async ask(message: Uint8Array): Promise<Uint8Array> {
    await writeAll(this.#stream, Uint8Array.of(message.length >>> 8, message.length & 0xff, ...message));
    for (;;) {
      const head = await this.#reader.take(2);
      const answer = head && await this.#reader.take(head[0]! << 8 | head[1]!);
      if (answer === undefined) throw new Error("the server closed the connection");
      if (messageId(answer) === messageId(message)) return answer;
    }
  }

  close(): void {
    this.#stream.close();
  }
}

/** Messages in requests. */
class HttpLine implements Line {
  readonly #http: HttpStream;
  readonly #server: NameServer;

  constructor(stream: Duplex, server: NameServer) {
    this.#http = new HttpStream(stream);
    this.#server = server;
  }

  async ask(message: Uint8Array): Promise<Uint8Array> {
    const { host, port, path } = this.#server;
    const type = "application/dns-message";
    // The id is 0, so that caches on the way can help. Source: RFC 8484 section 4.1.
    const body = message.slice();
    body[0] = body[1] = 0;
    const answer = await this.#http.request({
      method: "POST",
      authority: port === 443 ? host : `${host}:${port}`,
      path,
      headers: [["Content-Type", type], ["Accept", type]],
      body,
    }, DNS_MESSAGE_BYTES_MAX);
    if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`);
    if (!answer.isReusable) this.#http.close();
    const bytes = answer.body.slice();
    bytes.set(message.subarray(0, 2));
    return bytes;
  }

  close(): void {
    this.#http.close();
  }
}

interface IdleLine {
  readonly line: Line;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Carries exchanges out. */
export class DnsTransport {
  readonly #host: DnsTransportHost;
  readonly #idle = new Map<NameServer, IdleLine[]>();
  #isOpen = true;

  constructor(host: DnsTransportHost) {
    this.#host = host;
  }

  /** Asks one server. Undefined when it says nothing that can be used in time. Never rejects. */
  async exchange({ server, message }: Exchange): Promise<Uint8Array | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), DNS_EXCHANGE_US / MILLISECOND_US);
    });
    try {
      return await Promise.race([this.#ask(server, message), late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes every connection. */
  close(): void {
    this.#isOpen = false;
    for (const lines of this.#idle.values()) {
      for (const { line, timer } of lines) {
        clearTimeout(timer);
        line.close();
      }
    }
    this.#idle.clear();
  }

  async #ask(server: NameServer, message: Uint8Array): Promise<Uint8Array | undefined> {
    if (server.scheme === "system" || server.scheme === "dhcp") return await this.#askSystem(message);
    const chain = await this.#host.chainTo(server);
    const place = await this.#placeOf(server);
    if (server.scheme === "udp") {
      const answer = await this.#askByDatagram(place, chain, message);
      if (answer === undefined || !isTruncated(answer)) return answer;
    }
    return await this.#askByStream(server, place, chain, message);
  }

  /** Name servers are never looked up by themselves. */
  async #placeOf({ host, port }: NameServer): Promise<Destination> {
    const address = parseIp(host) ?? (await this.#host.resolveNameServer(host))[0];
    if (address === undefined) throw new Error("the name server has no address");
    return { address, host: "", port };
  }

  async #askSystem(message: Uint8Array): Promise<Uint8Array | undefined> {
    const query = readQuery(message);
    if (query === undefined || (query.question.type !== "A" && query.question.type !== "AAAA")) return undefined;
    const version = query.question.type === "A" ? 4 : 6;
    const found = await this.#host.resolveWithSystem(query.question.name);
    const addresses = found.filter((address) => address !== undefined).filter((address) => address.version === version);
    return writeAnswer(query, addressAnswer(query.question.name, addresses, 60), { bytesMax: DNS_MESSAGE_BYTES_MAX });
  }

  /** A socket for each question, so that its port is as hard to guess as its id. Source: RFC 5452 section 9.2. */
  #askByDatagram(place: Destination, chain: readonly string[], message: Uint8Array): Promise<Uint8Array | undefined> {
    const { outbounds } = this.#host;
    const hops = outbounds.hopsOf(chain);
    return new Promise((resolve) => {
      const channel = openChannel(outbounds, hops, {
        received: (source, bytes) => {
          if (source.port !== place.port || messageId(bytes) !== messageId(message)) return;
          resolve(bytes.slice());
          channel.close();
        },
        closed: () => {
          clearTimeout(timer);
          resolve(undefined);
        },
      });
      const timer = setTimeout(() => channel.close(), DNS_EXCHANGE_US / MILLISECOND_US);
      channel.send(place, message);
    });
  }

  async #askByStream(
    server: NameServer,
    place: Destination,
    chain: readonly string[],
    message: Uint8Array,
  ): Promise<Uint8Array> {
    for (let reused = this.#takeIdle(server); reused !== undefined; reused = this.#takeIdle(server)) {
      try {
        return await this.#askLine(server, reused, message);
      } catch {
        // The server has closed it meanwhile: the next one, or a new one.
      }
    }
    return await this.#askLine(server, await this.#connect(server, place, chain), message);
  }

  async #askLine(server: NameServer, line: Line, message: Uint8Array): Promise<Uint8Array> {
    try {
      const answer = await line.ask(message);
      this.#putIdle(server, line);
      return answer;
    } catch (error) {
      line.close();
      throw error;
    }
  }

  async #connect(server: NameServer, place: Destination, chain: readonly string[]): Promise<Line> {
    const { outbounds } = this.#host;
    const stream = await outbounds.open(outbounds.hopsOf(chain), place, undefined);
    const isSecure = server.scheme === "tls" || server.scheme === "https";
    const secured = !isSecure ? stream : await wrapTls(stream, {
      serverName: server.host,
      alpn: server.scheme === "https" ? ["http/1.1"] : [],
      skipsVerification: server.options.get("skip-cert-verify") === "true",
      fingerprint: undefined,
      authorities: undefined,
    });
    const isHttp = server.scheme === "https" || server.scheme === "http";
    return isHttp ? new HttpLine(secured, server) : new FramedLine(secured);
  }

  #takeIdle(server: NameServer): Line | undefined {
    const entry = this.#idle.get(server)?.pop();
    if (entry !== undefined) clearTimeout(entry.timer);
    return entry?.line;
  }

  #putIdle(server: NameServer, line: Line): void {
    const lines = this.#idle.get(server) ?? [];
    if (!this.#isOpen || lines.length >= DNS_CONNECTIONS_IDLE_MAX) return line.close();
    const entry: IdleLine = {
      line,
      timer: setTimeout(() => {
        lines.splice(lines.indexOf(entry), 1);
        line.close();
      }, DNS_CONNECTION_IDLE_MS),
    };
    lines.push(entry);
    this.#idle.set(server, lines);
  }
}
