/** What this Windows machine has for `weir doctor`. Read first: core/host/machine_facts.ts. */
import type { DriverFile, DriverService, WindowsFacts } from "../../core/host/machine_facts.ts";
import { Advapi32, type Advapi32Calls, isElevated, queryService } from "../win32/advapi32.ts";
import { isProgramLetIn } from "../win32/firewall.ts";
import { Kernel32, type Kernel32Calls } from "../win32/kernel32.ts";
import { readWide, usize } from "../win32/memory.ts";
import { Iphlpapi, type IphlpapiCalls } from "./iphlpapi.ts";
import { luidBytes } from "./rows.ts";
import { type CopyRows, copyRows, listAddresses } from "./system_tables.ts";

/** The drivers that weir uses, by the names of their services. Source: wintun.inf of Wintun 0.14, windivert.c of WinDivert 2.2. */
const SERVICES = ["wintun", "WinDivert"];

/** Longest name of an interface, its NUL included. Units: UTF-16 units. Source: ipifcons.h (NDIS_IF_MAX_STRING_SIZE). */
const ALIAS_UNITS_MAX = 257;

/** The names of the interfaces that have an address. Shape: empty when Windows does not tell. */
export function interfaceNames(calls: IphlpapiCalls, copy: CopyRows = copyRows): string[] {
  const toAlias = calls.ConvertInterfaceLuidToAlias;
  if (toAlias === null || calls.GetUnicastIpAddressTable === null) return [];
  const luids = new Set(listAddresses(calls, copy).map(({ luid }) => luid));
  return [...luids].flatMap((luid) => {
    const alias = new Uint16Array(ALIAS_UNITS_MAX);
    return toAlias(luidBytes(luid), alias, usize(ALIAS_UNITS_MAX)) === 0 ? [readWide(alias)] : [];
  });
}

/** The states of the drivers' services. Shape: those that may not be asked for are left out. */
export function driverServices(kernel32: Kernel32Calls, advapi32: Advapi32Calls): DriverService[] {
  return SERVICES.flatMap((name) => {
    try {
      return [{ name, state: queryService(kernel32, advapi32, name) }];
    } catch {
      return [];
    }
  });
}

/** Opens a library as Windows does when weir runs. Shape: the system's own words when it cannot. */
function tryLibrary(path: string): string | undefined {
  try {
    Deno.dlopen(path, {}).close();
    return undefined;
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").trim();
  }
}

/**
 * Examines this machine. `drivers` are the libraries as they were found; each is tried. Looks only; changes nothing.
 * Errors: an Error when this is no Windows.
 */
export function examineWindows(drivers: readonly DriverFile[]): WindowsFacts {
  using kernel32 = Kernel32.open();
  using advapi32 = Advapi32.open();
  using iphlpapi = Iphlpapi.open();
  return {
    kind: "windows",
    isAdministrator: isElevated(kernel32.calls, advapi32.calls),
    drivers: drivers.map((driver) =>
      driver.path === undefined || !/\.dll$/i.test(driver.path)
        ? driver
        : { ...driver, failure: driver.failure ?? tryLibrary(driver.path) }
    ),
    services: driverServices(kernel32.calls, advapi32.calls),
    isListenerAllowed: isProgramLetIn(Deno.execPath()),
    interfaces: interfaceNames(iphlpapi.calls),
    program: Deno.execPath(),
  };
}
