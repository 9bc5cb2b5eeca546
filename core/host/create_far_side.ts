/** Puts the far side together from a configuration: outbounds, groups with their health checks, DNS. */
import { type IpAddress, ipv4FromWord, parseIp } from "../base/ip_address.ts";
import { HEALTH_TURN_MS_MAX } from "../base/limits.ts";
import { type Micros, MILLISECOND_US } from "../base/micros.ts";
import { emptyFacts, Lookup } from "../classify/facts.ts";
import type { NameServer } from "../config/dns.ts";
import type { WeirConfig } from "../config/load.ts";
import { Deliberation } from "../decide/deliberation.ts";
import type { FakeIpState } from "../dns/fake_ip_pool.ts";
import { Groups } from "../outbound/groups.ts";
import type { OutboundEnv } from "../outbound/tunnel.ts";
import type { Dialer } from "./dial.ts";
import { type AskPolicyDns, DnsService } from "./dns_service.ts";
import { DnsTransport } from "./dns_transport.ts";
import { FarSide } from "./far_side.ts";
import { carryOutCheck } from "./health_checks.ts";
import { createOutboundCrypto } from "./outbound_crypto.ts";
import { Outbounds } from "./outbounds.ts";

/** What the far side needs of the program and the machine. */
export interface FarSideDoors {
  readonly dialer: Dialer;
  readonly resolveWithSystem: (host: string) => Promise<IpAddress[]>;
  readonly clock: () => Micros;
  /** Secret randomness. Units: 0 … 2³²−1. */
  readonly uint32: () => number;
  readonly touched: () => void;
  readonly fakeIps?: FakeIpState | undefined;
  readonly askPolicyDns?: AskPolicyDns | undefined;
  /** Hears why a proxy's way for datagrams ended. */
  readonly say: (text: string) => void;
}

/** The far side at work, and how to end it. */
export interface RunningFarSide {
  readonly farSide: FarSide;
  close(): void;
}

function createEnv(): OutboundEnv {
  return {
    crypto: createOutboundCrypto(),
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    unixSeconds: () => Math.floor(Date.now() / 1000),
  };
}

/** Makes it ready: timers of health checks run from now on. */
export function createFarSide(config: WeirConfig, doors: FarSideDoors): RunningFarSide {
  const { dialer, clock, say } = doors;
  const groups = new Groups(config.groups, clock());
  const groupNames = new Set(config.groups.map(({ name }) => name));
  const lookups: { dns?: DnsService } = {};
  const outbounds = new Outbounds(config.outbounds, {
    dialer,
    env: createEnv(),
    resolve: (host, what) => {
      if (lookups.dns === undefined) return doors.resolveWithSystem(host);
      return what === "server" ? lookups.dns.resolveProxyServer(host) : lookups.dns.resolveDirect(host);
    },
  });
  const chainOf = (names: readonly string[]) =>
    names.filter((name) => !groupNames.has(name) && name !== "DIRECT" && name !== "COMPATIBLE" && name !== "GLOBAL");
  const decider = groups.wrap(config.decider);
  const transport = new DnsTransport({
    outbounds,
    chainTo: (server) => Promise.resolve(chainOf(chainTo(server, config, groups, decider))),
    resolveNameServer: (host) => lookups.dns!.resolveNameServer(host),
    resolveWithSystem: doors.resolveWithSystem,
  });
  if (config.dns.enable) {
    lookups.dns = new DnsService({
      config: config.dns,
      hosts: config.decide.hosts,
      transport,
      resolveWithSystem: doors.resolveWithSystem,
      clock,
      uint32: doors.uint32,
      fakeIps: doors.fakeIps,
      askPolicy: doors.askPolicyDns,
    });
    listen(lookups.dns, config.dns.listen);
  }
  const farSide = new FarSide({
    dialer,
    outbounds,
    groups,
    groupNames,
    dns: lookups.dns,
    hijacks: config.tun.dnsHijack,
    clock,
  }, {
    now: clock,
    touched: doors.touched,
    closed: (why) => {
      if (why !== "") say(why);
    },
  });
  const health = new HealthLoop(groups, outbounds, clock);
  health.start();
  return {
    farSide,
    close: () => {
      health.stop();
      farSide.close();
    },
  };
}

/** `0.0.0.0:1053`, `:1053`, `[::1]:1053`. Errors: an Error when the text is no address, or the address is taken. */
function listen(dns: DnsService, written: string | undefined): void {
  if (written === undefined || written === "") return;
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(written);
  const host = match?.[1] ?? match?.[2] ?? "";
  const address = host === "" ? ipv4FromWord(0) : parseIp(host);
  if (match === null || address === undefined || Number(match[3]) > 65_535) {
    throw new Error(`Cannot listen for DNS on ${written}: expected an address and a port like 127.0.0.1:1053`);
  }
  dns.listen(address, Number(match[3]));
}

/** Servers that tell where proxies are cannot be asked through them. Source: mihomo config parseDNS. */
function respectsRules(server: NameServer, dns: WeirConfig["dns"]): boolean {
  if (!dns.respectRules) return false;
  const straight = [dns.defaultNameserver, dns.proxyServerNameserver, dns.directNameserver];
  return ![...straight, ...dns.proxyServerPolicies.map(({ servers }) => servers)].some((list) => list.includes(server));
}

/** The proxies and groups on the way to a name server. */
function chainTo(
  server: NameServer,
  config: WeirConfig,
  groups: Groups,
  decider: ReturnType<Groups["wrap"]>,
): readonly string[] {
  const facts = emptyFacts(server.scheme === "udp" ? "udp" : "tcp");
  facts.type = "Inner";
  const asksRules = server.via === "RULES" || (server.via === "" && respectsRules(server, config.dns));
  if (!asksRules) {
    const known = server.via !== "" && config.decide.targets.find(server.via) !== undefined;
    return known ? groups.chainFor(server.via, facts) : [];
  }
  facts.destinationIp = parseIp(server.host);
  facts.host = facts.destinationIp === undefined ? server.host : "";
  facts.destinationPort = server.port;
  const deliberation = new Deliberation(false);
  decider.prepare(facts);
  // Rules that need an address or a process do not match here: looking them up would need this very server.
  facts.resolveLookup = Lookup.Failed;
  facts.processLookup = Lookup.Failed;
  if (decider.decide(facts, deliberation.verdict) !== "none") return [];
  return deliberation.verdict.action === "proxy" ? deliberation.verdict.chains : [];
}

/** Tries proxies out when their groups want it. */
class HealthLoop {
  readonly #groups: Groups;
  readonly #outbounds: Outbounds;
  readonly #clock: () => Micros;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;
  #isRunning = false;

  constructor(groups: Groups, outbounds: Outbounds, clock: () => Micros) {
    this.#groups = groups;
    this.#outbounds = outbounds;
    this.#clock = clock;
  }

  start(): void {
    this.#isRunning = true;
    this.#turn();
  }

  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
  }

  #turn(): void {
    if (!this.#isRunning) return;
    const now = this.#clock();
    const due = this.#groups.poll(now);
    for (let check = this.#groups.checks.shift(); check !== undefined; check = this.#groups.checks.shift()) {
      const { id } = check;
      const clockMs = () => this.#clock() / MILLISECOND_US;
      carryOutCheck(check, this.#outbounds, clockMs).then((delay) => this.#groups.checked(id, delay));
    }
    // Failures of dials ask for checks in between.
    const waitMs = Math.min(Number.isFinite(due) ? (due - now) / MILLISECOND_US : Infinity, HEALTH_TURN_MS_MAX);
    this.#timer = setTimeout(() => this.#turn(), Math.max(1, waitMs));
  }
}
