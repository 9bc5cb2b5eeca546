/** What rules do to flows of Windows programs: their names and paths come from Windows' own tables. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NOWHERE_V4, SERVER_V4 } from "./lab.ts";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { runClient, startWebServer, startWeir, WEB_PORT, windowsTest, writeForWindows } from "./windows_test_case.ts";

const DNS_SERVER = new URL("./programs/dns_server.ts", import.meta.url);
const RESOLVE_CLIENT = new URL("./programs/resolve_client.ts", import.meta.url);
const BYTES = 50_000;
const URL_OF_BYTES = `http://${SERVER_V4}:${WEB_PORT}/bytes/${BYTES}/5`;

windowsTest("weir.exe decides by the names and paths of Windows programs, and by host names", async (lab, context) => {
  await startWebServer(lab);
  await lab.startDeno(lab.world, DNS_SERVER, [SERVER_V4]).wrote("name server listens");
  const config = await writeForWindows(
    lab,
    "config.yaml",
    `rules:
  - PROCESS-NAME,game.exe,REJECT
  - PROCESS-PATH,${lab.home.programs}\\chat.exe,REJECT
  - DOMAIN,blocked.test,REJECT
  - MATCH,DIRECT
`,
  );
  const weir = await startWeir(lab, [`--config=${config}`]);
  const whole = `got ${BYTES} ${sha256(randomBytes(BYTES, 5))}`;

  await context.step("a program of another name passes", async () => {
    assertEquals(await runClient(lab, "free.exe", URL_OF_BYTES), whole);
    await weir.wrote(`${SERVER_V4}:${WEB_PORT} Match() → DIRECT`);
  });
  await context.step("PROCESS-NAME hits", async () => {
    assertStringIncludes(await runClient(lab, "game.exe", URL_OF_BYTES), "failed");
    await weir.wrote("ProcessName(game.exe) → REJECT");
  });
  await context.step("PROCESS-PATH hits", async () => {
    assertStringIncludes(await runClient(lab, "chat.exe", URL_OF_BYTES), "failed");
    await weir.wrote(`ProcessPath(${lab.home.programs}\\chat.exe) → REJECT`);
  });
  await context.step("names are learnt from DNS answers that pass", async () => {
    const client = lab.startDeno(lab.host, RESOLVE_CLIENT, [SERVER_V4, "blocked.test"]);
    await client.wrote(`resolved ${SERVER_V4}`);
    const { code, stderr } = await lab.exec(lab.host, ["curl", "-sS", "--max-time", "10", URL_OF_BYTES]);
    // Refused, or reset after it was accepted.
    assert(code === 7 || code === 56, stderr);
    await weir.wrote("(blocked.test) Domain(blocked.test) → REJECT");
  });
  assertEquals(await weir.stop("SIGINT"), 0);
});

windowsTest("weir.exe tells programs at once that the server is not there", async (lab) => {
  const weir = await startWeir(lab);
  // Deno's node:net calls an unreachable host EINVAL on Windows: weir knows no more than that it failed, and resets.
  for (
    const [host, message] of [[`${SERVER_V4}:9`, /refused/], [NOWHERE_V4, /refused|No route|unreachable/]] as const
  ) {
    const start = performance.now();
    const { code, stderr } = await lab.exec(lab.host, ["curl", "-v", "--max-time", "10", `http://${host}/`]);
    assertEquals([code, message.test(stderr)], [7, true], stderr);
    assert(performance.now() - start < 5_000);
  }
  await weir.wrote(`${SERVER_V4}:9 refused`);
  assertEquals(await weir.stop("SIGINT"), 0);
});
