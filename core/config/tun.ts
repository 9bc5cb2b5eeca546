/** The section `tun`: the virtual network device. Source: mihomo config RawTun. */
import { parseIp } from "../base/ip_address.ts";
import {
  fallbacks,
  field,
  flag,
  integer,
  list,
  oneOf,
  optional,
  parsed,
  record,
  type RecordOf,
  text,
} from "./schema.ts";
import { type AddressPort, ipPrefixOrAddress, parseAddressPort, prefixOfVersion } from "./texts.ts";

/** One target of DNS hijacking: queries to it are answered by weir. */
export interface DnsHijackTarget extends AddressPort {
  /** Both when the configuration names none: mihomo hijacks either way. */
  readonly network: "any" | "tcp" | "udp";
}

const ANY = parseIp("0.0.0.0")!;

/** `any:53`, `tcp://any:53`, `1.1.1.1:53`, `[::1]:53`. */
const dnsHijackTarget = parsed((value): DnsHijackTarget | undefined => {
  const match = /^(?:(tcp|udp):\/\/)?(.*)$/i.exec(value)!;
  const network = (match[1]?.toLowerCase() ?? "any") as DnsHijackTarget["network"];
  const rest = match[2]!;
  const target = parseAddressPort(rest.replace(/^any:/i, "0.0.0.0:"));
  return target === undefined ? undefined : { network, ...target };
}, 'an address and a port like "any:53", "tcp://any:53" or "1.1.1.1:53"');

const tunShape = {
  enable: field(flag, false),
  stack: field(oneOf(["netstack", "system", "mixed", "lwip"], { gvisor: "netstack" }), "netstack"),
  device: optional(text()),
  mtu: field(integer(576, 65_535, "bytes"), 9000),
  "dns-hijack": field(list(dnsHijackTarget), [{ network: "any", ip: ANY, port: 53 }]),
  "auto-route": field(flag, false),
  "auto-detect-interface": field(flag, false),
  "strict-route": field(flag, false),
  "inet4-address": optional(list(prefixOfVersion(4))),
  "inet6-address": optional(list(prefixOfVersion(6))),
  "route-address": field(list(ipPrefixOrAddress), []),
  "route-exclude-address": field(list(ipPrefixOrAddress), []),
  "route-address-set": field(list(text()), []),
  "route-exclude-address-set": field(list(text()), []),
  "include-interface": field(list(text()), []),
  "exclude-interface": field(list(text()), []),
  "endpoint-independent-nat": field(flag, false),
  "udp-timeout": field(integer(1, 86_400, "seconds"), 300),
  gso: field(flag, false),
  "gso-max-size": field(integer(0, 65_536, "bytes"), 65_536),
};

/** The TUN device as configured. Units: `mtu` bytes, `udpTimeout` seconds. */
export type TunConfig = RecordOf<typeof tunShape>;

/** Reads the section `tun`. */
export const tunSection = record(tunShape, {
  known: (
    "auto-redirect auto-redirect-input-mark auto-redirect-output-mark file-descriptor iproute2-table-index " +
    "iproute2-rule-index loopback-address recvmsgx sendmsgx disable-icmp-forwarding inet4-route-address inet6-route-address " +
    "inet4-route-exclude-address inet6-route-exclude-address auto-redirect-iproute2-fallback-rule-index"
  ).split(" "),
  unsupported: {
    "include-uid": "traffic of every user goes into the device",
    "include-uid-range": "traffic of every user goes into the device",
    "exclude-uid": "traffic of every user goes into the device",
    "exclude-uid-range": "traffic of every user goes into the device",
    "include-android-user": "traffic of every user goes into the device",
    "include-package": "traffic of every program goes into the device",
    "exclude-package": "traffic of every program goes into the device",
    "include-mac-address": "traffic of every machine goes into the device",
    "exclude-mac-address": "traffic of every machine goes into the device",
  },
});

/** The TUN device when the configuration says nothing of it. */
export function defaultTun(): TunConfig {
  return fallbacks(tunShape);
}
