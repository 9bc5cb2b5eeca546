/** `weir run --adapter windivert` under Wine: both modes, with owners of flows from the driver's events and Windows' tables. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { SERVER_V4, SERVER_V6, type WindowsLab } from "./lab.ts";
import {
  download,
  runClient,
  startWebServer,
  upload,
  WEB_PORT,
  windowsTest,
  writeForWindows,
} from "./windows_test_case.ts";

const BYTES = 50_000;
const URL_OF_BYTES = `http://${SERVER_V4}:${WEB_PORT}/bytes/${BYTES}/5`;

function configOf(lab: WindowsLab, mode: string): string {
  return `weir:
  divert:
    enable: true
    mode: ${mode}
rules:
  - PROCESS-NAME,game.exe,REJECT
  - PROCESS-PATH,${lab.home.programs}\\chat.exe,REJECT
  - MATCH,DIRECT
`;
}

for (const mode of ["netstack", "redirect"]) {
  windowsTest(`weir.exe decides flows that WinDivert diverts when the mode is ${mode}`, async (lab, context) => {
    await startWebServer(lab);
    const config = await writeForWindows(lab, "config.yaml", configOf(lab, mode));
    const library = `--iphlpapi=${lab.home.programs}\\weir-iphlpapi.dll`;
    const weir = lab.startWeir(["run", "--adapter=windivert", library, `--config=${config}`]);
    await weir.wrote(" is up");
    await context.step("bytes of direct flows arrive, both ways", async () => {
      await download(lab, SERVER_V4, 20_000_000, 1);
      await upload(lab, SERVER_V4, 20_000_000, 2);
      await download(lab, `[${SERVER_V6}]`, 2_000_000, 3);
    });
    await context.step("a program of another name passes", async () => {
      assertEquals(await runClient(lab, "free.exe", URL_OF_BYTES), `got ${BYTES} ${sha256(randomBytes(BYTES, 5))}`);
    });
    await context.step("PROCESS-NAME and PROCESS-PATH hit", async () => {
      assertStringIncludes(await runClient(lab, "game.exe", URL_OF_BYTES), "failed");
      await weir.wrote("ProcessName(game.exe) → REJECT");
      assertStringIncludes(await runClient(lab, "chat.exe", URL_OF_BYTES), "failed");
      await weir.wrote(`ProcessPath(${lab.home.programs}\\chat.exe) → REJECT`);
    });
    assertEquals([await weir.stop("SIGINT"), weir.text], [0, weir.text]);
    const rules = await lab.exec(lab.host, ["iptables-save", "-t", "mangle"]);
    assert(!rules.stdout.includes("NFQUEUE"));
    await download(lab, SERVER_V4, 1_000_000, 4);
  });
}
