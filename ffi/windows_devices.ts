/** The devices of Windows with the libraries that they need: found beside the executable, or unpacked from it. */
import { type DriverPlaces, locateDriver } from "../core/host/drivers.ts";
import type { DeviceSettings, LiveDevice } from "../core/host/live_device.ts";
import type { MachineFacts } from "../core/host/machine_facts.ts";
import { examineWindows } from "./iphlpapi/examine.ts";
import { openProcessSource } from "./iphlpapi/process_source.ts";
import { openWinDivert } from "./windivert/open.ts";
import { openWintun } from "./wintun/open.ts";

const WINTUN = "wintun.dll";
const WINDIVERT = "WinDivert.dll";
/** WinDivert looks for it in its own folder. */
const WINDIVERT_DRIVER = "WinDivert64.sys";

/** Where the drivers of an executable are; `embedded` is the folder inside it. */
export function driverPlaces(embedded: URL): DriverPlaces {
  return {
    programFolder: Deno.execPath().replace(/[\\/][^\\/]*$/, ""),
    embedded,
    unpackFolder: `${Deno.env.get("LOCALAPPDATA") ?? programData()}\\weir`,
  };
}

function programData(): string {
  return Deno.env.get("ProgramData") ?? "C:\\ProgramData";
}

/** A library's path. Errors: an Error that says where it is to be had. */
async function pathOf(name: string, places: DriverPlaces): Promise<string> {
  const { path } = await locateDriver(name, places);
  if (path !== undefined) return path;
  const site = name === WINTUN ? "https://www.wintun.net" : "https://reqrypt.org/windivert.html";
  const place = `${places.programFolder}\\weir.exe`;
  throw new Error(
    `Cannot open ${name}: it is neither beside ${place} nor inside it; put the ${name} for 64 bits from ${site} there`,
  );
}

/** Gives the tables of processes back when the device is closed, or was not opened. */
function withProcesses(
  settings: DeviceSettings,
  open: (processes: ReturnType<typeof openProcessSource>) => LiveDevice,
): LiveDevice {
  const processes = openProcessSource(settings.iphlpapi);
  try {
    const device = open(processes);
    const close = () => {
      device.close();
      processes[Symbol.dispose]();
    };
    return { processes: processes.source, ...device, close };
  } catch (error) {
    processes[Symbol.dispose]();
    throw error;
  }
}

/** WinDivert, with owners of flows by its events first and by Windows' own tables second. */
export async function openWinDivertHere(settings: DeviceSettings, places: DriverPlaces): Promise<LiveDevice> {
  const path = await pathOf(WINDIVERT, places);
  return withProcesses(settings, ({ source }) => openWinDivert(path, settings, { processes: source }));
}

/** A Wintun adapter, with owners of flows by Windows' own tables. What it changes in the network is written down first. */
export async function openWintunHere(settings: DeviceSettings, places: DriverPlaces): Promise<LiveDevice> {
  const path = await pathOf(WINTUN, places);
  const stateFolder = `${programData()}\\weir`;
  await Deno.mkdir(stateFolder, { recursive: true });
  return withProcesses(settings, () =>
    openWintun(path, settings, {
      journalPath: `${stateFolder}\\${settings.name}.journal`,
      ...(settings.iphlpapi === undefined ? {} : { iphlpapiPath: settings.iphlpapi }),
      onWarning: (text) => console.error(`weir: ${text}`),
    }));
}

/** What this machine has for running live. */
export async function examineHere(places: DriverPlaces): Promise<MachineFacts> {
  const names = [WINTUN, WINDIVERT, WINDIVERT_DRIVER];
  return examineWindows(await Promise.all(names.map((name) => locateDriver(name, places))));
}
