/**
 * Whether the Windows firewall lets connections in to a program: its rules and profiles as the registry has them.
 *
 * Read first: winreg.h; [MS-GPFAS] section 2.2.2.19 (the text of a rule: `v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|App=C:\weir.exe|…`).
 */
import { FIREWALL_RULES_MAX } from "../../core/base/limits.ts";
import { readWide, wideString } from "./memory.ts";

/** Every symbol with its C prototype. They answer with an error code themselves. */
export const REGISTRY_SYMBOLS = {
  /** `LSTATUS RegOpenKeyExW(HKEY hKey, LPCWSTR lpSubKey, DWORD ulOptions, REGSAM samDesired, PHKEY phkResult);` */
  RegOpenKeyExW: { parameters: ["usize", "buffer", "u32", "u32", "buffer"], result: "i32" },
  /** `LSTATUS RegEnumValueW(HKEY, DWORD dwIndex, LPWSTR lpValueName, LPDWORD lpcchValueName, LPDWORD reserved, LPDWORD lpType, LPBYTE lpData, LPDWORD lpcbData);` */
  RegEnumValueW: {
    parameters: ["usize", "u32", "buffer", "buffer", "pointer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  /** `LSTATUS RegQueryValueExW(HKEY hKey, LPCWSTR lpValueName, LPDWORD lpReserved, LPDWORD lpType, LPBYTE lpData, LPDWORD lpcbData);` */
  RegQueryValueExW: { parameters: ["usize", "buffer", "pointer", "buffer", "buffer", "buffer"], result: "i32" },
  /** `LSTATUS RegCloseKey(HKEY hKey);` */
  RegCloseKey: { parameters: ["usize"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type RegistryCalls = Deno.DynamicLibrary<typeof REGISTRY_SYMBOLS>["symbols"];

/** `HKEY_LOCAL_MACHINE`, a LONG that is widened with its sign. Source: winreg.h. */
const LOCAL_MACHINE = 0xffff_ffff_8000_0002n;
const KEY_READ = 0x20019;
const REG_SZ = 1;
const REG_DWORD = 4;
const ERROR_NO_MORE_ITEMS = 259;
const ERROR_MORE_DATA = 234;
/** Source: winreg.h (a value's name has at most 16,383 characters); rules are far shorter than their 16 KiB. */
const NAME_UNITS = 16_384;
const DATA_BYTES = 16_384;
const POLICY = "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy";
const PROFILES = ["DomainProfile", "StandardProfile", "PublicProfile"];

/** What the firewall's settings say. */
export interface FirewallSettings {
  /** The texts of all rules. */
  readonly rules: readonly string[];
  /** For each profile whether the firewall is on; a profile that says nothing is on. */
  readonly isOn: readonly boolean[];
}

function withKey<T>(calls: RegistryCalls, path: string, work: (key: bigint) => T): T | undefined {
  const opened = new BigUint64Array(1);
  if (calls.RegOpenKeyExW(LOCAL_MACHINE, wideString(path), 0, KEY_READ, opened) !== 0) return undefined;
  try {
    return work(opened[0]!);
  } finally {
    calls.RegCloseKey(opened[0]!);
  }
}

function readRules(calls: RegistryCalls, key: bigint): string[] {
  const rules: string[] = [];
  const name = new Uint16Array(NAME_UNITS);
  const data = new Uint16Array(DATA_BYTES / 2);
  const [nameUnits, type, dataBytes] = [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)];
  for (let index = 0; index < FIREWALL_RULES_MAX; index++) {
    nameUnits[0] = NAME_UNITS;
    dataBytes[0] = DATA_BYTES - 2;
    const code = calls.RegEnumValueW(key, index, name, nameUnits, null, type, data, dataBytes);
    if (code === ERROR_NO_MORE_ITEMS) break;
    if (code === ERROR_MORE_DATA) continue;
    if (code !== 0) break;
    data[dataBytes[0]! >>> 1] = 0;
    if (type[0] === REG_SZ) rules.push(readWide(data));
  }
  return rules;
}

function isProfileOn(calls: RegistryCalls, profile: string): boolean {
  return withKey(calls, `${POLICY}\\${profile}`, (key) => {
    const [type, value, bytes] = [new Uint32Array(1), new Uint32Array(1), Uint32Array.of(4)];
    const code = calls.RegQueryValueExW(key, wideString("EnableFirewall"), null, type, value, bytes);
    return code !== 0 || type[0] !== REG_DWORD || value[0] !== 0;
  }) ?? true;
}

/** Reads the settings; undefined where there is no firewall to be read about. */
export function readFirewall(calls: RegistryCalls): FirewallSettings | undefined {
  const rules = withKey(calls, `${POLICY}\\FirewallRules`, (key) => readRules(calls, key));
  return rules && { rules, isOn: PROFILES.map((profile) => isProfileOn(calls, profile)) };
}

/** True when connections to a program are let in: no profile is on, or a rule allows them and none blocks them. */
export function isLetIn({ rules, isOn }: FirewallSettings, program: string): boolean {
  if (!isOn.includes(true)) return true;
  const ours = rules.map(fieldsOf).filter((fields) =>
    fields.get("active") === "TRUE" && fields.get("dir") === "In" &&
    fields.get("app")?.toLowerCase() === program.toLowerCase()
  );
  return ours.some((fields) => fields.get("action") === "Allow") &&
    !ours.some((fields) => fields.get("action") === "Block");
}

function fieldsOf(rule: string): ReadonlyMap<string, string> {
  return new Map(
    rule.split("|").map((field) => {
      const at = field.indexOf("=");
      return [field.slice(0, at).toLowerCase(), field.slice(at + 1)] as const;
    }),
  );
}

/** Asks this machine; undefined when it does not tell. */
export function isProgramLetIn(program: string): boolean | undefined {
  const library = Deno.dlopen("advapi32.dll", REGISTRY_SYMBOLS);
  try {
    const settings = readFirewall(library.symbols);
    return settings && isLetIn(settings, program);
  } finally {
    library.close();
  }
}
