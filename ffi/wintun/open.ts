/**
 * A Wintun adapter with addresses, routes and name servers, and all of it undone at the end.
 *
 * Read first: wintun.ts, ../iphlpapi/interface_setup.ts, core/host/journal.ts.
 *
 * Own sockets stay outside by their source address: Windows sends by the strong host model, so that a socket which is bound to an address of the
 * physical interface leaves through it, whatever the routes say.
 */
import { tunnelRoutes } from "../../core/base/ip_prefix.ts";
import { TUNNEL_ROUTES_MAX, WINTUN_RING_BYTES } from "../../core/base/limits.ts";
import { Journal, undoJournal } from "../../core/host/journal.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { RouteWatch, sourcesPast } from "../iphlpapi/best_route.ts";
import { flushDnsCache } from "../iphlpapi/dns_cache.ts";
import { raiseDnsGuard } from "../iphlpapi/dns_guard.ts";
import { InterfaceSetup, undoInterfaceStep } from "../iphlpapi/interface_setup.ts";
import { Iphlpapi, IPHLPAPI_PATH, type IphlpapiCalls } from "../iphlpapi/iphlpapi.ts";
import type { Luid } from "../iphlpapi/rows.ts";
import { adapterGuid } from "../win32/guid.ts";
import { claimName, Kernel32, type Kernel32Calls } from "../win32/kernel32.ts";
import { wideString } from "../win32/memory.ts";
import { WinCode, WinError } from "../win32/win_error.ts";
import { checkAdapterName, CREATE_REMEDIES, Wintun, type WintunCalls, type WintunLog } from "./wintun.ts";
import { WintunAdapter } from "./wintun_adapter.ts";

/** What opening needs beside the settings. */
export interface WintunOptions {
  /** Where changes of the system are written down; one file for each name of a device. */
  readonly journalPath: string;
  /** The IP helper; another one in the Wine lab. */
  readonly iphlpapiPath?: string;
  /** Hears of what could not be undone. */
  readonly onWarning?: (text: string) => void;
  /** Hears what the library says: for finding faults. */
  readonly log?: WintunLog;
  /** Bytes of each of the two rings. Units: bytes, a power of two. */
  readonly ringBytes?: number;
}

/** The libraries, and what else opening does to the machine; tests have their own. */
export interface WintunParts {
  readonly wintun: WintunCalls;
  readonly kernel32: Kernel32Calls;
  readonly iphlpapi: IphlpapiCalls;
  readonly raiseGuard: (luid: Luid) => { close(): void };
  readonly flushDnsCache: () => void;
  readonly sleep?: (ms: number) => void;
  /** Called once nothing of the device calls any library any more. */
  readonly onReleased: () => void;
}

/** An open device with its adapter's own type. */
export interface OpenWintun extends LiveDevice {
  readonly adapter: WintunAdapter;
}

const IPV6_MTU_MIN = 1280;
const TUNNEL_TYPE = "weir";

/** Makes the device ready. Errors: an Error that says what is missing; nothing is left behind then. */
export function openWintun(dllPath: string, settings: DeviceSettings, options: WintunOptions): OpenWintun {
  checkAdapterName(settings.name);
  using libraries = new DisposableStack();
  const wintun = libraries.use(Wintun.open(dllPath));
  const kernel32 = libraries.use(Kernel32.open());
  const iphlpapi = libraries.use(Iphlpapi.open(options.iphlpapiPath ?? IPHLPAPI_PATH));
  if (options.log !== undefined) wintun.setLogger(options.log);
  const owned = libraries.move();
  try {
    return openWintunBy(
      {
        wintun: wintun.calls,
        kernel32: kernel32.calls,
        iphlpapi: iphlpapi.calls,
        raiseGuard: (luid) => raiseDnsGuard(luid, Deno.execPath()),
        flushDnsCache,
        onReleased: () => owned.dispose(),
      },
      settings,
      options,
    );
  } catch (error) {
    owned.dispose();
    throw error;
  }
}

/** The same by libraries at hand. */
export function openWintunBy(parts: WintunParts, settings: DeviceSettings, options: WintunOptions): OpenWintun {
  const { wintun, kernel32, iphlpapi } = parts;
  checkSettings(settings);
  const routes = tunnelRoutes(settings.routes, settings.excludes ?? []);
  if (routes.length > TUNNEL_ROUTES_MAX) {
    throw new RangeError(
      `Cannot route into ${settings.name}: the excludes cut it into ${routes.length} routes, ${TUNNEL_ROUTES_MAX} are allowed`,
    );
  }
  // The adapter may have somebody waiting when everything else is undone; the libraries stay until both have ended.
  let users = 2;
  const onUnused = () => {
    if (--users === 0) parts.onReleased();
  };
  const undo = (step: Parameters<typeof undoInterfaceStep>[1]) => undoInterfaceStep(iphlpapi, step);
  const warn = options.onWarning ?? (() => {});
  // Undone from the last to the first, at the end as well as when a step fails.
  using steps = new DisposableStack();
  steps.defer(onUnused);
  steps.use(claimName(kernel32, `weir-device-${settings.name}`, `open the device ${settings.name}`));
  const { failures, left } = undoJournal(options.journalPath, undo);
  for (const failure of failures) warn(`a crash has left something: ${failure}`);
  const guid = adapterGuid(settings.name);
  const adapterHandle = createAdapter(wintun, kernel32, settings.name, guid);
  steps.defer(() => wintun.WintunCloseAdapter(adapterHandle));
  const luidBytes = new BigUint64Array(1);
  wintun.WintunGetAdapterLUID(adapterHandle, luidBytes);
  const luid = luidBytes[0]!;
  const adapter = startSession(
    { ...parts, onReleased: onUnused },
    adapterHandle,
    settings,
    options.ringBytes ?? WINTUN_RING_BYTES,
  );
  steps.use(adapter);
  const journal = new Journal(options.journalPath, undo, left);
  steps.defer(() => undoAll(journal, warn));
  setUp(new InterfaceSetup(iphlpapi, journal, { name: settings.name, luid, guid }, parts.sleep), settings, routes);
  if (settings.isDnsStrict === true) {
    const guard = parts.raiseGuard(luid);
    steps.defer(() => guard.close());
  }
  parts.flushDnsCache();
  const undoing = steps.move();
  return {
    adapter,
    watchSources: (first, onChange) => new RouteWatch(first, () => sourcesPast(iphlpapi, luid), onChange),
    close: () => {
      if (undoing.disposed) return;
      undoing.dispose();
      parts.flushDnsCache();
    },
  };
}

function undoAll(journal: Journal, warn: (text: string) => void): void {
  try {
    for (const failure of journal.undoAll()) warn(failure);
  } catch (error) {
    warn(`Cannot remove the journal ${journal.path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checkSettings(settings: DeviceSettings): void {
  checkAdapterName(settings.name);
  if (settings.namespace !== undefined) {
    throw new RangeError(`Cannot open ${settings.name} in a network namespace: Windows has none; leave --netns out`);
  }
  const hasV6 = [...settings.addresses, ...settings.routes].some(({ address }) => address.version === 6);
  if (hasV6 && settings.mtu < IPV6_MTU_MIN) {
    throw new RangeError(
      `Cannot carry IPv6 with an MTU of ${settings.mtu}: it needs ${IPV6_MTU_MIN} at least; leave IPv6 addresses and routes out, or raise the MTU`,
    );
  }
}

function createAdapter(
  wintun: WintunCalls,
  kernel32: Kernel32Calls,
  name: string,
  guid: Uint8Array<ArrayBuffer>,
): bigint {
  const wideName = wideString(name);
  // Creating would give the other one another name, and take this one.
  const existing = wintun.WintunOpenAdapter(wideName);
  if (existing !== 0n) {
    wintun.WintunCloseAdapter(existing);
    throw WinError.from(`make the adapter ${name}`, WinCode.AlreadyExists, CREATE_REMEDIES);
  }
  const made = wintun.WintunCreateAdapter(wideName, wideString(TUNNEL_TYPE), guid);
  if (made === 0n) throw WinError.from(`make the adapter ${name}`, kernel32.GetLastError(), CREATE_REMEDIES);
  return made;
}

function startSession(
  { wintun, kernel32, onReleased }: WintunParts,
  adapterHandle: bigint,
  { name, mtu }: DeviceSettings,
  ringBytes: number,
): WintunAdapter {
  const session = wintun.WintunStartSession(adapterHandle, ringBytes);
  if (session === 0n) {
    throw WinError.from(`start a session on ${name}`, kernel32.GetLastError(), {
      183: "it has a session already; is another weir running?",
    });
  }
  try {
    return new WintunAdapter({ wintun, kernel32, session, name, mtu, onReleased });
  } catch (error) {
    wintun.WintunEndSession(session);
    throw error;
  }
}

function setUp(setup: InterfaceSetup, settings: DeviceSettings, routes: DeviceSettings["routes"]): void {
  for (const version of [4, 6] as const) {
    const isOf = ({ address }: { readonly address: { readonly version: 4 | 6 } }) => address.version === version;
    const addresses = settings.addresses.filter(isOf);
    const ownRoutes = routes.filter(isOf);
    if (addresses.length === 0 && ownRoutes.length === 0) continue;
    setup.setInterface(version, settings.mtu);
    for (const address of addresses) setup.addAddress(address);
    setup.setNameServers(version, (settings.nameServers ?? []).filter((ip) => ip.version === version));
    setup.addRoutes(ownRoutes);
  }
}
