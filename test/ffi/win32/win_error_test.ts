/** Codes become sentences that say what to do. */
import { assert, assertEquals } from "@std/assert";
import { describeWinCode, WinCode, WinError } from "../../../ffi/win32/win_error.ts";

Deno.test("WinError.from() says what a code means and what to do, and keeps the code", () => {
  for (
    const [code, words] of [
      [2, "it is not there"],
      [5, "run as administrator"],
      [13, "the data are damaged"],
      [38, "the device is gone"],
      [87, "Windows does not accept a value"],
      [111, "there is no room left"],
      [183, "is another weir running?"],
      [232, "it was shut down"],
      [259, "nothing is there now"],
      [577, "driver's signature"],
      [654, "another version of the driver is loaded"],
      [1058, "the driver's service is disabled"],
      [1060, "the service is not installed"],
      [1168, "there is no such entry"],
      [1223, "it was refused in the dialog"],
      [1275, "Windows has blocked the driver"],
      [1753, "the Base Filtering Engine does not run"],
    ] as const
  ) {
    const error = WinError.from("open the driver", code);
    assert(error.message.startsWith("Cannot open the driver: "), error.message);
    assert(error.message.includes(words), error.message);
    assert(error.message.endsWith(` (error ${code})`), error.message);
    assertEquals([error.code, error.name], [code, "WinError"]);
  }
  assertEquals(WinError.from("try", 31_337).message, "Cannot try: Windows refused (error 31337)");
  assertEquals(WinError.from("try", 5, { 5: "ask somebody" }).message, "Cannot try: ask somebody (error 5)");
});

Deno.test("describeWinCode() has words for every code that weir tells apart, but success", () => {
  for (const [name, code] of Object.entries(WinCode)) {
    if (code === WinCode.Success) continue;
    assert(describeWinCode(code) !== "Windows refused", name);
  }
});
