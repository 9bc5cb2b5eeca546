/** Holds a packet of the stack, in the script's numbers, against the one that the script expects. */
import type { IpSpec, PacketSpec, TcpOption, TcpSegment } from "./script.ts";
import { PSH } from "../../core/wire/tcp.ts";
import { formatFlags, formatOptions } from "./format.ts";

/** How strictly packets are held against each other. */
export interface MatchRules {
  /** Length of one tick of the stack's timestamps; 0: their values do not matter. Units: µs. */
  readonly tickUs: number;
  /** Units: µs. */
  readonly toleranceUs: number;
  /** PSH on data does not matter: where a system puts it in a long write depends on how it cuts super-segments. */
  readonly ignorePush: boolean;
}

function compareIp(expected: IpSpec, actual: IpSpec): string | undefined {
  const tos = expected.tos;
  const seen = actual.tos?.value ?? 0;
  if (tos !== undefined) {
    if (tos.isAnyEct && (seen & 3) !== 1 && (seen & 3) !== 2) return `ECN: expected ect0 or ect1, seen ${seen & 3}`;
    const mask = tos.isAnyEct ? tos.mask & ~3 : tos.mask;
    if ((seen & mask) !== (tos.value & mask)) {
      return `TOS: expected 0x${tos.value.toString(16)}, seen 0x${seen.toString(16)}`;
    }
  }
  if (expected.ttl !== undefined && expected.ttl !== actual.ttl) {
    return `TTL: expected ${expected.ttl}, seen ${actual.ttl}`;
  }
  if (expected.flowLabel !== undefined && expected.flowLabel !== actual.flowLabel) return "flow label";
  return undefined;
}

function sameOption(expected: TcpOption, actual: TcpOption, rules: MatchRules): boolean {
  if (expected.kind !== actual.kind) return false;
  if (expected.kind === "timestamps" && actual.kind === "timestamps") {
    if (expected.echo !== actual.echo) return false;
    if (expected.ignoreValue || rules.tickUs === 0) return true;
    return Math.abs((expected.value - actual.value) | 0) * rules.tickUs <= rules.toleranceUs;
  }
  return JSON.stringify(expected) === JSON.stringify(actual);
}

function compareOptions(expected: TcpSegment, actual: TcpSegment, rules: MatchRules): string | undefined {
  if (expected.options === undefined) return undefined;
  const seen = actual.options ?? [];
  const same = expected.options.length === seen.length &&
    expected.options.every((option, i) => sameOption(option, seen[i]!, rules));
  return same
    ? undefined
    : `options: expected${formatOptions(expected.options) || " none"}, seen${formatOptions(seen) || " none"}`;
}

function compareTcp(expected: TcpSegment, actual: TcpSegment, rules: MatchRules): string | undefined {
  const loose = rules.ignorePush && expected.length > 0 ? PSH : 0;
  if ((expected.flags | loose) !== (actual.flags | loose)) {
    return `flags: expected ${formatFlags(expected.flags)}, seen ${formatFlags(actual.flags)}`;
  }
  if (!expected.ignoreSequence && expected.sequence !== actual.sequence) {
    return `sequence number: expected ${expected.sequence}, seen ${actual.sequence}`;
  }
  if (expected.length !== actual.length) return `payload: expected ${expected.length} bytes, seen ${actual.length}`;
  if (expected.acknowledgment !== actual.acknowledgment) {
    return `acknowledgment: expected ${expected.acknowledgment}, seen ${actual.acknowledgment}`;
  }
  if (expected.window !== undefined && expected.window !== actual.window) {
    return `window: expected ${expected.window}, seen ${actual.window}`;
  }
  if (expected.urgent !== actual.urgent) return `urgent pointer: expected ${expected.urgent}, seen ${actual.urgent}`;
  return compareOptions(expected, actual, rules);
}

/** What differs, in a few words, or undefined when the packet is what the script expects. */
export function differenceOf(expected: PacketSpec, actual: PacketSpec, rules: MatchRules): string | undefined {
  if (expected.protocol !== actual.protocol) return `protocol: expected ${expected.protocol}, seen ${actual.protocol}`;
  const ip = compareIp(expected.ip, actual.ip);
  if (ip !== undefined) return ip;
  if (expected.protocol === "tcp" && actual.protocol === "tcp") return compareTcp(expected, actual, rules);
  if (expected.protocol === "udp" && actual.protocol === "udp") {
    return expected.length === actual.length
      ? undefined
      : `payload: expected ${expected.length} bytes, seen ${actual.length}`;
  }
  if (expected.protocol !== "icmp" || actual.protocol !== "icmp") return undefined;
  if (expected.type !== actual.type) return `type: expected ${expected.type}, seen ${actual.type}`;
  if (expected.code !== undefined && expected.code !== actual.code) {
    return `code: expected ${expected.code}, seen ${actual.code}`;
  }
  if (expected.mtu !== undefined && expected.mtu !== actual.mtu) {
    return `MTU: expected ${expected.mtu}, seen ${actual.mtu}`;
  }
  if (expected.id !== undefined && expected.id !== actual.id) return `id: expected ${expected.id}, seen ${actual.id}`;
  return undefined;
}

/** `actual` with the parts of the IP header that `expected` does not name left out, so that both print alike. */
export function trimToExpected(actual: PacketSpec, expected: PacketSpec): PacketSpec {
  const { tos, ttl, flowLabel } = expected.ip;
  const seen = actual.ip;
  const ip: IpSpec = {
    tos: tos === undefined || seen.tos === undefined
      ? undefined
      : { mask: tos.mask, value: seen.tos.value, isAnyEct: false },
    ttl: ttl === undefined ? undefined : seen.ttl,
    flowLabel: flowLabel === undefined ? undefined : seen.flowLabel,
  };
  if (actual.protocol !== "tcp" || expected.protocol !== "tcp") return { ...actual, ip };
  const window = expected.window === undefined ? undefined : actual.window;
  const options = expected.options === undefined ? undefined : actual.options;
  return { ...actual, ip, window, options, ignoreSequence: false, absoluteSequence: expected.absoluteSequence };
}
