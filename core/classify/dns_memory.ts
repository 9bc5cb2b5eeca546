/**
 * What DNS answers that passed by have said: which name an address was asked for under, and which addresses a name has.
 *
 * Read first: RFC 1035 section 3.6 (CNAME chains), RFC 1034 section 5.3.3 (what may be believed of an answer).
 *
 * An answer's addresses get the name of the question, not the last name of the chain: rules are written for what the user asked for.
 * Names stay longer than their TTL says, because applications and system caches do use them longer, and connections stay open.
 */
import { formatIpv6Words, type IpAddress, ipFromWords } from "../base/ip_address.ts";
import {
  DNS_CHAIN_MAX,
  DNS_MEMORY_ADDRESSES_MAX,
  DNS_MEMORY_ADDRESSES_PER_NAME_MAX,
  DNS_MEMORY_NAMES_MAX,
  DNS_MEMORY_NAMES_PER_ADDRESS_MAX,
  DNS_MEMORY_TTL_US_MAX,
  DNS_MEMORY_TTL_US_MIN,
  DNS_RECORDS_MAX,
} from "../base/limits.ts";
import { addMicros, type Micros, SECOND_US } from "../base/micros.ts";
import * as dns from "../wire/dns.ts";
import { readHostName } from "../wire/host_name.ts";

/** What an address is called. */
export interface RememberedName {
  readonly name: string;
  /** Several names were asked for that have this address; `name` is the one asked for last. */
  readonly ambiguous: boolean;
}

/** A name or an address that is known until a point in time; the newest stands last in its list. */
interface Known<T> {
  readonly value: T;
  until: Micros;
}

/** Lists by key, bounded; the key longest not written goes first. */
class KnownTable<K, T> {
  readonly #keysMax: number;
  readonly #perKeyMax: number;
  readonly #lists = new Map<K, Known<T>[]>();

  constructor(keysMax: number, perKeyMax: number) {
    this.#keysMax = keysMax;
    this.#perKeyMax = perKeyMax;
  }

  get size(): number {
    return this.#lists.size;
  }

  get(key: K): Known<T>[] | undefined {
    return this.#lists.get(key);
  }

  /** Puts a value last in its key's list, and the key last in the order of leaving. */
  put(key: K, value: T, same: (a: T, b: T) => boolean, until: Micros): void {
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = [];
      if (this.#lists.size >= this.#keysMax) this.#dropFirst();
    } else {
      this.#lists.delete(key);
    }
    this.#lists.set(key, list);
    let known: Known<T> = { value, until };
    for (let i = 0; i < list.length; i++) {
      if (!same(list[i]!.value, value)) continue;
      known = list[i]!;
      if (until > known.until) known.until = until;
      list.splice(i, 1);
      break;
    }
    if (list.length >= this.#perKeyMax) list.shift();
    list.push(known);
  }

  /** Renews a key's place in the order of leaving. */
  touch(key: K, list: Known<T>[]): void {
    this.#lists.delete(key);
    this.#lists.set(key, list);
  }

  delete(key: K): void {
    this.#lists.delete(key);
  }

  #dropFirst(): void {
    for (const key of this.#lists.keys()) {
      this.#lists.delete(key);
      return;
    }
  }
}

function sameName(a: string, b: string): boolean {
  return a === b;
}

function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.w3 === b.w3 && a.w2 === b.w2 && a.w1 === b.w1 && a.w0 === b.w0 && a.version === b.version;
}

function keyOf(ip: IpAddress): number | string {
  return ip.version === 4 ? ip.w3 : formatIpv6Words(ip.w0, ip.w1, ip.w2, ip.w3);
}

const cursor = dns.createRecordCursor();

/** See the head of this file. */
export class DnsMemory {
  readonly #names = new KnownTable<number | string, string>(DNS_MEMORY_ADDRESSES_MAX, DNS_MEMORY_NAMES_PER_ADDRESS_MAX);
  readonly #addresses = new KnownTable<string, IpAddress>(DNS_MEMORY_NAMES_MAX, DNS_MEMORY_ADDRESSES_PER_NAME_MAX);
  /** The names of the chain under way, and the links it is made of. */
  readonly #chain: string[] = [];
  readonly #owners: string[] = [];
  readonly #aliases: string[] = [];

  /** How many addresses have a name. */
  get addressCount(): number {
    return this.#names.size;
  }

  /**
   * Learns from a message. Queries, failures and anything broken teach nothing; what stood before a broken record does.
   * Shape: true when it taught at least one address.
   */
  observeMessage(view: DataView, at: number, length: number, now: Micros): boolean {
    if (!dns.hasHeader(length) || (dns.flags(view, at) & dns.Flags.Response) === 0) return false;
    if (dns.opcode(view, at) !== 0 || dns.rcode(view, at) !== 0 || dns.questionCount(view, at) !== 1) return false;
    const typeAt = dns.skipName(view, at, length, dns.HEADER_BYTES);
    if (typeAt < 0 || typeAt + 4 > length || view.getUint16(at + typeAt + 2) !== dns.CLASS_IN) return false;
    const type = view.getUint16(at + typeAt);
    if (type !== dns.RecordType.A && type !== dns.RecordType.Aaaa) return false;
    const question = dns.readName(view, at, length, dns.HEADER_BYTES);
    if (question === undefined || !isHostName(question)) return false;
    const claimed = dns.answerCount(view, at);
    const count = claimed > DNS_RECORDS_MAX ? DNS_RECORDS_MAX : claimed;
    this.#followChain(view, at, length, typeAt + 4, count, question);
    let learned = false;
    let next = typeAt + 4;
    for (let i = 0; i < count && dns.readRecord(view, at, length, next, cursor); i++) {
      if (this.#learnRecord(view, at, length, question, now)) learned = true;
      next = cursor.next;
    }
    return learned;
  }

  /** Takes in that `name` has this address, as a resolver of our own would report it. Units: `ttlUs` µs. */
  remember(name: string, ip: IpAddress, ttlUs: number, now: Micros): void {
    let keep = ttlUs < DNS_MEMORY_TTL_US_MIN ? DNS_MEMORY_TTL_US_MIN : ttlUs;
    if (keep > DNS_MEMORY_TTL_US_MAX) keep = DNS_MEMORY_TTL_US_MAX;
    const until = addMicros(now, keep);
    this.#names.put(keyOf(ip), name, sameName, until);
    this.#addresses.put(name, ip, sameAddress, until);
  }

  /** The name that this address was last asked for under. */
  nameOf(ip: IpAddress, now: Micros): RememberedName | undefined {
    const key = keyOf(ip);
    const list = this.#names.get(key);
    if (list === undefined) return undefined;
    let name = "";
    let count = 0;
    for (let i = list.length - 1; i >= 0; i--) {
      if (list[i]!.until < now) continue;
      if (count++ === 0) name = list[i]!.value;
    }
    if (count === 0) {
      this.#names.delete(key);
      return undefined;
    }
    this.#names.touch(key, list);
    return { name, ambiguous: count > 1 };
  }

  /** The addresses that answers gave for a name, in the order they were learned. */
  addressesOf(name: string, now: Micros): IpAddress[] {
    const found: IpAddress[] = [];
    const list = this.#addresses.get(name);
    if (list === undefined) return found;
    for (const known of list) {
      if (known.until >= now) found.push(known.value);
    }
    if (found.length === 0) this.#addresses.delete(name);
    else this.#addresses.touch(name, list);
    return found;
  }

  /** Collects the question's name and all its aliases; the records may stand in any order. */
  #followChain(view: DataView, at: number, length: number, from: number, count: number, question: string): void {
    const owners = this.#owners;
    const aliases = this.#aliases;
    owners.length = 0;
    aliases.length = 0;
    let next = from;
    for (let i = 0; i < count && owners.length < DNS_CHAIN_MAX; i++) {
      if (!dns.readRecord(view, at, length, next, cursor)) break;
      next = cursor.next;
      if (cursor.type !== dns.RecordType.Cname || cursor.class !== dns.CLASS_IN) continue;
      const owner = dns.readName(view, at, length, cursor.nameAt);
      const alias = dns.readName(view, at, length, cursor.dataAt);
      if (owner === undefined || alias === undefined) continue;
      owners.push(owner);
      aliases.push(alias);
    }
    const chain = this.#chain;
    chain.length = 0;
    chain.push(question);
    for (let link = 0; link < chain.length && chain.length <= DNS_CHAIN_MAX; link++) {
      for (let i = 0; i < owners.length; i++) {
        if (owners[i] === chain[link] && !chain.includes(aliases[i]!)) chain.push(aliases[i]!);
      }
    }
  }

  #learnRecord(view: DataView, at: number, length: number, question: string, now: Micros): boolean {
    if (cursor.class !== dns.CLASS_IN) return false;
    const data = at + cursor.dataAt;
    const isA = cursor.type === dns.RecordType.A && cursor.dataLength === 4;
    if (!isA && (cursor.type !== dns.RecordType.Aaaa || cursor.dataLength !== 16)) return false;
    const owner = dns.readName(view, at, length, cursor.nameAt);
    if (owner === undefined || !this.#chain.includes(owner)) return false;
    const ip = isA ? ipFromWords(0, 0, 0xffff, view.getUint32(data)) : ipFromWords(
      view.getUint32(data),
      view.getUint32(data + 4),
      view.getUint32(data + 8),
      view.getUint32(data + 12),
    );
    if (ip.w3 === 0 && ip.w1 === 0 && ip.w0 === 0) return false; // 0.0.0.0 and :: are refusals of filters
    this.remember(question, ip, cursor.ttl * SECOND_US, now);
    return true;
  }
}

const nameBytes = new DataView(new ArrayBuffer(256));

/** True when a name in presentation form is a host name that rules can match. */
function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > 255) return false;
  for (let i = 0; i < name.length; i++) nameBytes.setUint8(i, name.charCodeAt(i));
  return readHostName(nameBytes, 0, name.length) !== "";
}
