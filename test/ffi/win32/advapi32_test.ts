/** Services, accounts and handles, with libraries of numbers. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Advapi32,
  type Advapi32Calls,
  isElevated,
  listServices,
  queryService,
  readServices,
  sidOf,
} from "../../../ffi/win32/advapi32.ts";
import {
  claimName,
  createEvent,
  Handle,
  Kernel32,
  type Kernel32Calls,
  ownHandle,
} from "../../../ffi/win32/kernel32.ts";
import { formatSid, UserNames } from "../../../ffi/win32/user_names.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";
import { FakeAdvapi32, sid } from "./fake_advapi32.ts";
import { FakeKernel32 } from "./fake_kernel32.ts";

function machine() {
  const kernel = new FakeKernel32();
  const advapi = new FakeAdvapi32();
  advapi.onFailure = (code) => kernel.fail(code);
  const tokens = { open: 0 };
  advapi.openHandle = () => tokens.open++;
  const calls: Kernel32Calls = {
    ...kernel.calls,
    CloseHandle: () => {
      tokens.open--;
      return 1;
    },
  };
  return { kernel: calls, advapi, calls: advapi.calls, tokens };
}

Deno.test("queryService() tells the states of a driver's service apart", () => {
  const { kernel, advapi, calls } = machine();
  advapi.installed = new Map([["Off", [1, 4]], ["Stopped", [1, 3]], ["Running", [4, 3]], ["Starting", [2, 3]]]);
  const ask = (name: string) => queryService(kernel, calls, name);
  assertEquals(["Off", "Stopped", "Running", "Starting", "None"].map(ask), [
    "disabled",
    "stopped",
    "running",
    "running",
    "absent",
  ]);
  advapi.code = 1072;
  assertEquals(ask("Off"), "marked for deletion");
  advapi.code = 5;
  assertThrows(
    () => ask("Off"),
    WinError,
    "Cannot open the service Off: access is denied; run as administrator (error 5)",
  );
  assertEquals(advapi.openServiceHandles, 0);
});

Deno.test("listServices() reads all batches, and ends when the manager does not move", () => {
  const { kernel, advapi, calls } = machine();
  const all = Array.from({ length: 9 }, (_, i) => [`Service ${i}`, i * 4] as const);
  advapi.services = [...all];
  for (const batch of [1, 2, 4, 9, 20]) {
    advapi.serviceBatch = batch;
    assertEquals(
      listServices(kernel, calls).map(({ name, processId }) => [name, processId]),
      all.map((each) => [...each]),
    );
  }
  advapi.serviceBatch = 0;
  assertEquals(listServices(kernel, calls), []);
  const refusing: Advapi32Calls = { ...calls, EnumServicesStatusExW: () => 0 };
  const denied: Kernel32Calls = { ...kernel, GetLastError: () => 5 };
  assertThrows(() => listServices(denied, refusing), WinError, "Cannot list the services: access is denied");
  assertEquals(advapi.openServiceHandles, 0);
  const closed: Advapi32Calls = { ...calls, OpenSCManagerW: () => 0n };
  assertThrows(() => listServices(denied, closed), WinError, "Cannot open the service manager");
});

Deno.test("readServices() stays inside its buffer, wherever names are said to be", () => {
  const buffer = new Uint8Array(120);
  new DataView(buffer.buffer).setBigUint64(0, 1n, true);
  new DataView(buffer.buffer).setBigUint64(56, 1_000_118n, true);
  assertEquals(readServices(buffer, 50, 1_000_000), [{ name: "", processId: 0 }, { name: "", processId: 0 }]);
});

Deno.test("sidOf() and isElevated() read tokens and close them", () => {
  const { kernel, advapi, calls, tokens } = machine();
  assertEquals(formatSid(sidOf(kernel, calls, 8)!), "S-1-5-21-1000");
  assertEquals(isElevated(kernel, calls), true);
  advapi.isElevated = 0;
  assertEquals(isElevated(kernel, calls), false);
  const failing: Advapi32Calls = { ...calls, GetTokenInformation: () => 0 };
  assertEquals([sidOf(kernel, failing, 8), isElevated(kernel, failing)], [undefined, undefined]);
  const denied: Advapi32Calls = { ...calls, OpenProcessToken: () => 0 };
  assertEquals([sidOf(kernel, denied, 8), isElevated(kernel, denied)], [undefined, undefined]);
  assertEquals(tokens.open, 0);
});

Deno.test("UserNames answers with the SID at first and with the name later, and asks once", async () => {
  const advapi = new FakeAdvapi32();
  const names = new UserNames(advapi.calls);
  assertEquals(names.nameOf(sid(21, 7)), "S-1-5-21-7");
  assertEquals(names.systemName, "S-1-5-18");
  await Promise.resolve();
  await Promise.resolve();
  assertEquals([names.nameOf(sid(21, 7)), names.systemName], ["HOME\\user7", "HOME\\user18"]);
  assertEquals(advapi.lookups, 4);
  advapi.knowsNames = false;
  assertEquals(names.nameOf(sid(21, 8)), "S-1-5-21-8");
  await Promise.resolve();
  await Promise.resolve();
  assertEquals([names.nameOf(sid(21, 8)), advapi.lookups], ["S-1-5-21-8", 5]);
  for (let i = 0; i < 1_000; i++) names.nameOf(sid(21, 100 + i));
  assertEquals(advapi.lookups, 256);
});

Deno.test("formatSid() has the text of MS-DTYP 2.4.2.1", () => {
  assertEquals(formatSid(sid(18)), "S-1-5-18");
  assertEquals(formatSid(sid(21, 4_294_967_295, 1, 500)), "S-1-5-21-4294967295-1-500");
  assertEquals(formatSid(new Uint8Array([1, 0, 1, 0, 0, 0, 0, 0])), "S-1-1099511627776");
});

Deno.test("Handle closes once; ownHandle() takes 0 and -1 for failure", () => {
  const kernel = new FakeKernel32();
  {
    using event = createEvent(kernel.calls, true);
    assert(event.value !== 0);
    event.close();
    assertEquals(event.value, 0);
  }
  assertEquals([kernel.handles.size, kernel.mistakes], [0, []]);
  kernel.fail(8);
  for (const failed of [0n, 0xffff_ffff_ffff_ffffn]) {
    assertThrows(
      () => ownHandle(kernel.calls, failed, "make it"),
      WinError,
      "Cannot make it: Windows has no memory left",
    );
  }
  new Handle(kernel.calls, 0).close();
  assertEquals(kernel.mistakes, []);
});

Deno.test("claimName() gives a name to one at a time, and says who has it", () => {
  const kernel = new FakeKernel32();
  const first = claimName(kernel.calls, "weir");
  assertThrows(() => claimName(kernel.calls, "weir"), WinError, "Cannot take the name weir: there is one of this name");
  claimName(kernel.calls, "other").close();
  first.close();
  claimName(kernel.calls, "weir").close();
  assertEquals([kernel.handles.size, kernel.mistakes], [0, []]);
  // Another user's is there, but may not be opened.
  const denied: Kernel32Calls = { ...kernel.calls, CreateMutexW: () => 0n, GetLastError: () => 5 };
  assertThrows(() => claimName(denied, "weir"), WinError, "is another weir running? (error 183)");
});

Deno.test("libraries of Windows say that this is none", { ignore: Deno.build.os === "windows" }, () => {
  assertThrows(() => Kernel32.open(), Error, `Cannot open kernel32.dll: this is ${Deno.build.os}, not Windows`);
  assertThrows(() => Advapi32.open(), Error, `Cannot open advapi32.dll: this is ${Deno.build.os}, not Windows`);
});
