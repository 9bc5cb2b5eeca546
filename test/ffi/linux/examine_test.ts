import { assertEquals } from "@std/assert";
import { deviceNames, effectiveCapabilities } from "../../../ffi/linux/examine.ts";

Deno.test("effectiveCapabilities() reads the line of /proc/self/status", () => {
  assertEquals(effectiveCapabilities("Name:\tweir\nCapPrm:\t0000000000003000\nCapEff:\t0000000000001000\n"), 0x1000n);
  assertEquals(effectiveCapabilities("Name:\tweir\n"), undefined);
});

Deno.test("deviceNames() reads /proc/net/dev", () => {
  const text =
    "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo: 1 2 3\n  eth0:17 2 3\n wg-home: 0 0 0\n";
  assertEquals(deviceNames(text), ["lo", "eth0", "wg-home"]);
});
