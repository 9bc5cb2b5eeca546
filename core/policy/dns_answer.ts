/** Reads what a script's `onDns` returned. It runs inside the script's worker, and once more outside on what came out. */
import { parseIp } from "../base/ip_address.ts";
import {
  DNS_NAME_LENGTH_MAX,
  POLICY_DNS_ADDRESSES_MAX,
  POLICY_DNS_SERVERS_MAX,
  POLICY_DNS_TTL_S,
  POLICY_DNS_TTL_S_MAX,
  POLICY_TARGET_LENGTH_MAX,
} from "../base/limits.ts";
import { describe } from "./answer.ts";

/** The return codes that a script may give. */
export type PolicyRcode = "success" | "refused" | "nxdomain" | "servfail";

/** An answer that makes sense; undefined leaves the question to the configuration. Reading one again gives the same. Units: `ttl` seconds. */
export type ReadDnsAnswer =
  | { readonly answer: readonly string[]; readonly ttl: number }
  | { readonly rcode: PolicyRcode }
  | { readonly rewrite: string }
  | { readonly upstream: readonly string[] };

const RCODES: readonly unknown[] = ["success", "refused", "nxdomain", "servfail"];
const KEYS = ["answer", "ttl", "rcode", "rewrite", "upstream"];
const EXPECTED = '"REFUSE", { answer }, { rcode }, { rewrite }, { upstream } or undefined';
const LABEL = /^[\w-]{1,63}$/;
const NO_SERVER = /[\u0000-\u0020\u007f\u2028\u2029]/;

/** A text or a list of texts, each looked at once. Errors: one sentence. */
function texts(key: string, value: unknown, most: number): string[] | string {
  const found: string[] = [];
  if (typeof value === "string") found[0] = value;
  else if (Array.isArray(value)) {
    const count = value.length;
    if (count > most) return `${key} is a list of ${count}, ${most} are allowed`;
    for (let index = 0; index < count; index++) {
      const text: unknown = value[index];
      if (typeof text !== "string") return `${key}[${index}] is a text, found ${describe(text)}`;
      found[index] = text;
    }
  } else return `${key} is a text or a list of texts, found ${describe(value)}`;
  return found;
}

function readAddresses(value: unknown, ttl: unknown): ReadDnsAnswer | string {
  const addresses = texts("answer", value, POLICY_DNS_ADDRESSES_MAX);
  if (typeof addresses === "string") return addresses;
  for (const address of addresses) {
    if (parseIp(address) === undefined) return `answer holds IP addresses, found ${describe(address)}`;
  }
  if (ttl === undefined) return { answer: addresses, ttl: POLICY_DNS_TTL_S };
  if (typeof ttl === "number" && Number.isInteger(ttl) && ttl >= 0 && ttl <= POLICY_DNS_TTL_S_MAX) {
    return { answer: addresses, ttl };
  }
  return `ttl is a whole number of seconds up to ${POLICY_DNS_TTL_S_MAX}, found ${describe(ttl)}`;
}

function readName(value: unknown): ReadDnsAnswer | string {
  if (typeof value !== "string") return `rewrite is a name, found ${describe(value)}`;
  const name = value.toLowerCase().replace(/\.$/, "");
  const isName = name.length <= DNS_NAME_LENGTH_MAX && name.split(".").every((label) => LABEL.test(label));
  return isName ? { rewrite: name } : `there is no name like ${describe(value)}`;
}

function readServers(value: unknown): ReadDnsAnswer | string {
  const servers = texts("upstream", value, POLICY_DNS_SERVERS_MAX);
  if (typeof servers === "string") return servers;
  if (servers.length === 0) return "upstream names no server";
  for (const server of servers) {
    if (server === "" || server.length > POLICY_TARGET_LENGTH_MAX || NO_SERVER.test(server)) {
      return `no name server is written ${describe(server)}`;
    }
  }
  return { upstream: servers };
}

/** Reads what `onDns` returned. Shape: the answer, undefined for none, or one sentence about what is wrong with it. */
export function readDnsAnswer(value: unknown): ReadDnsAnswer | string | undefined {
  if (value === undefined) return undefined;
  if (value === "REFUSE") return { rcode: "refused" };
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return `expected ${EXPECTED}, found ${describe(value)}`;
  }
  const given: Record<string, unknown> = Object.create(null);
  let kinds = "";
  for (const key of Object.keys(value)) {
    const part = (value as Record<string, unknown>)[key];
    if (!KEYS.includes(key)) {
      return `there is no ${describe(key)} in an answer to a question; there are ${KEYS.join(", ")}`;
    }
    if (part === undefined) continue;
    given[key] = part;
    if (key !== "ttl") kinds = kinds === "" ? key : `${kinds} and ${key}`;
  }
  if (given.ttl !== undefined && given.answer === undefined) return "a ttl goes with an answer only";
  switch (kinds) {
    case "":
      return undefined;
    case "answer":
      return readAddresses(given.answer, given.ttl);
    case "rcode":
      if (!RCODES.includes(given.rcode)) return `rcode is ${RCODES.join(", ")}, found ${describe(given.rcode)}`;
      return { rcode: given.rcode as PolicyRcode };
    case "rewrite":
      return readName(given.rewrite);
    case "upstream":
      return readServers(given.upstream);
    default:
      return `an answer has one of them, not ${kinds}`;
  }
}
