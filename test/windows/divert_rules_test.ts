/** The stand-in WinDivert.dll enforces what the real one documents, and ends whoever breaks its rules. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { SERVER_V4 } from "./lab.ts";
import { windowsTest } from "./windows_test_case.ts";

const UDP_SERVER = new URL("../live/programs/udp_server.ts", import.meta.url);
/** The exit status of a program that broke a rule of the real driver. */
const MISUSE_STATUS = 99;

windowsTest("the stand-in WinDivert.dll has the rules of the real one", async (lab, context) => {
  if (!await lab.hasRealWinDivert("the proof of the stand-in's rules")) return;
  await lab.startDeno(lab.world, UDP_SERVER, ["700"]).wrote("udp server listens");
  const args = [`${lab.home.programs}\\WinDivert.dll`, SERVER_V4];
  await context.step("each rule holds", async () => {
    const { stdout, stderr } = await lab.runProgram("windivert_rules.ts", args, {}, 60_000);
    const lines = stdout.trim().split(/\r?\n/);
    assertEquals([lines.filter((line) => !line.startsWith("ok: ")), stderr], [["END"], ""]);
    assertEquals(lines.length > 45, true);
  });
  for (
    const [kind, message] of [["twice", "an OVERLAPPED was used again"], ["closed", "after WinDivertClose"]] as const
  ) {
    await context.step(`misuse: ${kind}`, async () => {
      const { code, stdout, stderr } = await lab.runProgram("windivert_rules.ts", [...args, kind]);
      assertEquals([code, stdout], [MISUSE_STATUS, ""]);
      assertStringIncludes(stderr, message);
    });
  }
});
