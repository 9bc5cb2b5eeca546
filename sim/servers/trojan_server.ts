/** The server's half of Trojan streams, TLS left out. Read first: "The Trojan Protocol". */
import { destinationLength, readDestination } from "../../core/outbound/destination.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";

const KEY_BYTES = 56;

/** One client. */
export class TrojanServer extends ServerState implements ServerTunnel {
  readonly #key: Uint8Array;

  /** `key`: what `trojanKey` makes of the password. */
  constructor(key: Uint8Array) {
    super();
    this.#key = key;
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #advance(): boolean {
    if (this.destination !== undefined) {
      this.toTarget.push(this.received.takeAll());
      return false;
    }
    const head = KEY_BYTES + 3;
    const length = destinationLength(this.received.peek(head), this.received.peek(head + 1));
    if (length < 0) this.refuse("the destination is none");
    const request = length <= 0 ? undefined : this.received.take(head + length + 2);
    if (request === undefined) return false;
    if (!this.#key.every((byte, i) => request[i] === byte)) this.refuse("the password is wrong");
    else if (request[KEY_BYTES + 2] !== 1 && request[KEY_BYTES + 2] !== 3) this.refuse("the command is unknown");
    else {
      this.network = request[KEY_BYTES + 2] === 1 ? "tcp" : "udp";
      this.destination = readDestination(request, head)!.destination;
    }
    return true;
  }
}
