/** What a policy script exports, and what its functions are given: the types of `import { definePolicy } from "weir"`. */
import type { Metadata } from "../classify/facts.ts";

/** Options of the conditions that look at addresses. Source: Clash rule parameters. */
export interface RuleOptions {
  /** Do not resolve a host name for the sake of this rule. */
  readonly noResolve?: boolean;
  /** Look at the source instead of the destination; includes `noResolve`. */
  readonly src?: boolean;
}

/** A finished rule: what `rules` returns a list of. */
export interface PolicyRule {
  /** The rule as Clash writes it: `DOMAIN-SUFFIX,example.org,office`. */
  readonly text: string;
}

/** What a rule wants besides its target. */
export interface TargetOptions {
  /** The name of a packet program under `weir.programs` of the configuration. */
  readonly program?: string;
}

/** What a rule looks at. Name a target to make it a rule, or put it into `and`, `or`, `not` or `subRule`. */
export interface RuleCondition {
  /** Goes straight out. */
  direct(options?: TargetOptions): PolicyRule;
  /** Goes out by a proxy or a proxy group, by its name in the configuration. */
  via(target: string, options?: TargetOptions): PolicyRule;
  /** Is refused: a TCP reset or an ICMP error. */
  reject(): PolicyRule;
  /** Vanishes without an answer. */
  drop(): PolicyRule;
  /** Goes on with the next rule. */
  pass(): PolicyRule;
}

/** One method for each rule type of Clash. */
export interface RuleBuilder {
  /** Exactly this name. */
  domain(name: string): RuleCondition;
  /** This name and every name below it. */
  domainSuffix(suffix: string): RuleCondition;
  /** A name that contains this text. */
  domainKeyword(keyword: string): RuleCondition;
  /** A name that matches; upper and lower case are the same. */
  domainRegex(pattern: string | RegExp): RuleCondition;
  /** A name that matches `*` (any text) and `?` (any character). */
  domainWildcard(pattern: string): RuleCondition;
  /** A name in this list of the geosite file: `"cn"`, `"google@ads"`. */
  geosite(code: string): RuleCondition;
  /** A destination in this country (`"CN"`), or `"lan"`. */
  geoip(code: string, options?: RuleOptions): RuleCondition;
  /** A source in this country, or `"lan"`. */
  srcGeoip(code: string): RuleCondition;
  /** A destination of this autonomous system. */
  ipAsn(number: number | string, options?: RuleOptions): RuleCondition;
  /** A source of this autonomous system. */
  srcIpAsn(number: number | string): RuleCondition;
  /** A destination in this network, IPv4 or IPv6: `"10.0.0.0/8"`. */
  ipCidr(network: string, options?: RuleOptions): RuleCondition;
  /** A destination in this IPv6 network. */
  ipCidr6(network: string, options?: RuleOptions): RuleCondition;
  /** A source in this network. */
  srcIpCidr(network: string): RuleCondition;
  /** A destination whose low bits are these: `"0.0.0.53/8"` is any address that ends in 53. */
  ipSuffix(suffix: string, options?: RuleOptions): RuleCondition;
  /** A source whose low bits are these. */
  srcIpSuffix(suffix: string): RuleCondition;
  /** A source port: numbers, or ranges such as `"8000-9000"`. */
  srcPort(...ports: (number | string)[]): RuleCondition;
  /** A destination port: numbers, or ranges such as `"8000-9000"`. */
  dstPort(...ports: (number | string)[]): RuleCondition;
  /** The port that the flow came in by. */
  inPort(...ports: (number | string)[]): RuleCondition;
  /** A Differentiated Services code point: numbers from 0 to 63, or ranges. */
  dscp(...values: (number | string)[]): RuleCondition;
  /** A program's file name: `"curl.exe"`. */
  processName(name: string): RuleCondition;
  /** A program's full path. */
  processPath(path: string): RuleCondition;
  /** A program's file name, by a regular expression. */
  processNameRegex(pattern: string | RegExp): RuleCondition;
  /** A program's full path, by a regular expression. */
  processPathRegex(pattern: string | RegExp): RuleCondition;
  /** A program's file name, with `*` and `?`. */
  processNameWildcard(pattern: string): RuleCondition;
  /** A program's full path, with `*` and `?`. */
  processPathWildcard(pattern: string): RuleCondition;
  /** The transport. */
  network(name: "tcp" | "udp"): RuleCondition;
  /** A user's number: numbers, or ranges. */
  uid(...ids: (number | string)[]): RuleCondition;
  /** How the flow came in: `"TUN"`, `"SOCKS5"`, `"HTTP"`, … */
  inType(...types: string[]): RuleCondition;
  /** The user that the flow came in as. */
  inUser(...users: string[]): RuleCondition;
  /** The name of the listener that the flow came in by. */
  inName(...names: string[]): RuleCondition;
  /** A rule-provider of the configuration, by its name. */
  ruleSet(name: string, options?: RuleOptions): RuleCondition;
  /** All of these. */
  and(...conditions: RuleCondition[]): RuleCondition;
  /** At least one of these. */
  or(...conditions: RuleCondition[]): RuleCondition;
  /** Not this. */
  not(condition: RuleCondition): RuleCondition;
  /** If the condition holds, the rules of this list under `sub-rules` are asked. */
  subRule(condition: RuleCondition, name: string): PolicyRule;
  /** Everything. */
  match(): RuleCondition;
}

/** A time: a number of milliseconds, or a text with its unit: `"20ms"`, `"1.5s"`, `"500us"`. At most 10 s. */
export type Duration = number | string;

/** A rate: a number of bytes per second, or a text with its unit: `"10mbit"`, `"2MB"`. */
export type Rate = number | string;

/** One step of a packet program. What it does happens in the order of these keys. */
export interface PacketStep {
  /** Only to packets that this WinDivert filter matches: `"outbound and udp.DstPort == 53"`. */
  readonly when?: string | undefined;
  /** Only with this probability: from 0 to 1, or a text such as `"5%"`. */
  readonly probability?: number | string | undefined;
  /** The packet ends here. */
  readonly drop?: boolean | undefined;
  /** One byte of the packet is changed and its checksum left, so that the receiver throws it away. */
  readonly corrupt?: boolean | undefined;
  /** No faster than this rate. `burst` goes without delay, `queue` may wait; what comes on top is lost. Units: bytes, or `"64KiB"`. */
  readonly throttle?:
    | Rate
    | {
      readonly rate: Rate;
      readonly burst?: number | string | undefined;
      readonly queue?: number | string | undefined;
    }
    | undefined;
  /** The packet waits so long. Packets keep their order. */
  readonly delay?: Duration | undefined;
  /** The packet waits up to so much longer. Packets keep their order. */
  readonly jitter?: Duration | undefined;
  /** Later packets overtake this one: as many as the number says, or as come within a random time up to the one that a text says. */
  readonly reorder?: number | string | undefined;
  /** Copies of each packet: 2 sends each one twice. From 1 to 10. */
  readonly duplicate?: number | undefined;
  /** Copies take no more than this rate; those beyond it are not made. */
  readonly ceiling?: Rate | undefined;
  /** Copies are made only while packets to the same host get lost. */
  readonly adaptive?: boolean | undefined;
}

/**
 * What `onConnection` answers: a target (`"DIRECT"`, `"REJECT"`, `"REJECT-DROP"`, or a proxy or group of the configuration), or more in an
 * object. `undefined` asks the rules.
 */
export type ConnectionAnswer =
  | string
  | {
    /** The target; without it the rules choose. */
    readonly via?: string | undefined;
    /** A packet program: its name under `weir.programs` of the configuration, or its steps. */
    readonly program?: string | PacketStep | readonly PacketStep[] | undefined;
  }
  | (PacketStep & {
    /** The target; without it the rules choose. The other keys are a packet program of one step. */
    readonly via?: string | undefined;
  });

/** A question of an application to weir's DNS. */
export interface DnsQuestion {
  /** Lower-case, without a dot at its end. */
  readonly name: string;
  /** `"A"`, `"AAAA"`, `"HTTPS"`, `"TXT"`, …; `"UNKNOWN_9999"` for a type without a name. */
  readonly type: string;
}

/** What `onDns` answers. `undefined` leaves the question to the configuration: hosts, fake addresses, name servers. */
export type DnsQuestionAnswer =
  /** The same as `{ rcode: "refused" }`. */
  | "REFUSE"
  | {
    /**
     * These addresses, IPv4 and IPv6 as you have them: a question for `A` gets those of IPv4, one for `AAAA` those of IPv6, any other
     * type none.
     */
    readonly answer: string | readonly string[];
    /** How long the answer may be kept; 10 without it. Units: s. */
    readonly ttl?: number | undefined;
  }
  /** No records: the name has none of this type (`"success"`), is not to be asked for, does not exist, or something is broken. */
  | { readonly rcode: "success" | "refused" | "nxdomain" | "servfail" }
  /** The name is an alias: the configuration answers for this other one. */
  | { readonly rewrite: string }
  /** These name servers, as the configuration writes them: `"1.1.1.1"`, `"tls://1.1.1.1"`, `"https://dns.example/dns-query#office"`. Real addresses, no fake ones. */
  | { readonly upstream: string | readonly string[] };

/** A policy: rules that come before those of the configuration, a function that is asked about each new flow first, and one for names. */
export interface Policy {
  /** Rules, or a function that makes them. Asked once, when the script is loaded. Plain Clash lines are welcome among them. */
  readonly rules?: readonly string[] | ((r: RuleBuilder) => readonly (PolicyRule | string)[]);
  /** Asked once for each new flow, before any rule. Answer nothing, and the rules decide. It has half a second. */
  onConnection?(meta: Metadata): ConnectionAnswer | undefined | void | Promise<ConnectionAnswer | undefined | void>;
  /**
   * Asked for each question that an application asks weir's DNS (`dns.enable` of the configuration), before anything else. Answer nothing,
   * and the configuration does. It has half a second. What weir itself asks, for rules and for proxies, does not come by here.
   */
  onDns?(question: DnsQuestion): DnsQuestionAnswer | undefined | void | Promise<DnsQuestionAnswer | undefined | void>;
}
