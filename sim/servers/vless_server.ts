/** The server's half of VLESS streams. Read first: XTLS, "VLESS protocol". */
import { readPortAddress } from "./read_port_address.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";

/** One client. */
export class VlessServer extends ServerState implements ServerTunnel {
  readonly #uuid: Uint8Array;
  #hasAnswered = false;

  constructor(uuid: Uint8Array) {
    super();
    this.#uuid = uuid;
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #advance(): boolean {
    const received = this.received;
    if (this.destination !== undefined) {
      this.toTarget.push(received.takeAll());
      return false;
    }
    const addons = received.peek(17);
    if (addons === undefined) return false;
    const at = 18 + addons + 1;
    const read = readPortAddress(received, at);
    if (read === undefined || received.length < at + read.length) return false;
    const request = received.take(at + read.length)!;
    if (request[0] !== 0 || !this.#uuid.every((byte, i) => request[1 + i] === byte)) this.refuse("the UUID is unknown");
    else {
      this.network = request[at - 1] === 2 ? "udp" : "tcp";
      this.destination = read.destination;
    }
    return true;
  }

  override write(bytes: Uint8Array): void {
    if (!this.#hasAnswered) this.toClient.push(Uint8Array.of(0, 0));
    this.#hasAnswered = true;
    super.write(bytes);
  }

  override end(): boolean {
    if (!this.#hasAnswered) this.write(new Uint8Array(0));
    return true;
  }
}
