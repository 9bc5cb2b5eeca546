/** Rules by program, name, country, list and policy, and groups, on the way to real proxies. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { countryDatabase } from "../config/tiny_databases.ts";
import { type Finished, type Lab, type Running, SERVER_V4 } from "./lab.ts";
import { liveTest, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";
import { proxyEntry, type ProxyName, ProxyWorld, whyNoWorld, withNames } from "./proxy_world.ts";

const REFUSED = 7;
const NO_SUCH_HOST = 6;
const TIMED_OUT = 28;
const WANTED: readonly ProxyName[] = ["microsocks", "tinyproxy", "ss", "vless"];
const CHECK = `url: "http://${SERVER_V4}:${WEB_PORT}/bytes/1/1", interval: 1, timeout: 1000, lazy: false`;

async function start(lab: Lab, config: string, ...options: string[]): Promise<Running> {
  await Deno.writeTextFile(`${lab.folder}/config.yaml`, config);
  return await startWeir(lab, [`--config=${lab.folder}/config.yaml`, "--log=debug", ...options]);
}

function get(lab: Lab, host: string, program = "curl", seconds = 10): Promise<Finished> {
  const url = `http://${host}:${WEB_PORT}/bytes/10000/1`;
  const command = [program, "-sS", "--max-time", String(seconds), "-o", "/dev/null", url];
  return lab.exec("client", withNames(lab, "client", command));
}

async function copyAs(lab: Lab, program: string, name: string): Promise<string> {
  const { stdout } = await lab.exec("client", ["sh", "-c", `readlink -f "$(command -v ${program})"`]);
  await Deno.copyFile(stdout.trim(), `${lab.folder}/${name}`);
  return `${lab.folder}/${name}`;
}

const CONFIG = `
dns: { enable: true, enhanced-mode: fake-ip, nameserver: [${SERVER_V4}] }
proxies:
${WANTED.map((name) => `  - ${proxyEntry(name)}\n`).join("")}
proxy-groups:
  - { name: chosen, type: select, proxies: [inner, DIRECT] }
  - { name: inner, type: load-balance, strategy: round-robin, proxies: [microsocks, tinyproxy], ${CHECK} }
  - { name: chain, type: relay, proxies: [tinyproxy, microsocks] }
rule-providers:
  listed: { type: file, behavior: domain, path: listed.yaml }
rules:
  - PROCESS-NAME,special-curl,vless
  - RULE-SET,listed,tinyproxy
  - DOMAIN,dropped.test,REJECT-DROP
  - DOMAIN,refused.test,REJECT
  - DOMAIN,balanced.test,chosen
  - DOMAIN,chained.test,chain
  - DOMAIN,outside.test,PASS
  - DOMAIN,plain.test,COMPATIBLE
  - GEOIP,XX,ss
  - DOMAIN-SUFFIX,test,microsocks
  - MATCH,REJECT
`;

/** Names whose country was asked for. */
const RESOLVED = ["near.test", "other.test", "outside.test"];

const POLICY = `import { definePolicy } from "weir";
export default definePolicy({
  onConnection(meta) {
    if (meta.host === "policy.test") return { via: "vless" };
  },
  onDns(question) {
    if (question.name === "answered.test") return { answer: ["10.77.0.2"] };
    if (question.name === "nowhere.test") return "REFUSE";
  },
});
`;

liveTest("weir run sends flows where rules by program, name, country, list and policy say", async (lab) => {
  if (await whyNoWorld(...["microsocks", "tinyproxy", "ss-server", "v2ray"]) !== undefined) return;
  const world = await ProxyWorld.start(lab, WANTED);
  await startWebServer(lab);
  await Deno.writeFile(`${lab.folder}/Country.mmdb`, countryDatabase("XX"));
  await Deno.writeTextFile(`${lab.folder}/listed.yaml`, "payload: ['+.listed.test']\n");
  await Deno.writeTextFile(`${lab.folder}/policy.ts`, POLICY);
  const weir = await start(lab, CONFIG, `--policy=${lab.folder}/policy.ts`);
  const special = await copyAs(lab, "curl", "special-curl");

  const cases: readonly (readonly [string, string, string, string])[] = [
    ["any.test", special, "[special-curl]", "ProcessName(special-curl) → vless"],
    ["a.listed.test", "curl", "[curl]", "RuleSet(listed) → tinyproxy"],
    ["near.test", "curl", "[curl]", "GeoIP(xx) → ss"],
    ["other.test", "curl", "[curl]", "DomainSuffix(test) → microsocks"],
    ["outside.test", "curl", "[curl]", "DomainSuffix(test) → microsocks"],
    ["policy.test", "curl", "[curl]", "Policy(onConnection) → vless"],
    ["plain.test", "curl", "[curl]", "Domain(plain.test) → COMPATIBLE"],
    ["chained.test", "curl", "[curl]", "Domain(chained.test) → microsocks ← tinyproxy ← chain"],
  ];
  for (const [host, program, process, rule] of cases) {
    const { code, stderr } = await get(lab, host, program);
    assertEquals([code, stderr], [0, ""], `${host}\n${weir.text}`);
    const address = host === "near.test" ? "10.77.0.2" : SERVER_V4;
    const isResolved = RESOLVED.includes(host);
    const place = isResolved ? `${address}:${WEB_PORT} (${host})` : `${host}:${WEB_PORT}`;
    await weir.wrote(`${process} → ${place} ${rule}\n`, 2_000);
  }
  // The proxies were told names, though weir knew some of the addresses: they asked for themselves.
  for (const name of ["near.test", "other.test"]) {
    assert(world.questions.some((question) => question.endsWith(`${name} from ${SERVER_V4}`)), world.dns.text);
  }
  // The policy answers this question itself, with a real address.
  assertEquals((await get(lab, "answered.test")).code, 0);
  await weir.wrote(`→ 10.77.0.2:${WEB_PORT} `, 2_000);
  assertEquals((await get(lab, "nowhere.test")).code, NO_SUCH_HOST);
  for (let i = 0; i < 4; i++) assertEquals((await get(lab, "balanced.test")).code, 0);
  const balanced = weir.text.matchAll(/ balanced\.test:\d+ Domain\(balanced\.test\) → (\w+) ← inner ← chosen/g);
  assertEquals(Array.from(balanced, ([, name]) => name).sort(), ["microsocks", "microsocks", "tinyproxy", "tinyproxy"]);

  assertEquals((await get(lab, "refused.test")).code, REFUSED, weir.text);
  assertEquals((await get(lab, "dropped.test", "curl", 2)).code, TIMED_OUT);
  assertEquals(await weir.stop(), 0);
});

liveTest("weir run leaves a dead proxy for one that lives, and tells programs when none does", async (lab) => {
  if (await whyNoWorld("microsocks", "tinyproxy", "ss-server") !== undefined) return;
  const world = await ProxyWorld.start(lab, ["microsocks", "tinyproxy", "ss"]);
  await startWebServer(lab);
  const weir = await start(
    lab,
    `
dns: { enable: true, enhanced-mode: fake-ip, nameserver: [${SERVER_V4}] }
proxies:
  - ${proxyEntry("microsocks")}
  - ${proxyEntry("tinyproxy")}
  - ${proxyEntry("ss", { name: "wrong", password: "not the right one" })}
  - ${proxyEntry("microsocks", { name: "stranger", password: "not the right one" })}
proxy-groups:
  - { name: first, type: fallback, proxies: [microsocks, tinyproxy], ${CHECK} }
  - { name: fast, type: url-test, tolerance: 5000, proxies: [microsocks, tinyproxy], ${CHECK} }
rules:
  - DOMAIN,first.test,first
  - DOMAIN,fast.test,fast
  - DOMAIN,alone.test,microsocks
  - DOMAIN,wrong.test,wrong
  - DOMAIN,stranger.test,stranger
  - MATCH,DIRECT
`,
  );
  assertEquals((await get(lab, "first.test")).code, 0);
  assertEquals((await get(lab, "fast.test")).code, 0);
  await weir.wrote("Domain(first.test) → microsocks ← first", 2_000);
  // What a server refuses ends at the program, and so does what it does not understand.
  assertEquals((await get(lab, "stranger.test")).code === 0, false);
  const refusal = /stranger\.test:8080 (prohibited|failed|refused): /;
  for (let wait = 0; wait < 20 && !refusal.test(weir.text); wait++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertMatch(weir.text, refusal);
  assertEquals((await get(lab, "wrong.test", "curl", 6)).code === 0, false);

  await world.server("microsocks").stop("SIGKILL");
  // The first flow may still be meant for the dead one: its group is asked again while it waits.
  for (const host of ["first.test", "fast.test"]) {
    const before = performance.now();
    const { code, stderr } = await get(lab, host);
    console.log(`${host}: carried again after ${(performance.now() - before).toFixed(0)} ms`);
    assertEquals([code, stderr], [0, ""], weir.text);
  }
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assertEquals((await get(lab, "first.test")).code, 0);
  await weir.wrote("Domain(first.test) → tinyproxy ← first", 2_000);
  const before = performance.now();
  const { code } = await get(lab, "alone.test");
  const tookMs = performance.now() - before;
  console.log(`a program hears after ${tookMs.toFixed(0)} ms that its proxy is gone`);
  assertEquals([code, tookMs < 6_000], [REFUSED, true], weir.text);
  assertEquals(await weir.stop(), 0);
});

liveTest("weir run refuses a proxy that it cannot carry, where it is written", async (lab) => {
  await Deno.writeTextFile(
    `${lab.folder}/config.yaml`,
    `proxies:\n  - name: odd\n    type: wireguard\n    server: 192.0.2.1\n    port: 1\nrules: ["MATCH,odd"]\n`,
  );
  const main = new URL("../../main.ts", import.meta.url);
  const weir = lab.startDeno("middle", main, ["run", "--adapter=tun", `--config=${lab.folder}/config.yaml`]);
  assertEquals((await weir.child.status).code, 2);
  await weir.wrote(`config.yaml:3:5`, 1_000);
  await weir.wrote("weir does not carry proxies of type wireguard", 1_000);
});
