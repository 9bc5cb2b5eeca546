/**
 * Services and users: the calls into advapi32.dll, and what they say about a process.
 *
 * Read first: winsvc.h, processthreadsapi.h, securitybaseapi.h, winbase.h.
 */
import { SERVICE_LIST_BYTES_MAX } from "../../core/base/limits.ts";
import type { DriverService } from "../../core/host/machine_facts.ts";
import { CURRENT_PROCESS, Handle, type Kernel32Calls } from "./kernel32.ts";
import * as layout from "./layout.ts";
import { addressOf, readWideAt, usize, wideString } from "./memory.ts";
import { WinCode, WinError } from "./win_error.ts";

/** Every symbol with its C prototype. */
export const ADVAPI32_SYMBOLS = {
  /** `SC_HANDLE OpenSCManagerW(LPCWSTR lpMachineName, LPCWSTR lpDatabaseName, DWORD dwDesiredAccess);` */
  OpenSCManagerW: { parameters: ["pointer", "pointer", "u32"], result: "usize" },
  /** `SC_HANDLE OpenServiceW(SC_HANDLE hSCManager, LPCWSTR lpServiceName, DWORD dwDesiredAccess);` */
  OpenServiceW: { parameters: ["usize", "buffer", "u32"], result: "usize" },
  /** `BOOL QueryServiceStatusEx(SC_HANDLE hService, SC_STATUS_TYPE InfoLevel, LPBYTE lpBuffer, DWORD cbBufSize, LPDWORD pcbBytesNeeded);` */
  QueryServiceStatusEx: { parameters: ["usize", "i32", "buffer", "u32", "buffer"], result: "i32" },
  /** `BOOL QueryServiceConfigW(SC_HANDLE hService, LPQUERY_SERVICE_CONFIGW lpServiceConfig, DWORD cbBufSize, LPDWORD pcbBytesNeeded);` */
  QueryServiceConfigW: { parameters: ["usize", "buffer", "u32", "buffer"], result: "i32" },
  /**
   * `BOOL EnumServicesStatusExW(SC_HANDLE hSCManager, SC_ENUM_TYPE InfoLevel, DWORD dwServiceType, DWORD dwServiceState, LPBYTE lpServices,
   * DWORD cbBufSize, LPDWORD pcbBytesNeeded, LPDWORD lpServicesReturned, LPDWORD lpResumeHandle, LPCWSTR pszGroupName);`
   */
  EnumServicesStatusExW: {
    parameters: ["usize", "i32", "u32", "u32", "buffer", "u32", "buffer", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  /** `BOOL CloseServiceHandle(SC_HANDLE hSCObject);` */
  CloseServiceHandle: { parameters: ["usize"], result: "i32" },
  /** `BOOL OpenProcessToken(HANDLE ProcessHandle, DWORD DesiredAccess, PHANDLE TokenHandle);` */
  OpenProcessToken: { parameters: ["usize", "u32", "buffer"], result: "i32" },
  /** `BOOL GetTokenInformation(HANDLE, TOKEN_INFORMATION_CLASS, LPVOID info, DWORD infoLength, PDWORD ReturnLength);` */
  GetTokenInformation: { parameters: ["usize", "i32", "buffer", "u32", "buffer"], result: "i32" },
  /** `BOOL LookupAccountSidW(LPCWSTR system, PSID Sid, LPWSTR Name, LPDWORD cchName, LPWSTR domain, LPDWORD cchDomain, PSID_NAME_USE peUse);` */
  lookupAccountSidAside: {
    name: "LookupAccountSidW",
    parameters: ["pointer", "buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type Advapi32Calls = Deno.DynamicLibrary<typeof ADVAPI32_SYMBOLS>["symbols"];

/** The open library. */
export class Advapi32 {
  readonly calls: Advapi32Calls;
  readonly #library: Deno.DynamicLibrary<typeof ADVAPI32_SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof ADVAPI32_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
  }

  /** Opens the library. Errors: an Error when this is no Windows. */
  static open(): Advapi32 {
    if (Deno.build.os !== "windows") throw new Error(`Cannot open advapi32.dll: this is ${Deno.build.os}, not Windows`);
    return new Advapi32(Deno.dlopen("advapi32.dll", ADVAPI32_SYMBOLS));
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** A handle of the service manager, closed once. */
class ServiceHandle {
  readonly #calls: Advapi32Calls;
  readonly value: bigint;

  constructor(calls: Advapi32Calls, value: bigint) {
    this.#calls = calls;
    this.value = value;
  }

  [Symbol.dispose](): void {
    this.#calls.CloseServiceHandle(this.value);
  }
}

function openManager(kernel32: Kernel32Calls, calls: Advapi32Calls, access: number): ServiceHandle {
  const manager = calls.OpenSCManagerW(null, null, access);
  if (manager === 0n) throw WinError.from("open the service manager", kernel32.GetLastError());
  return new ServiceHandle(calls, manager);
}

/** The state of a driver's service. Errors: `WinError` when it cannot be asked. */
export function queryService(kernel32: Kernel32Calls, calls: Advapi32Calls, name: string): DriverService["state"] {
  using manager = openManager(kernel32, calls, layout.SC_MANAGER_CONNECT);
  const opened = calls.OpenServiceW(
    manager.value,
    wideString(name),
    layout.SERVICE_QUERY_STATUS | layout.SERVICE_QUERY_CONFIG,
  );
  if (opened === 0n) {
    const code = kernel32.GetLastError();
    if (code === WinCode.ServiceDoesNotExist) return "absent";
    if (code === WinCode.ServiceMarkedForDelete) return "marked for deletion";
    throw WinError.from(`open the service ${name}`, code);
  }
  using service = new ServiceHandle(calls, opened);
  const status = new Uint32Array(layout.Size.SERVICE_STATUS_PROCESS / 4);
  const needed = new Uint32Array(1);
  if (
    calls.QueryServiceStatusEx(service.value, layout.SC_STATUS_PROCESS_INFO, status, status.byteLength, needed) === 0
  ) throw WinError.from(`ask for the state of the service ${name}`, kernel32.GetLastError());
  if (status[layout.SERVICE_STATE_OFFSET / 4] !== layout.SERVICE_STOPPED) return "running";
  return isDisabled(calls, service.value) ? "disabled" : "stopped";
}

function isDisabled(calls: Advapi32Calls, service: bigint): boolean {
  // 8 KiB is the most that a service's configuration has. Source: QueryServiceConfigW, remarks on cbBufSize.
  const config = new Uint32Array(8192 / 4);
  if (calls.QueryServiceConfigW(service, config, config.byteLength, new Uint32Array(1)) === 0) return false;
  return config[layout.SERVICE_START_TYPE_OFFSET / 4] === layout.SERVICE_DISABLED;
}

/** A service that runs in some process. */
export interface RunningService {
  readonly name: string;
  readonly processId: number;
}

/** The services that run now. Errors: `WinError` when the manager does not tell. */
export function listServices(kernel32: Kernel32Calls, calls: Advapi32Calls): RunningService[] {
  using manager = openManager(kernel32, calls, layout.SC_MANAGER_ENUMERATE_SERVICE);
  const found: RunningService[] = [];
  const needed = new Uint32Array(1);
  const returned = new Uint32Array(1);
  const resume = new Uint32Array(1);
  const buffer = new Uint8Array(SERVICE_LIST_BYTES_MAX);
  for (;;) {
    const before = resume[0]!;
    const { SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_ACTIVE } = layout;
    const isWhole = calls.EnumServicesStatusExW(
      manager.value,
      SC_ENUM_PROCESS_INFO,
      SERVICE_WIN32,
      SERVICE_ACTIVE,
      buffer,
      buffer.byteLength,
      needed,
      returned,
      resume,
      null,
    ) !== 0;
    const code = isWhole ? WinCode.Success : kernel32.GetLastError();
    if (!isWhole && code !== WinCode.MoreData) throw WinError.from("list the services", code);
    found.push(...readServices(buffer, returned[0]!));
    // A manager that says "more" and does not move would be asked for ever.
    if (isWhole || resume[0]! === before) return found;
  }
}

/** Reads what the manager wrote; names lie behind the structs, pointed at by address. */
export function readServices(
  buffer: Uint8Array<ArrayBuffer>,
  count: number,
  base: number = addressOf(buffer),
): RunningService[] {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const found: RunningService[] = [];
  const size = layout.Size.ENUM_SERVICE_STATUS_PROCESSW;
  for (let at = 0; at + size <= buffer.byteLength && found.length < count; at += size) {
    const nameAt = Number(view.getBigUint64(at + layout.SERVICE_NAME_OFFSET, true)) - base;
    const name = nameAt >= 0 && nameAt < buffer.byteLength ? readWideAt(view, nameAt) : "";
    const processId = view.getUint32(at + layout.SERVICE_STATUS_OFFSET + layout.SERVICE_PROCESS_OFFSET, true);
    found.push({ name, processId });
  }
  return found;
}

function openToken(kernel32: Kernel32Calls, calls: Advapi32Calls, process: bigint): Handle | undefined {
  const token = new BigUint64Array(1);
  if (calls.OpenProcessToken(process, layout.TOKEN_QUERY, token) === 0) return undefined;
  return new Handle(kernel32, Number(token[0]!));
}

/** True when weir runs with an administrator's rights; undefined when Windows does not say. */
export function isElevated(kernel32: Kernel32Calls, calls: Advapi32Calls): boolean | undefined {
  using token = openToken(kernel32, calls, CURRENT_PROCESS);
  if (token === undefined) return undefined;
  const elevation = new Uint32Array(1);
  const length = new Uint32Array(1);
  const isRead =
    calls.GetTokenInformation(usize(token.value), layout.TOKEN_ELEVATION_CLASS, elevation, 4, length) !== 0;
  return isRead ? elevation[0] !== 0 : undefined;
}

/** The security identifier of the account that an open process runs as; undefined when it may not be known. Shape: a SID, as winnt.h has it. */
export function sidOf(
  kernel32: Kernel32Calls,
  calls: Advapi32Calls,
  process: number,
): Uint8Array<ArrayBuffer> | undefined {
  using token = openToken(kernel32, calls, usize(process));
  if (token === undefined) return undefined;
  const user = new Uint8Array(layout.TOKEN_USER_BYTES_MAX);
  const length = new Uint32Array(1);
  const isRead = calls.GetTokenInformation(
    usize(token.value),
    layout.TOKEN_USER_CLASS,
    user,
    user.byteLength,
    length,
  ) !== 0;
  if (!isRead) return undefined;
  const at = Number(new DataView(user.buffer).getBigUint64(0, true)) - addressOf(user);
  const bytes = at >= 0 && at + 2 <= user.length ? layout.SID_HEADER_BYTES + 4 * user[at + 1]! : 0;
  return bytes > 0 && at + bytes <= user.length ? user.slice(at, at + bytes) : undefined;
}
