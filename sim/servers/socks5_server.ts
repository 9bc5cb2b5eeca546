/** The server's half of SOCKS 5: CONNECT with or without a login. Read first: RFC 1928, RFC 1929. */
import { destinationLength, readDestination, writeDestination } from "../../core/outbound/destination.ts";
import type { Login } from "../../core/outbound/settings.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";

const ANYWHERE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0);

/** One client. */
export class Socks5Server extends ServerState implements ServerTunnel {
  readonly #login: Login | undefined;
  #step: "greeting" | "login" | "request" | "stream" = "greeting";

  constructor(login: Login | undefined) {
    super();
    this.#login = login;
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #advance(): boolean {
    if (this.#step === "greeting") return this.#greet();
    if (this.#step === "login") return this.#logIn();
    if (this.#step === "request") return this.#readRequest();
    this.toTarget.push(this.received.takeAll());
    return false;
  }

  #greet(): boolean {
    const count = this.received.peek(1);
    const greeting = count === undefined ? undefined : this.received.take(2 + count);
    if (greeting === undefined) return false;
    const method = this.#login === undefined ? 0 : 2;
    if (greeting[0] !== 5 || !greeting.subarray(2).includes(method)) {
      this.toClient.push(Uint8Array.of(5, 0xff));
      this.refuse("no method of the client will do");
      return false;
    }
    this.toClient.push(Uint8Array.of(5, method));
    this.#step = method === 0 ? "request" : "login";
    return true;
  }

  #logIn(): boolean {
    const userBytes = this.received.peek(1);
    const secretBytes = userBytes === undefined ? undefined : this.received.peek(2 + userBytes);
    const login = secretBytes === undefined ? undefined : this.received.take(3 + userBytes! + secretBytes);
    if (login === undefined) return false;
    const text = new TextDecoder();
    const user = text.decode(login.subarray(2, 2 + userBytes!));
    const password = text.decode(login.subarray(3 + userBytes!));
    const isGood = user === this.#login!.user && password === this.#login!.password;
    this.toClient.push(Uint8Array.of(1, isGood ? 0 : 1));
    if (!isGood) this.refuse("the login is wrong");
    this.#step = "request";
    return true;
  }

  #readRequest(): boolean {
    const length = destinationLength(this.received.peek(3), this.received.peek(4));
    if (length < 0) this.refuse("the address has no known type");
    const request = length <= 0 ? undefined : this.received.take(3 + length);
    if (request === undefined) return false;
    if (request[0] !== 5 || request[1] !== 1) {
      this.toClient.push(Uint8Array.of(5, 7, 0, ...ANYWHERE));
      this.refuse("only CONNECT is known here");
      return false;
    }
    this.destination = readDestination(request, 3)!.destination;
    this.network = "tcp";
    this.#step = "stream";
    return true;
  }

  override accept(): void {
    this.toClient.push(Uint8Array.of(5, 0, 0, ...writeDestination(this.destination!)!));
  }
}
