/** Where packets leave this machine: the interface and the source address towards a destination. Read first: GetBestRoute2 (netioapi.h). */
import { type IpAddress, type IpPrefix, parseIp, prefixContains, sameIp } from "../../core/base/ip_address.ts";
import { INTERFACE_POLL_MS } from "../../core/base/limits.ts";
import type { OwnSources } from "../../core/host/dial.ts";
import { WinCode } from "../win32/win_error.ts";
import { Iphlpapi, IPHLPAPI_PATH, type IphlpapiCalls, need } from "./iphlpapi.ts";
import * as layout from "./layout.ts";
import { type Luid, readSockaddr, sockaddr } from "./rows.ts";
import { type CopyRows, copyRows, listAddresses, listRoutes } from "./system_tables.ts";

/** Addresses that stand for "the Internet": those for documentation. Source: RFC 5737, RFC 3849. */
const ELSEWHERE = { 4: parseIp("192.0.2.1")!, 6: parseIp("2001:db8::1")! } as const;

/** A way out. */
export interface BestRoute {
  readonly luid: Luid;
  readonly index: number;
  readonly source: IpAddress;
}

/** The way to a destination as Windows takes it; undefined when there is none. */
export function bestRoute(
  calls: IphlpapiCalls,
  destination: IpAddress,
  copy: CopyRows = copyRows,
): BestRoute | undefined {
  const route = new Uint8Array(layout.Size.MIB_IPFORWARD_ROW2);
  const from = new Uint8Array(layout.Size.SOCKADDR_INET);
  const code = need(calls, "GetBestRoute2")(null, 0, null, sockaddr(destination), 0, route, from);
  // Wine 10 has the call, but it does nothing there.
  if (code === WinCode.NotSupported) return routePast(calls, destination, undefined, copy);
  const source = code === WinCode.Success ? readSockaddr(new DataView(from.buffer), 0) : undefined;
  if (source === undefined) return undefined;
  const view = new DataView(route.buffer);
  return {
    luid: view.getBigUint64(layout.ROUTE_LUID_OFFSET, true),
    index: view.getUint32(layout.ROUTE_INDEX_OFFSET, true),
    source,
  };
}

/** The way to a destination if the interface `except` had no routes: the longest prefix, then the lowest metric. Errors: `WinError`. */
export function routePast(
  calls: IphlpapiCalls,
  destination: IpAddress,
  except: Luid | undefined,
  copy: CopyRows = copyRows,
): BestRoute | undefined {
  const addresses = listAddresses(calls, copy).filter(({ ip }) =>
    ip.version === destination.version && !isLinkLocal(ip)
  );
  for (const { destination: prefix, nextHop, luid, index } of listRoutes(calls, except, copy)) {
    if (!prefixContains(prefix, destination)) continue;
    const own = addresses.filter((each) => each.luid === luid);
    const nearest = own.find(({ onLink }) => nextHop !== undefined && prefixContains(onLink, nextHop)) ?? own[0];
    // A route whose interface has no address of that version carries nothing of ours.
    if (nearest !== undefined) return { luid, index, source: nearest.ip };
  }
  return undefined;
}

/** The address that stands for a version's routes, undefined where there is none of that version. */
function probeOf(routes: readonly IpPrefix[], version: 4 | 6): IpAddress | undefined {
  const route = routes.find(({ address }) => address.version === version);
  if (route === undefined) return undefined;
  return route.bits <= 1 ? ELSEWHERE[version] : route.address;
}

/**
 * The addresses that this machine has towards `routes`, one of each version that they have. Ask before the routes lead elsewhere. A socket that is
 * bound to such an address leaves through its interface, as Windows sends by the strong host model. Source: RFC 1122 section 3.3.4.2.
 */
export function findOwnSources(routes: readonly IpPrefix[], path: string = IPHLPAPI_PATH): OwnSources {
  using library = Iphlpapi.open(path);
  return ownSourcesBy(library.calls, routes);
}

/** The same by calls at hand. */
export function ownSourcesBy(
  calls: IphlpapiCalls,
  routes: readonly IpPrefix[],
  copy: CopyRows = copyRows,
): OwnSources {
  const find = (version: 4 | 6): IpAddress | undefined => {
    const probe = probeOf(routes, version);
    const source = probe === undefined ? undefined : bestRoute(calls, probe, copy)?.source;
    // A link-local source leads nowhere else.
    return source === undefined || source.version !== version || isLinkLocal(source) ? undefined : source;
  };
  return { v4: find(4), v6: find(6) };
}

/** The addresses that this machine has towards the Internet past the interface `except`, whose routes are ours. Errors: `WinError`. */
export function sourcesPast(calls: IphlpapiCalls, except: Luid, copy: CopyRows = copyRows): OwnSources {
  const find = (version: 4 | 6) => routePast(calls, ELSEWHERE[version], except, copy)?.source;
  return { v4: find(4), v6: find(6) };
}

function isLinkLocal({ version, w0, w3 }: IpAddress): boolean {
  return version === 4 ? w3 >>> 16 === 0xa9fe : w0 >>> 22 === 0x3fa;
}

/**
 * Hears when this machine's own way out changes: a cable, another wireless network. Windows' own notices come on threads of its own, so that the
 * routes are looked at every few seconds instead. `ask` answers with what there is now, as `sourcesPast` does.
 */
export class RouteWatch {
  readonly #ask: () => OwnSources;
  readonly #onChange: (sources: OwnSources) => void;
  #last: OwnSources;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(first: OwnSources, ask: () => OwnSources, onChange: (sources: OwnSources) => void) {
    this.#last = first;
    this.#ask = ask;
    this.#onChange = onChange;
    this.#timer = setInterval(() => this.look(), INTERFACE_POLL_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Looks now. While Windows does not answer, nothing has changed. */
  look(): void {
    let now: OwnSources;
    try {
      now = this.#ask();
    } catch {
      return;
    }
    if (isSame(now.v4, this.#last.v4) && isSame(now.v6, this.#last.v6)) return;
    this.#last = now;
    this.#onChange(now);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function isSame(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameIp(a, b);
}
