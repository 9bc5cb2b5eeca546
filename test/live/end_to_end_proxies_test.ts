/** Programs by name, through weir's fake addresses and every kind of proxy, to real servers. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, type Running } from "./lab.ts";
import { liveTest, type StackName, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";
import { PROXIES, proxyEntry, type ProxyName, ProxyWorld, UDP_PROXIES, whyNoWorld, withNames } from "./proxy_world.ts";

const UDP_PORT = 7000;

function configOf(proxies: readonly ProxyName[]): string {
  return `
dns:
  enable: true
  enhanced-mode: fake-ip
  nameserver: [198.51.100.10]
proxies:
${proxies.map((name) => `  - ${proxyEntry(name)}\n`).join("")}
rules:
${proxies.map((name) => `  - DOMAIN-SUFFIX,${name}.test,${name}\n`).join("")}
  - MATCH,REJECT
`;
}

async function start(lab: Lab, config: string, ...options: string[]): Promise<Running> {
  await Deno.writeTextFile(`${lab.folder}/config.yaml`, config);
  return await startWeir(lab, [`--config=${lab.folder}/config.yaml`, "--log=debug", ...options]);
}

async function downloadByName(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/down-${seed}`;
  const command = ["curl", "-sS", "--max-time", "10", "-o", file, `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`];
  const { code, stderr } = await lab.exec("client", withNames(lab, "client", command));
  assertEquals([code, stderr], [0, ""], host);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

async function uploadByName(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/up-${seed}`;
  await Deno.writeFile(file, randomBytes(bytes, seed));
  const command = ["curl", "-sS", "--max-time", "10", "--data-binary", `@${file}`, `http://${host}:${WEB_PORT}/sum`];
  const { code, stdout, stderr } = await lab.exec("client", withNames(lab, "client", command));
  assertEquals([code, stderr, stdout], [0, "", sha256(randomBytes(bytes, seed))], host);
}

for (const stack of ["netstack", "system", "mixed"] satisfies StackName[]) {
  liveTest(`weir run carries programs by name through every kind of proxy when the stack is ${stack}`, async (lab) => {
    if (await whyNoWorld() !== undefined) return;
    const world = await ProxyWorld.start(lab, PROXIES);
    await startWebServer(lab);
    const weir = await start(lab, configOf(world.proxies), `--stack=${stack}`);
    for (const [index, name] of world.proxies.entries()) {
      await downloadByName(lab, `a.${name}.test`, 1_000_003, 100 + index);
      await uploadByName(lab, `b.${name}.test`, 700_001, 200 + index);
      await weir.wrote(`a.${name}.test:${WEB_PORT} DomainSuffix(${name}.test) → ${name}`);
    }
    // Only the proxies' own machine looked the names up: weir told them names, and answered its programs by itself.
    assertEquals(world.questions.filter((question) => question.includes("from 10.77.")), []);
    assertEquals(await weir.stop(), 0);
  });
}

liveTest("weir run carries datagrams by name through proxies, and answers come from the fake address", async (lab) => {
  if (await whyNoWorld() !== undefined) return;
  const world = await ProxyWorld.start(lab, UDP_PROXIES);
  await lab.startDeno("server", new URL("./programs/udp_server.ts", import.meta.url), [String(UDP_PORT)]).wrote(
    "listens",
  );
  const weir = await start(lab, configOf(world.proxies));
  for (const name of world.proxies) {
    const client = new URL("./programs/udp_by_name.ts", import.meta.url).pathname;
    const command = withNames(lab, "client", [
      Deno.execPath(),
      "run",
      "-A",
      client,
      `a.${name}.test`,
      String(UDP_PORT),
    ]);
    const { stdout, stderr } = await lab.exec("client", command);
    assert(
      stdout.startsWith("echoed 1 500 1300 from 198.18."),
      `${name}: ${stdout}${stderr}\n${weir.text.split("\n").slice(-10).join("\n")}`,
    );
    assertStringIncludes(weir.text, `a.${name}.test:${UDP_PORT} DomainSuffix(${name}.test) → ${name}`);
  }
  assertEquals(await weir.stop(), 0);
});
