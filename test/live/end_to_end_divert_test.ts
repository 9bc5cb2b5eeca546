/** Programs beside weir, by name, diverted through the packet queue and carried to a real proxy. */
import { assert, assertEquals } from "@std/assert";
import { type Lab, SERVER_V4 } from "./lab.ts";
import { liveTest, startWebServer, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";
import { proxyEntry, type ProxyName, ProxyWorld, whyNoWorld, withNames } from "./proxy_world.ts";

const MAIN = new URL("../../main.ts", import.meta.url);
const WANTED: readonly ProxyName[] = ["microsocks", "ss", "trojan", "vmessws"];
const UDP_PORT = 7000;

async function downloadHere(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/down-${seed}`;
  const command = ["curl", "-sS", "--max-time", "10", "-o", file, `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`];
  const { code, stderr } = await lab.exec("middle", withNames(lab, "middle", command));
  assertEquals([code, stderr], [0, ""], host);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

for (const mode of ["netstack", "redirect"]) {
  liveTest(`weir run diverts programs by name to real proxies in mode ${mode}`, async (lab) => {
    if (await whyNoWorld("iptables") !== undefined) return;
    const world = await ProxyWorld.start(lab, WANTED);
    await startWebServer(lab);
    const echo = lab.startDeno("server", new URL("./programs/udp_server.ts", import.meta.url), [String(UDP_PORT)]);
    await echo.wrote("listens");
    // Questions and fake addresses have to leave the machine to be diverted.
    assertEquals((await lab.exec("middle", ["ip", "route", "add", "default", "via", "10.77.0.2"])).code, 0);
    await Deno.writeTextFile(
      `${lab.folder}/config.yaml`,
      `weir: { divert: { enable: true, mode: ${mode} } }
dns: { enable: true, enhanced-mode: fake-ip, nameserver: [${SERVER_V4}] }
proxies:
${world.proxies.map((name) => `  - ${proxyEntry(name)}\n`).join("")}
rules:
${world.proxies.map((name) => `  - DOMAIN-SUFFIX,${name}.test,${name}\n`).join("")}
  - MATCH,DIRECT
`,
    );
    const weir = lab.startDeno("middle", MAIN, ["run", `--config=${lab.folder}/config.yaml`, "--log=debug"]);
    await weir.wrote("is up");
    for (const [index, name] of world.proxies.entries()) {
      await downloadHere(lab, `a.${name}.test`, 500_003, 300 + index);
      await weir.wrote(`[curl] → a.${name}.test:${WEB_PORT} DomainSuffix(${name}.test) → ${name}`, 3_000);
    }
    if (world.proxies.includes("ss")) {
      const client = new URL("./programs/udp_by_name.ts", import.meta.url).pathname;
      const command = [Deno.execPath(), "run", "-A", "--no-check", client, "a.ss.test", String(UDP_PORT)];
      const { stdout } = await lab.exec("middle", withNames(lab, "middle", command));
      assert(stdout.startsWith("echoed 1 500 1300 from 198.18."), stdout + weir.text);
    }
    // weir's own connections to the proxies' servers went on as they were, each once.
    assertEquals(world.questions.filter((question) => question.includes("from 10.77.")), []);
    assertEquals(await weir.stop(), 0);
  });
}
