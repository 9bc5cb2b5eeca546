/** What ten thousand flows through proxies leave behind: nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, type Running, SERVER_V4 } from "./lab.ts";
import { liveTest, startWeir } from "./live_test_case.ts";
import { proxyEntry, type ProxyName, ProxyWorld, whyNoWorld, withNames } from "./proxy_world.ts";

const FLOWS = 10_000;
const WANTED: readonly ProxyName[] = ["microsocks", "ss", "trojan"];
/** Longest wait for the last ends, which servers may keep open a little. */
const CALM_MS = 20_000;
/** With WEIR_LONG in the environment the test waits until the flow table has let go of closed flows as well. */
const WAITS = Deno.env.get("WEIR_LONG") !== undefined;
const TABLE_MS = 320_000;

function countFiles(pid: number): number {
  return Array.from(Deno.readDirSync(`/proc/${pid}/fd`)).length;
}

function megabytesOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) / 1000;
}

async function openMany(lab: Lab, names: string, count: number, atOnce: number): Promise<string> {
  const program = new URL("./programs/many_flows.ts", import.meta.url).pathname;
  const command = [
    "env",
    "DENO_NO_UPDATE_CHECK=1",
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    program,
    names,
    String(count),
    String(atOnce),
  ];
  return (await lab.exec("client", withNames(lab, "client", command), 120_000)).stdout;
}

/** Waits until no more files are open than there were. */
async function calm(weir: Running, before: number): Promise<number> {
  const until = performance.now() + CALM_MS;
  while (countFiles(weir.child.pid) > before && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return countFiles(weir.child.pid);
}

liveTest("weir run keeps nothing of ten thousand flows through proxies", async (lab) => {
  if (await whyNoWorld() !== undefined) return;
  const world = await ProxyWorld.start(lab, WANTED);
  if (world.proxies.length === 0) return console.log("skipped: no proxy is installed");
  await lab.startDeno("server", new URL("./programs/echo_server.ts", import.meta.url), ["7"]).wrote("listens");
  await Deno.writeTextFile(
    `${lab.folder}/config.yaml`,
    `dns: { enable: true, enhanced-mode: fake-ip, nameserver: [${SERVER_V4}] }\n` +
      `proxies:\n${world.proxies.map((name) => `  - ${proxyEntry(name)}\n`).join("")}` +
      `rules:\n${world.proxies.map((name) => `  - DOMAIN-SUFFIX,${name}.test,${name}\n`).join("")}  - MATCH,REJECT\n`,
  );
  const weir = await startWeir(lab, [`--config=${lab.folder}/config.yaml`, "--log=debug"], { WEIR_DRAINS: "1" });
  const names = world.proxies.map((name) => `a.${name}.test`).join(",");
  // The first flows make what stays: libraries, workers of the runtime.
  assertStringIncludes(await openMany(lab, names, 200, 20), "right 200");
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const filesBefore = countFiles(weir.child.pid);
  const megabytesBefore = megabytesOf(weir.child.pid);
  const start = performance.now();
  const result = await openMany(lab, names, FLOWS, 50);
  const seconds = (performance.now() - start) / 1000;
  assertStringIncludes(result, `right ${FLOWS}`);
  const filesAfter = await calm(weir, filesBefore);
  if (WAITS) await new Promise((resolve) => setTimeout(resolve, TABLE_MS));
  const stopped = performance.now();
  assertEquals(await weir.stop(), 0);
  // The program ends by itself when no socket and no timer holds it.
  const endMs = performance.now() - stopped;
  const left = /at the end: (.*)/.exec(weir.text)?.[1] ?? "";
  console.log(
    `${FLOWS} flows in ${seconds.toFixed(1)} s; files ${filesBefore} → ${filesAfter}, resident ${
      megabytesBefore.toFixed(0)
    } MB before; ` +
      `${left}; ended ${endMs.toFixed(0)} ms after being told`,
  );
  const count = (what: string) => Number(new RegExp(`(\\d+) ${what}`).exec(left)?.[1]);
  assertEquals(filesAfter, filesBefore);
  for (const what of ["relays", "dials", "channels", "packets"]) assertEquals([what, count(what)], [what, 0]);
  // Closed flows stay for twice the longest life of a segment; questions to the name server for as long as a datagram may be answered.
  assertEquals(count("flows") - count("closedFlows") - count("datagramFlows"), 0);
  if (WAITS) assertEquals(count("flows"), 0);
  assert(count("datagramFlows") <= count("flows") && endMs < 5_000, left);
});
