/** A TUN device with address, routes and rules, and all of it undone at the end. */
import { TUN_QUEUE_PACKETS } from "../../core/base/limits.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { cString, Libc } from "./libc.ts";
import { insideNamespace, namespacePath } from "./namespace.ts";
import { Netlink, type Route, type RoutingRule } from "./netlink.ts";
import { TunAdapter } from "./tun_adapter.ts";
import { LinuxProcessSource } from "./process_source.ts";
import { openTunDevice, type TunDevice } from "./tun_device.ts";

/** The table that holds the device's routes, apart from everybody else's. */
const ROUTE_TABLE = 7170;
const MAIN_TABLE = 254;
/** Rules are tried in this order; the main table's own rule has 32,766. */
const OWN_RULE_PRIORITY = 7170;
const DEVICE_RULE_PRIORITY = 7171;

/** An open device; `close` undoes everything. */
export interface OpenTun extends LiveDevice {
  readonly adapter: TunAdapter;
}

/** Makes the device ready. Errors: an Error that says what is missing; nothing is left behind then. */
export function openTun(settings: DeviceSettings): OpenTun {
  const libc = Libc.open();
  const path = settings.namespace === undefined ? undefined : namespacePath(settings.namespace);
  try {
    return insideNamespace(libc, path, () => openHere(libc, settings, path));
  } catch (error) {
    libc[Symbol.dispose]();
    throw error;
  }
}

function openHere(libc: Libc, settings: DeviceSettings, path: string | undefined): OpenTun {
  const device = openTunDevice(libc, settings.name, settings.offload);
  let netlink: Netlink | undefined;
  const undo: (() => void)[] = [];
  try {
    netlink = new Netlink(libc);
    configure(libc, netlink, device, settings, undo);
    const adapter = new TunAdapter(libc, device, settings.mtu);
    const owned = netlink;
    const processes = new LinuxProcessSource();
    return {
      adapter,
      processes,
      inside: (work) => insideNamespace(libc, path, work),
      close: () => {
        unwind(undo);
        adapter.close();
        owned.close();
        processes.close();
      },
    };
  } catch (error) {
    unwind(undo);
    netlink?.close();
    device.descriptor.close();
    throw error;
  }
}

function unwind(undo: (() => void)[]): void {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) step();
}

function configure(
  libc: Libc,
  netlink: Netlink,
  device: TunDevice,
  settings: DeviceSettings,
  undo: (() => void)[],
): void {
  const index = libc.calls.if_nametoindex(cString(device.name));
  for (const address of settings.addresses) netlink.addAddress(index, address);
  netlink.bringUp(index, settings.mtu, TUN_QUEUE_PACKETS);
  for (const destination of settings.routes) {
    const route: Route = { destination, deviceIndex: index, table: ROUTE_TABLE };
    netlink.addRoute(route);
    undo.push(() => netlink.deleteRoute(route));
  }
  const addRule = (rule: RoutingRule) => {
    netlink.addRule(rule);
    undo.push(() => netlink.deleteRule(rule));
  };
  for (const source of settings.sources) {
    const version = source.version;
    const prefix = { address: source, bits: version === 4 ? 32 : 128 };
    addRule({ version, source: prefix, table: MAIN_TABLE, priority: OWN_RULE_PRIORITY });
  }
  for (const version of [4, 6] as const) {
    if (!settings.routes.some(({ address }) => address.version === version)) continue;
    addRule({ version, source: undefined, table: ROUTE_TABLE, priority: DEVICE_RULE_PRIORITY });
  }
}
