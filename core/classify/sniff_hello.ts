/** The name of a ClientHello as the sniffers report it. */
import { isIpLiteral, readHostName } from "../wire/host_name.ts";
import { createHelloFacts, readClientHello } from "../wire/tls_client_hello.ts";

/** What was read from a hello. */
export interface HelloName {
  /** Lower case, no final dot; "" when there is none, or none that is a host name. */
  host: string;
  ech: boolean;
  /** A name was there but is no host name. */
  badName: boolean;
}

/** A record to hand to `nameHello`. */
export function createHelloName(): HelloName {
  return { host: "", ech: false, badName: false };
}

/** Empties a record. */
export function clearHelloName(out: HelloName): void {
  out.host = "";
  out.ech = false;
  out.badName = false;
}

const facts = createHelloFacts();

/** Reads the name from the first `length` bytes of a ClientHello message. */
export function nameHello(view: DataView, at: number, length: number, dtls: boolean, out: HelloName): void {
  readClientHello(view, at, length, dtls, facts);
  out.ech = facts.ech;
  out.host = facts.nameAt < 0 ? "" : readHostName(view, at + facts.nameAt, facts.nameLength);
  out.badName = facts.nameAt >= 0 && out.host === "";
}

/** True when what was read is an address, not a name. */
export function isAddress(host: string): boolean {
  return host !== "" && isIpLiteral(host);
}
