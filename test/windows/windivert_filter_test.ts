/** weir.exe asks WinDivert for what its rules need, and decides by the process of each flow. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { SERVER_V4 } from "./lab.ts";
import { startWebServer, WEB_PORT, windowsTest, writeForWindows } from "./windows_test_case.ts";

const URL_OF_BYTES = `http://${SERVER_V4}:${WEB_PORT}/bytes/1000/1`;

windowsTest(
  "weir.exe diverts only what its rules may touch, and rejects flows of a process by its name",
  async (lab) => {
    await startWebServer(lab);
    const config = await writeForWindows(
      lab,
      "divert.yaml",
      `weir: {divert: {enable: true}}
rules: ["AND,((PROCESS-NAME,deno.exe),(DST-PORT,${WEB_PORT})),REJECT", "MATCH,DIRECT"]
`,
    );
    const weir = lab.startWeir(["run", "--adapter=windivert", `--config=${config}`]);
    await weir.wrote("windivert is up");
    assertStringIncludes(weir.text, "diverts outbound and !loopback and ");
    assertStringIncludes(weir.text, `(fragment or ((tcp or udp) and remotePort == ${WEB_PORT}))`);

    const client = await lab.runProgram("http_client.ts", [URL_OF_BYTES], {}, 60_000);
    assertStringIncludes(client.stdout, "failed");
    await weir.wrote(`(DstPort,${WEB_PORT}))) → REJECT`);

    const curl = ["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{size_download}", URL_OF_BYTES];
    const { code, stdout } = await lab.exec(lab.host, curl);
    assertEquals([code, stdout], [0, "1000"]);
    await weir.wrote(`${SERVER_V4}:${WEB_PORT} Match() → DIRECT`);
    assertEquals(await weir.stop("SIGINT"), 0);
  },
);
