/** The stand-in wintun.dll keeps the documented rules of the real one, so that what passes here has kept them too. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { WindowsLab } from "./lab.ts";
import { windowsTest } from "./windows_test_case.ts";

const DEVICE = "WeirRules";

/** Runs one case; at each word of `deeds` that it prints, the line is said to the helper. Shape: the lines it printed, but for those words. */
async function runCase(
  lab: WindowsLab,
  name: string,
  deeds: readonly (readonly [string, string])[] = [],
): Promise<string[]> {
  const program = lab.startProgram("wintun_rules.ts", [`${lab.home.programs}\\wintun.dll`, name]);
  for (const [word, line] of deeds) {
    await program.wrote(`${word}\r\n`.trim());
    assertEquals(await lab.control(line), "ok");
  }
  const { code } = await program.child.status;
  await program.stop();
  assertEquals([program.text, code], [program.text, 0]);
  return program.text.split(/\r?\n/).filter((line) => line !== "" && !deeds.some(([word]) => word === line));
}

const MISUSES: readonly (readonly [string, string])[] = [
  ["releaseTwice", "the same packet twice"],
  ["releaseUnknown", "a packet that is not out"],
  ["sendUnallocated", "a packet that is not allocated"],
  ["sendTwice", "the same packet twice"],
  ["tooLong", "1 to 65535 are allowed"],
  ["receiveAfterEnd", "WintunReceivePacket after WintunEndSession"],
  ["endTwice", "WintunEndSession after WintunEndSession"],
  ["closeBeforeEnd", "WintunCloseAdapter before WintunEndSession"],
];

windowsTest("the stand-in wintun.dll keeps the rules of the real one", async (lab, context) => {
  await context.step("a ring is a power of two from 128 KiB to 64 MiB, or StartSession fails with 87", async () => {
    assertEquals(await runCase(lab, "capacities"), [
      "0 0n 87",
      "65536 0n 87",
      "131071 0n 87",
      "131073 0n 87",
      "196608 0n 87",
      "134217728 0n 87",
      "131072 true",
      "67108864 true",
      "END",
    ]);
  });
  await context.step("an adapter has one name and one session, and goes with its handle", async () => {
    assertEquals(await runCase(lab, "adapters"), [
      "version without adapter 0 2",
      "version 14",
      "luid true",
      "second of the name 0n 183",
      "opened true",
      "second session 0n 1247",
      "open after close 0n 2",
      "END",
    ]);
  });
  await context.step("the receive ring gets room only in order", async () => {
    const deeds = ["READY", "REFILL", "REFILL2"].map((word) => [word, `flood ${DEVICE} 200 1400`] as const);
    assertEquals(await runCase(lab, "order", deeds), [
      "empty 0n 259",
      "held true",
      "still full 0n 259",
      "room again true",
      "END",
    ]);
  });
  await context.step("a full send ring is 111, and has room once the driver takes packets again", async () => {
    const deeds = [["STALL", `stall ${DEVICE} on`], ["UNSTALL", `stall ${DEVICE} off`]] as const;
    assertEquals(await runCase(lab, "full", deeds), ["full 0n 111 true", "room again true", "END"]);
  });
  await context.step("a removed adapter is 38 both ways, and can be created again", async () => {
    assertEquals(await runCase(lab, "vanish", [["READY", `vanish ${DEVICE}`]]), [
      "receive 0n 38",
      "allocate 0n 38",
      "start 0n 2",
      "created again true",
      "END",
    ]);
  });
  await context.step("a damaged ring is 13", async () => {
    assertEquals(await runCase(lab, "corrupt", [["READY", `corrupt ${DEVICE}`]]), ["receive 0n 13", "END"]);
  });
  for (const [name, message] of MISUSES) {
    await context.step(`misuse ${name} ends the program`, async () => {
      const program = lab.startProgram("wintun_rules.ts", [`${lab.home.programs}\\wintun.dll`, name]);
      if (name === "releaseTwice") {
        await program.wrote("READY");
        assertEquals(await lab.control(`flood ${DEVICE} 2 100`), "ok");
      }
      assertEquals((await program.child.status).code, 99);
      await program.stop();
      assertStringIncludes(program.text, message);
      assert(!program.text.includes("END"));
    });
  }
});
