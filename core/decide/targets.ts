/**
 * Proxies and groups as the rules see them: names that unwrap, group by group, to the proxy that would carry a flow.
 *
 * Source: mihomo adapter/outboundgroup (unwrapping, UDP), adapter/outbound (UDP by type), config/config.go `parseProxies` (builtins).
 * Nothing is measured here, so every proxy counts as alive: url-test, fallback and load-balance stand for their first member.
 */
import { CHAIN_COUNT_MAX, GROUP_DEPTH_MAX } from "../base/limits.ts";
import { nearestName } from "../base/nearest.ts";
import type { PacketEffects, VerdictAction } from "./verdict.ts";

/** One entry of `proxies`. `udp` is the key of that name, undefined when absent. */
export interface ProxyInput {
  readonly name: string;
  readonly type: string;
  readonly udp?: boolean | undefined;
}

/** One entry of `proxy-groups`. `selected` is what a user chose; without it the first member holds. */
export interface GroupInput {
  readonly name: string;
  readonly type: string;
  readonly members: readonly string[];
  readonly selected?: string | undefined;
  readonly disableUdp?: boolean | undefined;
}

/** A mistake among proxies or groups; `index` counts in its list, `member` in the group's members. */
export interface TargetIssue {
  readonly list: "proxies" | "proxy-groups";
  readonly index: number;
  readonly member?: number;
  readonly message: string;
}

/** A name that a rule may send flows to. */
export interface Target {
  readonly name: string;
  /** From the proxy that carries the flow to this target itself. Shared by all verdicts: never changed. */
  readonly chain: readonly string[];
  readonly action: VerdictAction;
  /** PASS is somewhere in the chain: rules with this target are passed over. */
  readonly pass: boolean;
  readonly udp: boolean;
  /** What the rule that names the target wants done to packets. */
  readonly effects?: PacketEffects;
}

/** The types of groups. */
export const GROUP_TYPES: readonly string[] = ["select", "url-test", "fallback", "load-balance", "relay"];

const ALWAYS_UDP: ReadonlySet<string> = new Set([
  "direct",
  "dns",
  "hysteria",
  "hysteria2",
  "tuic",
  "reject",
  "reject-drop",
]);
const UDP_BY_KEY: ReadonlySet<string> = new Set(
  "socks5 ss ssr trojan vmess vless snell wireguard mieru anytls".split(" "),
);

/** The types of proxies that weir knows by name. Source: mihomo adapter/parser.go. */
export const PROXY_TYPES: readonly string[] = [...ALWAYS_UDP, ...UDP_BY_KEY, "http", "ssh"].filter((type) =>
  !type.startsWith("reject")
);

/** True when a proxy of this type, with this `udp` key, can carry datagrams. Source: mihomo adapter/outbound, field `udp` of each type. */
export function carriesUdp(type: string, udp: boolean | undefined): boolean {
  return ALWAYS_UDP.has(type) || (UDP_BY_KEY.has(type) && udp === true);
}

function builtin(name: string, action: VerdictAction, pass = false): Target {
  return { name, chain: Object.freeze([name]), action, pass, udp: true };
}

/** The targets that exist without being configured, but for GLOBAL. */
export const BUILTIN_TARGETS: readonly Target[] = [
  builtin("DIRECT", "direct"),
  builtin("REJECT", "reject"),
  builtin("REJECT-DROP", "drop"),
  builtin("COMPATIBLE", "direct"),
  builtin("PASS", "reject", true),
];

const PROXY_ACTION: Readonly<Record<string, VerdictAction>> = {
  "direct": "direct",
  "reject": "reject",
  "reject-drop": "drop",
};

/** Every target there is. Made by `buildTargets`; unchanging. */
export class Targets {
  readonly #byName: ReadonlyMap<string, Target>;

  constructor(byName: ReadonlyMap<string, Target>) {
    this.#byName = byName;
  }

  /** The target of that name, or undefined. */
  find(name: string): Target | undefined {
    return this.#byName.get(name);
  }

  /** Every name: builtins, proxies, groups. */
  names(): string[] {
    return [...this.#byName.keys()];
  }
}

interface Building {
  readonly groups: ReadonlyMap<string, { readonly group: GroupInput; readonly index: number }>;
  readonly done: Map<string, Target>;
  readonly issues: TargetIssue[];
}

/** A relay goes through its members in order: the last one carries the flow to its destination. */
function unwrapRelay(group: GroupInput, members: readonly Target[]): Target {
  const hops = members.filter((member) => member.chain[0] !== "DIRECT" && member.chain[0] !== "COMPATIBLE");
  const chain = [...members].reverse().flatMap((member) => [...member.chain]);
  return {
    name: group.name,
    chain: Object.freeze([...chain, group.name]),
    action: hops.at(-1)?.action ?? "direct",
    pass: false,
    udp: group.disableUdp !== true && hops.every((hop) => hop.udp),
  };
}

function unwrapGroup(group: GroupInput, members: readonly Target[]): Target {
  if (members.length === 0) members = [BUILTIN_TARGETS.find((target) => target.name === "COMPATIBLE")!];
  if (group.type === "relay") return unwrapRelay(group, members);
  const chosen = members.find((member) => member.name === group.selected) ?? members[0]!;
  return {
    name: group.name,
    chain: Object.freeze([...chosen.chain, group.name]),
    action: chosen.action,
    pass: chosen.pass,
    udp: group.disableUdp !== true && (group.type === "load-balance" || chosen.udp),
  };
}

/** Resolves a name, its members first. `path` is the way of groups that led here. Returns undefined for a name in a cycle or unknown. */
function resolve(name: string, path: readonly string[], building: Building): Target | undefined {
  const done = building.done.get(name);
  const entry = building.groups.get(name);
  if (done !== undefined || entry === undefined) return done;
  const { group, index } = entry;
  const members: Target[] = [];
  if (path.length > GROUP_DEPTH_MAX) {
    const message = `proxy group ${name}: groups in groups deeper than ${GROUP_DEPTH_MAX}`;
    building.issues.push({ list: "proxy-groups", index, message });
    return undefined;
  }
  group.members.forEach((memberName, member) => {
    const at = [...path, name].indexOf(memberName);
    if (at >= 0) {
      const circle = [...[...path, name].slice(at), memberName].join(" -> ");
      building.issues.push({
        list: "proxy-groups",
        index,
        member,
        message: `loop is detected in ProxyGroup: ${circle}`,
      });
      return;
    }
    const target = resolve(memberName, [...path, name], building);
    if (target !== undefined) members.push(target);
    else {
      const near = nearestName(memberName, [...building.done.keys(), ...building.groups.keys()]);
      const hint = near === undefined ? "" : `; did you mean ${near}?`;
      const message = `proxy group ${name}: '${memberName}' not found${hint}`;
      building.issues.push({ list: "proxy-groups", index, member, message });
    }
  });
  const target = unwrapGroup(group, members);
  if (target.chain.length > CHAIN_COUNT_MAX) {
    const message = `proxy group ${name}: ${target.chain.length} proxies in a row, ${CHAIN_COUNT_MAX} are allowed`;
    building.issues.push({ list: "proxy-groups", index, message });
    return undefined;
  }
  building.done.set(name, target);
  return target;
}

/** Builds all targets. Whatever is wrong comes back as issues, and the rest still works. */
export function buildTargets(
  proxies: readonly ProxyInput[],
  groups: readonly GroupInput[],
): { targets: Targets; issues: TargetIssue[] } {
  const issues: TargetIssue[] = [];
  const done = new Map<string, Target>(BUILTIN_TARGETS.map((target) => [target.name, target]));
  proxies.forEach(({ name, type, udp }, index) => {
    if (done.has(name)) issues.push({ list: "proxies", index, message: `proxy ${name} is the duplicate name` });
    else {
      const action = PROXY_ACTION[type] ?? "proxy";
      done.set(name, { name, chain: Object.freeze([name]), action, pass: false, udp: carriesUdp(type, udp) });
    }
  });
  const named = new Map<string, { group: GroupInput; index: number }>();
  groups.forEach((group, index) => {
    if (done.has(group.name) || named.has(group.name)) {
      issues.push({ list: "proxy-groups", index, message: `proxy group ${group.name}: the duplicate name` });
    } else named.set(group.name, { group, index });
  });
  const building: Building = { groups: named, done, issues };
  for (const name of named.keys()) resolve(name, [], building);
  if (!done.has("GLOBAL")) {
    const members = [...done.values()].filter((target) => !target.pass || named.has(target.name));
    const hidden = ["REJECT-DROP", "COMPATIBLE"];
    const shown = members.filter((target) => !hidden.includes(target.name));
    done.set("GLOBAL", unwrapGroup({ name: "GLOBAL", type: "select", members: [] }, shown));
  }
  return { targets: new Targets(done), issues };
}
