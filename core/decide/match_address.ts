/** Conditions over the address of one end. */
import type { IpAddress } from "../base/ip_address.ts";
import type { AddressSet } from "./decide_config.ts";
import { isLanAddress } from "./geo.ts";
import { suffixEquals } from "./judge.ts";
import { Condition } from "./match_condition.ts";
import type { MatchContext } from "./match_context.ts";
import { Answer } from "./needs.ts";

abstract class AddressCondition extends Condition {
  readonly #source: boolean;
  readonly #noResolve: boolean;

  constructor(cost: number, source: boolean, noResolve: boolean) {
    super(cost);
    this.#source = source;
    this.#noResolve = noResolve || source;
  }

  abstract holds(context: MatchContext, ip: IpAddress, source: boolean): boolean;

  test(context: MatchContext): number {
    const ip = context.ip(this.#source);
    if (ip === undefined) return context.addressNeed(this.#noResolve);
    return this.holds(context, ip, this.#source) ? Answer.Yes : Answer.No;
  }
}

/** IP-CIDR in a logic rule, and rule-providers of prefixes. */
export class AddressSetCondition extends AddressCondition {
  readonly #set: AddressSet;

  constructor(set: AddressSet, source: boolean, noResolve: boolean) {
    super(7, source, noResolve);
    this.#set = set;
  }

  holds(_context: MatchContext, ip: IpAddress): boolean {
    return this.#set.has(ip);
  }
}

/** IP-SUFFIX. */
export class IpSuffixCondition extends AddressCondition {
  readonly #address: IpAddress;
  readonly #bits: number;

  constructor(address: IpAddress, bits: number, source: boolean, noResolve: boolean) {
    super(7, source, noResolve);
    this.#address = address;
    this.#bits = bits;
  }

  holds(_context: MatchContext, ip: IpAddress): boolean {
    return suffixEquals(this.#address, ip, this.#bits);
  }
}

/** GEOIP. */
export class CountryCondition extends AddressCondition {
  readonly #country: string;
  readonly #negated: boolean;

  constructor(country: string, negated: boolean, source: boolean, noResolve: boolean) {
    super(8, source, noResolve);
    this.#country = country;
    this.#negated = negated;
  }

  holds(context: MatchContext, ip: IpAddress, source: boolean): boolean {
    if (this.#country === "lan") return isLanAddress(ip) !== this.#negated;
    const codes = context.countries(source, ip);
    for (let i = 0; i < codes.length; i++) {
      if (codes[i] === this.#country || codes[i]!.toLowerCase() === this.#country) return !this.#negated;
    }
    return this.#negated;
  }
}

/** IP-ASN. */
export class AsnCondition extends AddressCondition {
  readonly #asn: number;

  constructor(asn: number, source: boolean, noResolve: boolean) {
    super(8, source, noResolve);
    this.#asn = asn;
  }

  holds(context: MatchContext, ip: IpAddress, source: boolean): boolean {
    return context.asn(source, ip) === this.#asn;
  }
}
