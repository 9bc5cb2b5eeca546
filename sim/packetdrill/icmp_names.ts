/**
 * ICMP types and codes by the names that packetdrill gives them.
 *
 * Source: IANA ICMP and ICMPv6 parameters; names from google/packetdrill and its FreeBSD dialect.
 */

/** The codes of one type. */
export interface IcmpType {
  readonly type: number;
  readonly codes: Readonly<Record<string, number>>;
  /** An error about a packet, which it quotes; not a query. */
  readonly isError: boolean;
}

/** Types of ICMP. Source: RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1. */
export const ICMP_TYPES: Readonly<Record<string, IcmpType>> = {
  echo_reply: { type: 0, codes: {}, isError: false },
  unreachable: {
    type: 3,
    codes: {
      net_unreachable: 0,
      host_unreachable: 1,
      protocol_unreachable: 2,
      port_unreachable: 3,
      frag_needed: 4,
      source_route_failed: 5,
      net_unknown: 6,
      host_unknown: 7,
      source_host_isolated: 8,
      net_prohibited: 9,
      host_prohibited: 10,
      net_unreachable_for_tos: 11,
      host_unreachable_for_tos: 12,
      packet_filtered: 13,
      precedence_violation: 14,
      precedence_cutoff: 15,
    },
    isError: true,
  },
  source_quench: { type: 4, codes: {}, isError: true },
  redirect: { type: 5, codes: {}, isError: true },
  echo_request: { type: 8, codes: {}, isError: false },
  time_exceeded: { type: 11, codes: { ttl_exceeded_in_transit: 0, frag_reass_exceeded: 1 }, isError: true },
  parameter_problem: { type: 12, codes: {}, isError: true },
};

/** Types of ICMPv6. Source: RFC 4443 section 3 and 4. */
export const ICMP6_TYPES: Readonly<Record<string, IcmpType>> = {
  unreachable: {
    type: 1,
    codes: {
      no_route: 0,
      admin_prohibited: 1,
      not_neighbour: 2,
      address_unreachable: 3,
      port_unreachable: 4,
    },
    isError: true,
  },
  packet_too_big: { type: 2, codes: {}, isError: true },
  time_exceeded: { type: 3, codes: { exceeded_hop_limit: 0, exceeded_frag_time: 1 }, isError: true },
  parameter_problem: { type: 4, codes: { header_field: 0, unknown_next_header: 1, unknown_option: 2 }, isError: true },
  echo_request: { type: 128, codes: {}, isError: false },
  echo_reply: { type: 129, codes: {}, isError: false },
};

function nameFor(types: Readonly<Record<string, IcmpType>>, type: number): string | undefined {
  return Object.entries(types).find(([, each]) => each.type === type)?.[0];
}

/** The names of a type and code on the wire. */
export function icmpNames(version: 4 | 6, type: number, code: number): { type: string; code: string | undefined } {
  const types = version === 4 ? ICMP_TYPES : ICMP6_TYPES;
  const name = nameFor(types, type);
  if (name === undefined) return { type: `type_${type}`, code: code === 0 ? undefined : `code_${code}` };
  const codes = types[name]!.codes;
  const found = Object.entries(codes).find(([, value]) => value === code)?.[0];
  return { type: name, code: found ?? (code === 0 ? undefined : `code_${code}`) };
}

/** The numbers of a type and code that a script names. Errors: undefined when there is no such type or code. */
export function icmpNumbers(
  version: 4 | 6,
  type: string,
  code: string | undefined,
): { type: number; code: number; isError: boolean } | undefined {
  const found = (version === 4 ? ICMP_TYPES : ICMP6_TYPES)[type];
  if (found === undefined) return undefined;
  const number = code === undefined ? 0 : found.codes[code];
  return number === undefined ? undefined : { type: found.type, code: number, isError: found.isError };
}
