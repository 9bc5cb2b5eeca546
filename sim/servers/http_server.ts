/** The server's half of CONNECT. Read first: RFC 9110 section 9.3.6. */
import { parseIp } from "../../core/base/ip_address.ts";
import type { Login } from "../../core/outbound/settings.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";

/** One client. */
export class HttpServer extends ServerState implements ServerTunnel {
  readonly #login: Login | undefined;
  #head = "";

  constructor(login: Login | undefined) {
    super();
    this.#login = login;
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #advance(): boolean {
    if (this.destination !== undefined) {
      this.toTarget.push(this.received.takeAll());
      return false;
    }
    const byte = this.received.take(1);
    if (byte === undefined) return false;
    this.#head += String.fromCharCode(byte[0]!);
    if (this.#head.endsWith("\r\n\r\n")) this.#judge(this.#head);
    return true;
  }

  #judge(head: string): void {
    const target = /^CONNECT (?:\[([^\]]+)\]|([^\s:]+)):(\d+) HTTP\/1\.1\r\n/.exec(head);
    const host = target?.[1] ?? target?.[2];
    if (host === undefined) return this.#answer("400 Bad Request");
    const credentials = /\r\nproxy-authorization: basic ([^\r]+)\r\n/i.exec(head)?.[1];
    const wanted = this.#login && btoa(`${this.#login.user}:${this.#login.password}`);
    if (credentials !== wanted) return this.#answer("407 Proxy Authentication Required");
    const address = parseIp(host);
    this.destination = { address, host: address === undefined ? host : "", port: Number(target![3]) };
    this.network = "tcp";
  }

  #answer(status: string): void {
    this.toClient.push(new TextEncoder().encode(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`));
    this.refuse(status);
  }

  override accept(): void {
    this.toClient.push(new TextEncoder().encode("HTTP/1.1 200 Connection established\r\nVia: 1.1 simulated\r\n\r\n"));
  }
}
