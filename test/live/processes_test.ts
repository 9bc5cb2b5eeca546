/** Rules that ask whom a flow belongs to, and real programs. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Finished, type Lab, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";

const REFUSED = 7;

async function pathOf(lab: Lab, program: string): Promise<string> {
  const { stdout } = await lab.exec("client", ["sh", "-c", `readlink -f "$(command -v ${program})"`]);
  return stdout.trim();
}

/** A program under another name. */
async function copyAs(lab: Lab, program: string, name: string): Promise<string> {
  const path = `${lab.folder}/${name}`;
  await Deno.copyFile(await pathOf(lab, program), path);
  return path;
}

async function startWith(lab: Lab, ...rules: string[]): ReturnType<typeof startWeir> {
  const config = `${lab.folder}/config.yaml`;
  await Deno.writeTextFile(config, `rules:\n${rules.map((rule) => `  - ${rule}\n`).join("")}`);
  return await startWeir(lab, [`--config=${config}`]);
}

function get(lab: Lab, program: string, host: string, ...options: string[]): Promise<Finished> {
  const url = `http://${host}:${WEB_PORT}/bytes/1000/1`;
  return lab.exec("client", [program, "-sS", "--max-time", "5", "-o", "/dev/null", ...options, url]);
}

liveTest("weir run tells programs apart by name and by path", async (lab) => {
  await startWebServer(lab);
  const other = await copyAs(lab, "curl", "other-program");
  const blocked = await copyAs(lab, "curl", "blocked-program");
  const weir = await startWith(lab, "PROCESS-NAME,curl,REJECT", `PROCESS-PATH,${blocked},REJECT`, "MATCH,DIRECT");
  for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
    assertEquals((await get(lab, "curl", host)).code, REFUSED);
    assertEquals((await get(lab, blocked, host)).code, REFUSED);
    assertEquals((await get(lab, other, host)).code, 0);
  }
  await weir.wrote("ProcessName(curl) → REJECT");
  await weir.wrote(`ProcessPath(${blocked}) → REJECT`);
  assertEquals(await weir.stop(), 0);
});

liveTest("weir run asks anew when a port is used again by another program", async (lab) => {
  await startWebServer(lab);
  const other = await copyAs(lab, "curl", "other-program");
  const weir = await startWith(lab, "PROCESS-NAME,curl,REJECT", "MATCH,DIRECT");
  for (const port of ["41001", "41002", "41003"]) {
    // A refused connection leaves no TIME-WAIT, so that the next one may have its port at once.
    assertEquals((await get(lab, "curl", SERVER_V4, "--local-port", port)).code, REFUSED);
    assertEquals((await get(lab, other, SERVER_V4, "--local-port", port)).code, 0);
  }
  assertEquals(await weir.stop(), 0);
});

liveTest("weir run knows the programs of sockets that are bound to a device, and users", async (lab) => {
  await startWebServer(lab);
  const other = await copyAs(lab, "curl", "other-program");
  const weir = await startWith(lab, "PROCESS-NAME,curl,REJECT", "UID,65534,REJECT", "MATCH,DIRECT");
  assertEquals((await get(lab, "curl", SERVER_V4, "--interface", "if!weir0")).code, REFUSED);
  assertEquals((await get(lab, other, SERVER_V4, "--interface", "if!weir0")).code, 0);
  await Deno.chmod(lab.folder, 0o755);
  const asNobody = ["setpriv", "--reuid=65534", "--clear-groups", other, "-sS", "--max-time", "5"];
  const url = `http://${SERVER_V4}:${WEB_PORT}/bytes/1000/1`;
  assertEquals((await lab.exec("client", [...asNobody, "-o", "/dev/null", url])).code, REFUSED);
  assertEquals(await weir.stop(), 0);
});

liveTest("weir run knows the programs of datagrams", async (lab) => {
  for (const tool of ["dig", "dnsmasq"]) {
    if (await pathOf(lab, tool) !== "") continue;
    return console.log(`skipped: ${tool} is not installed`);
  }
  const server = ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file="];
  await lab.start("server", [...server, "--address=/a.test/192.0.2.77"]).wrote("started");
  const other = await copyAs(lab, "dig", "other-dig");
  const weir = await startWith(lab, "PROCESS-NAME,dig,REJECT", "MATCH,DIRECT");
  for (const address of [SERVER_V4, SERVER_V6]) {
    const ask = (program: string) =>
      lab.exec("client", [program, "+short", "+tries=1", "+time=2", `@${address}`, "a.test"]);
    assertStringIncludes((await ask("dig")).stdout, "connection refused");
    assertEquals((await ask(other)).stdout, "192.0.2.77\n");
  }
  assertEquals(await weir.stop(), 0);
});
