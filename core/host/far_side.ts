/**
 * The far side of every flow: straight out, through proxies, or into weir's own DNS server.
 *
 * Source for what goes to a proxy, a name or an address: mihomo constant/metadata.go `RemoteAddress` and tunnel/tunnel.go.
 */
import { formatIp, type IpAddress } from "../base/ip_address.ts";
import type { Micros } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { DnsHijackTarget } from "../config/tun.ts";
import type { Decider } from "../decide/decider.ts";
import type { Verdict } from "../decide/verdict.ts";
import { destinationOf } from "../outbound/flow_destination.ts";
import type { Groups } from "../outbound/groups.ts";
import type { Destination } from "../outbound/tunnel.ts";
import type { Dialer, DialFailure, DialResult } from "./dial.ts";
import { type AgainClock, dialAgain, waitOnHost } from "./dial_again.ts";
import type { DnsService } from "./dns_service.ts";
import { createDuplexPair } from "./duplex_pair.ts";
import type { Outbounds } from "./outbounds.ts";
import { type OriginalPeer, type UdpOutboundHost, UdpOutbounds } from "./udp_outbound.ts";
import type { UdpSource } from "./udp_relay.ts";

/** The rule that stands in verdicts of questions that weir answers itself. */
export const HIJACK_RULE = "DnsHijack";
const HIJACK_CHAIN: readonly string[] = Object.freeze(["DNS"]);
/** Names in chains that stand for no server. */
const NOT_HOPS: ReadonlySet<string> = new Set(["DIRECT", "COMPATIBLE", "GLOBAL"]);
const REFUSING: ReadonlySet<string> = new Set(["REJECT", "REJECT-DROP"]);
const NAMELESS = "nobody asked weir for the name of this fake address";

/** What the far side is made from. */
export interface FarSideOptions {
  readonly dialer: Dialer;
  readonly outbounds: Outbounds;
  readonly groups: Groups;
  /** Names of groups, which stand in chains beside the proxies. */
  readonly groupNames: ReadonlySet<string>;
  /** Absent when the configuration has no DNS of weir's own. */
  readonly dns: DnsService | undefined;
  /** Whose questions are answered by weir; none without `dns`. */
  readonly hijacks: readonly DnsHijackTarget[];
  readonly clock: () => Micros;
  /** Waits between two tries; by a timer of the host unless said otherwise. */
  readonly wait?: AgainClock["wait"];
}

/** How a datagram flow goes on. */
export type DatagramRoute =
  /** By plain sockets, to the address that the application names. */
  | { readonly kind: "plain" }
  | { readonly kind: "dns" }
  | { readonly kind: "channel"; readonly chain: readonly string[]; readonly destination: Destination };

function isAny({ w0, w1, w2, w3, version }: IpAddress): boolean {
  return version === 4 ? w3 === 0 : (w0 | w1 | w2 | w3) === 0;
}

/** True for a flow whose questions weir answers itself. */
export function isHijacked(facts: FlowFacts, targets: readonly DnsHijackTarget[]): boolean {
  return targets.some(({ network, ip, port }) =>
    port === facts.destinationPort && (network === "any" || network === facts.network) &&
    (isAny(ip) || (facts.destinationIp !== undefined && formatIp(facts.destinationIp) === formatIp(ip)))
  );
}

/** True for a fake address whose name nobody knows. */
function isNameless({ dnsMode, host, sniffHost }: FlowFacts): boolean {
  return dnsMode === "fake-ip" && host === "" && sniffHost === "";
}

/** Everything behind the engine. */
export class FarSide {
  readonly udp: UdpOutbounds;
  readonly #options: FarSideOptions;

  constructor(options: FarSideOptions, udpHost: UdpOutboundHost) {
    this.#options = options;
    this.udp = new UdpOutbounds(options.outbounds, udpHost);
  }

  /** What weir's own DNS server knows of addresses; absent when there is none. */
  get given(): DnsService | undefined {
    return this.#options.dns;
  }

  /** A decider whose verdicts name the proxies that carry flows now; questions that weir answers itself come before every rule. */
  wrap(decider: Decider): Decider {
    const { groups, hijacks, dns } = this.#options;
    const chosen = groups.wrap(decider);
    if (dns === undefined || hijacks.length === 0) return chosen;
    return {
      ...chosen,
      decide: (facts, verdict) => {
        if (!isHijacked(facts, hijacks)) return chosen.decide(facts, verdict);
        fillHijack(verdict);
        return "none";
      },
    };
  }

  /** The proxies of a chain, without the groups that chose them. */
  #hopsOf(chain: readonly string[]): string[] {
    return chain.filter((name) => !this.#options.groupNames.has(name) && !NOT_HOPS.has(name));
  }

  /** Opens the way of a TCP flow. Never rejects. */
  async open(facts: FlowFacts, verdict: Verdict, signal: AbortSignal): Promise<DialResult> {
    const { dns, clock, wait } = this.#options;
    if (verdict.rule === HIJACK_RULE && dns !== undefined) {
      const [near, far] = createDuplexPair();
      void dns.serveStream(far);
      return { stream: near };
    }
    if (isNameless(facts)) return { failure: "hostUnreachable", message: NAMELESS };
    let tries = 0;
    return await dialAgain(
      () => this.#openOnce(facts, verdict, tries++, signal),
      { now: clock, wait: wait ?? waitOnHost },
      signal,
    );
  }

  /** Later tries ask the groups anew: they may know better by now. */
  async #openOnce(facts: FlowFacts, verdict: Verdict, tries: number, signal: AbortSignal): Promise<DialResult> {
    const { outbounds, dialer, groups, groupNames, clock } = this.#options;
    const isAsked = tries > 0 && groupNames.has(verdict.target);
    const chain = isAsked ? groups.chainFor(verdict.target, facts) : verdict.chains;
    if (REFUSING.has(chain[0]!)) return { failure: "prohibited", message: `${verdict.target} refuses it now` };
    const hops = this.#hopsOf(chain);
    if (hops.length === 0 && facts.destinationIp !== undefined) {
      return await dialer.dial(facts.destinationIp, facts.destinationPort, signal);
    }
    const result = await outbounds.connect(hops, destinationOf(facts), signal);
    if (result.stream === undefined && !signal.aborted) this.#noteFailure(chain, result, clock());
    return result;
  }

  /** What a server says of the destination says nothing of the server. */
  #noteFailure(chain: readonly string[], { failure, isPassing }: DialFailure, now: Micros): void {
    const isOfProxy = isPassing === true || failure === "failed" || failure === "timedOut" || failure === "prohibited";
    if (isOfProxy) this.#options.groups.dialFailed(chain, isPassing === true && failure === "refused", now);
  }

  /** How a datagram flow goes on; undefined when it cannot. */
  routeOf(facts: FlowFacts, verdict: Verdict): DatagramRoute | undefined {
    if (verdict.rule === HIJACK_RULE) return { kind: "dns" };
    if (isNameless(facts)) return undefined;
    const chain = this.#hopsOf(verdict.chains);
    if (chain.length === 0 && facts.dnsMode !== "fake-ip") return { kind: "plain" };
    try {
      this.#options.outbounds.hopsOf(chain);
    } catch {
      // A name that no proxy has, or too many in a row: better said to the application now than found with its first datagram.
      return undefined;
    }
    return { kind: "channel", chain, destination: destinationOf(facts) };
  }

  /** Answers a datagram's question to where it came from. */
  answerDns(source: UdpSource, message: Uint8Array, peer: OriginalPeer, touched: () => void): void {
    this.#options.dns?.handle(message.slice(), false).then((answer) => {
      if (answer === undefined || !source.isOpen) return;
      const { w0, w1, w2, w3 } = peer.address;
      source.send(new Uint32Array([w0, w1, w2, w3]), peer.port, answer, 0, answer.length, this.#options.clock());
      touched();
    });
  }

  /** Ends what is open. */
  close(): void {
    this.udp.close();
    this.#options.dns?.close();
  }
}

/** The action is that of a proxied flow, so that it ends in weir wherever it comes from. */
function fillHijack(verdict: Verdict): void {
  verdict.action = "proxy";
  verdict.rule = HIJACK_RULE;
  verdict.rulePayload = "";
  verdict.target = "DNS";
  verdict.chains = HIJACK_CHAIN;
  verdict.ruleIndex = -1;
  verdict.effects = undefined;
}
