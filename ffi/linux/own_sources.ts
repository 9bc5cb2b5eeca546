/** Which of this machine's addresses its own sockets use. */
import { type IpAddress, type IpPrefix, parseIp } from "../../core/base/ip_address.ts";
import type { OwnSources } from "../../core/host/dial.ts";
import { Libc } from "./libc.ts";
import { Netlink } from "./netlink.ts";

/** Addresses that stand for "the Internet": those for documentation. Source: RFC 5737, RFC 3849. */
const ELSEWHERE = { 4: parseIp("192.0.2.1")!, 6: parseIp("2001:db8::1")! } as const;

/** The addresses that this machine has towards `routes`, one of each version that they have. Ask before the routes lead elsewhere. */
export function findOwnSources(routes: readonly IpPrefix[]): OwnSources {
  using libc = Libc.open();
  using netlink = new Netlink(libc);
  const find = (version: 4 | 6): IpAddress | undefined => {
    const route = routes.find(({ address }) => address.version === version);
    if (route === undefined) return undefined;
    return netlink.sourceTowards(route.bits === 0 ? ELSEWHERE[version] : route.address);
  };
  return { v4: find(4), v6: find(6) };
}
