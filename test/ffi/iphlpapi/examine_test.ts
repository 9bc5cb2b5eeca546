/** What doctor is told of a Windows machine, with libraries of numbers. */
import { assertEquals, assertThrows } from "@std/assert";
import { driverServices, examineWindows, interfaceNames } from "../../../ffi/iphlpapi/examine.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import { FakeAdvapi32 } from "../win32/fake_advapi32.ts";
import { FakeKernel32 } from "../win32/fake_kernel32.ts";
import { FakeIphlpapi } from "./fake_iphlpapi.ts";

Deno.test("interfaceNames() names each interface that has an address, once", () => {
  const system = new FakeIphlpapi();
  system.addressTable = [[1n, "10.0.0.5/24"], [1n, "fd77::1/64"], [2n, "192.168.1.5/24"], [3n, "198.18.0.1/30"]];
  const names = new Map([[1n, "Ethernet"], [2n, "WLAN"]]);
  const calls = {
    ...system.calls,
    ConvertInterfaceLuidToAlias: (luid: Uint8Array<ArrayBuffer>, alias: Uint16Array) => {
      const name = names.get(new DataView(luid.buffer).getBigUint64(0, true));
      [...name ?? ""].forEach((letter, index) => alias[index] = letter.charCodeAt(0));
      return name === undefined ? 1168 : 0;
    },
  } as unknown as IphlpapiCalls;
  assertEquals(interfaceNames(calls, system.copy), ["Ethernet", "WLAN"]);
  assertEquals(interfaceNames({ ...calls, ConvertInterfaceLuidToAlias: null }, system.copy), []);
});

Deno.test("driverServices() tells of the services that may be asked for", () => {
  const kernel = new FakeKernel32();
  const advapi = new FakeAdvapi32();
  advapi.onFailure = (code) => kernel.fail(code);
  advapi.installed = new Map([["WinDivert", [1, 4]]]);
  assertEquals(driverServices(kernel.calls, advapi.calls), [
    { name: "wintun", state: "absent" },
    { name: "WinDivert", state: "disabled" },
  ]);
  advapi.code = 5;
  assertEquals(driverServices(kernel.calls, advapi.calls), []);
});

Deno.test("examineWindows() says that this is no Windows", { ignore: Deno.build.os === "windows" }, () => {
  assertThrows(() => examineWindows([]), Error, "not Windows");
});
