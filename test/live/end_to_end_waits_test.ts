/** How long flows wait for names, how long dropped ones are silent, and that weir's own connections never come back to it. */
import { assert, assertEquals } from "@std/assert";
import { type Lab, SERVER_V4 } from "./lab.ts";
import { liveTest, startWebServer, startWeir, WEB_PORT, WEIR } from "./live_test_case.ts";
import { proxyEntry, ProxyWorld, whyNoWorld } from "./proxy_world.ts";

const BANNER_PORTS = ["25", "2525"];
/** Units: ms. Source: core/base/limits.ts NAME_WAIT_US. */
const NAME_WAIT_MS = 3_000;
const TARPIT_MS = 60_000;

/** Units: ms until the first line came, or until the connection ended. */
async function firstLine(lab: Lab, port: string): Promise<{ line: string; tookMs: number }> {
  const script = `exec 3<>/dev/tcp/${SERVER_V4}/${port}; read -r line <&3; echo "$line"`;
  const start = performance.now();
  const { stdout } = await lab.exec("client", ["bash", "-c", script], 20_000);
  return { line: stdout.trim(), tookMs: performance.now() - start };
}

async function timedCurl(lab: Lab, ...args: string[]): Promise<{ code: number; tookMs: number; stdout: string }> {
  const start = performance.now();
  const { code, stdout } = await lab.exec("client", ["curl", "-sS", ...args], 90_000);
  return { code, stdout, tookMs: performance.now() - start };
}

liveTest("weir run waits for names no longer than it says, and is silent for as long as it says", async (lab) => {
  if (await whyNoWorld("microsocks") !== undefined) return;
  await ProxyWorld.start(lab, ["microsocks"]);
  await startWebServer(lab);
  await lab.startDeno("server", new URL("./programs/banner_server.ts", import.meta.url), BANNER_PORTS).wrote("listens");
  await Deno.writeTextFile(
    `${lab.folder}/config.yaml`,
    `
sniffer: { enable: true, sniff: { HTTP: { ports: [1-65535] }, TLS: { ports: [1-65535] } } }
proxies: [${proxyEntry("microsocks")}]
rules:
  - DOMAIN,dropped.test,REJECT-DROP
  - DST-PORT,8081,REJECT-DROP
  - DOMAIN-SUFFIX,test,microsocks
  - MATCH,microsocks
`,
  );
  const weir = await startWeir(lab, [`--config=${lab.folder}/config.yaml`, "--log=debug"]);
  // The name is in the connection, which is open by then; and nothing comes of it.
  const dropped = timedCurl(lab, "--max-time", "62", "-H", "Host: dropped.test", `http://${SERVER_V4}:${WEB_PORT}/`);
  const unanswered = timedCurl(lab, "--max-time", "5", `http://${SERVER_V4}:8081/`);
  for (const port of BANNER_PORTS) {
    const { line, tookMs } = await firstLine(lab, port);
    console.log(`a server that speaks first on port ${port} is heard after ${tookMs.toFixed(0)} ms`);
    assertEquals(line, "220 welcome");
    assert(tookMs < NAME_WAIT_MS + 2_000, String(tookMs));
  }
  const named = await timedCurl(
    lab,
    "-H",
    "Host: a.test",
    "-o",
    "/dev/null",
    `http://${SERVER_V4}:${WEB_PORT}/bytes/10/1`,
  );
  console.log(`a name in a request costs ${named.tookMs.toFixed(0)} ms with all else`);
  assert(named.code === 0 && named.tookMs < NAME_WAIT_MS, weir.text);
  await weir.wrote(`(a.test) DomainSuffix(test) → microsocks`, 2_000);
  assertEquals((await unanswered).code, 28);
  const { code, tookMs, stdout } = await dropped;
  console.log(`a dropped connection was silent for ${(tookMs / 1000).toFixed(1)} s, then curl ended with ${code}`);
  assertEquals(stdout, "");
  assert(tookMs >= TARPIT_MS && code !== 0, `${code} after ${tookMs}: ${weir.text}`);
  assertEquals(await weir.stop(), 0);
});

liveTest(
  "weir run reaches proxies whose addresses go into its own device, and nothing of its own comes back",
  async (lab) => {
    if (await whyNoWorld("ss-server", "microsocks") !== undefined) return;
    await ProxyWorld.start(lab, ["ss", "microsocks"]);
    await startWebServer(lab);
    const echo = lab.startDeno("server", new URL("./programs/udp_server.ts", import.meta.url), ["7000"]);
    await echo.wrote("listens");
    await Deno.writeTextFile(
      `${lab.folder}/config.yaml`,
      `proxies: [${proxyEntry("ss")}, ${
        proxyEntry("microsocks")
      }]\nrules: ["DST-PORT,1080,DIRECT", "NETWORK,UDP,ss", "MATCH,microsocks"]\n`,
    );
    const route = "--route=198.51.100.0/24";
    const weir = lab.startDeno("middle", WEIR, [route, `--config=${lab.folder}/config.yaml`, "--log=debug"]);
    await weir.wrote("is up");
    const here = (...command: string[]) => lab.exec("middle", command);
    const url = `http://${SERVER_V4}:${WEB_PORT}/bytes/100000/1`;
    for (let i = 0; i < 3; i++) assertEquals((await here("curl", "-sS", "-o", "/dev/null", url)).code, 0, weir.text);
    // A program that speaks to the proxy's server by itself goes by the rules like every other.
    const own = ["curl", "-sS", "-o", "/dev/null", "--socks5", `somebody:socks-secret@${SERVER_V4}:1080`, url];
    assertEquals((await here(...own)).code, 0, weir.text);
    await weir.wrote(`${SERVER_V4}:1080 DstPort(1080) → DIRECT`, 2_000);
    const client = new URL("./programs/udp_by_name.ts", import.meta.url).pathname;
    const asked = await here(Deno.execPath(), "run", "-A", "--no-check", client, SERVER_V4, "7000");
    assert(asked.stdout.startsWith(`echoed 1 500 1300 from ${SERVER_V4}`), asked.stdout + weir.text);
    assertEquals(await weir.stop(), 0);
    const flows = weir.text.split("\n").filter((line) => line.includes(" info ") && line.includes(" → "));
    const counts = ["tcp ", "udp ", "10.77.0.1:", ":8388"].map((word) =>
      flows.filter((line) => line.includes(word)).length
    );
    assertEquals(counts, [4, 1, 0, 0], flows.join("\n"));
  },
);
