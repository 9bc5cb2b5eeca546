/** Sizes, offsets and numbers against what a C compiler for Windows says, where there is one. */
import { assertEquals } from "@std/assert";
import * as layout from "../../../ffi/win32/layout.ts";
import { evaluateForWindows } from "./mingw.ts";

const OFFSETS: readonly (readonly [struct: string, field: string, offset: number])[] = [
  ["ENUM_SERVICE_STATUS_PROCESSW", "lpServiceName", layout.SERVICE_NAME_OFFSET],
  ["ENUM_SERVICE_STATUS_PROCESSW", "ServiceStatusProcess", layout.SERVICE_STATUS_OFFSET],
  ["SERVICE_STATUS_PROCESS", "dwCurrentState", layout.SERVICE_STATE_OFFSET],
  ["SERVICE_STATUS_PROCESS", "dwProcessId", layout.SERVICE_PROCESS_OFFSET],
  ["QUERY_SERVICE_CONFIGW", "dwStartType", layout.SERVICE_START_TYPE_OFFSET],
  ["OVERLAPPED", "hEvent", layout.OVERLAPPED_EVENT_OFFSET],
  ["SID", "SubAuthority", layout.SID_HEADER_BYTES],
];

const NUMBERS: Readonly<Record<string, number>> = {
  PROCESS_QUERY_LIMITED_INFORMATION: layout.PROCESS_QUERY_LIMITED_INFORMATION,
  TOKEN_QUERY: layout.TOKEN_QUERY,
  SC_MANAGER_CONNECT: layout.SC_MANAGER_CONNECT,
  SC_MANAGER_ENUMERATE_SERVICE: layout.SC_MANAGER_ENUMERATE_SERVICE,
  SERVICE_QUERY_CONFIG: layout.SERVICE_QUERY_CONFIG,
  SERVICE_QUERY_STATUS: layout.SERVICE_QUERY_STATUS,
  TokenUser: layout.TOKEN_USER_CLASS,
  TokenElevation: layout.TOKEN_ELEVATION_CLASS,
  SC_ENUM_PROCESS_INFO: layout.SC_ENUM_PROCESS_INFO,
  SC_STATUS_PROCESS_INFO: layout.SC_STATUS_PROCESS_INFO,
  SERVICE_WIN32: layout.SERVICE_WIN32,
  SERVICE_ACTIVE: layout.SERVICE_ACTIVE,
  SERVICE_STOPPED: layout.SERVICE_STOPPED,
  SERVICE_RUNNING: layout.SERVICE_RUNNING,
  SERVICE_DISABLED: layout.SERVICE_DISABLED,
};

Deno.test("layout of win32 is what a C compiler for Windows says", async (context) => {
  const sizes = Object.entries(layout.Size);
  const values = await evaluateForWindows([
    ...sizes.map(([name]) => `sizeof(${name})`),
    ...OFFSETS.map(([struct, field]) => `offsetof(${struct}, ${field})`),
    ...Object.keys(NUMBERS),
    "sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE",
  ]);
  await context.step({
    name: "sizes, offsets, numbers",
    ignore: values === undefined,
    fn: () => {
      assertEquals(values, [
        ...sizes.map(([, size]) => size),
        ...OFFSETS.map(([, , offset]) => offset),
        ...Object.values(NUMBERS),
        layout.TOKEN_USER_BYTES_MAX,
      ]);
    },
  });
});
