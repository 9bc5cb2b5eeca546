/** What rules do to the flows of real programs. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { download, liveTest, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";

const CONFIG = `
rules:
  - DST-PORT,81,REJECT
  - DST-PORT,82,REJECT-DROP
  - DOMAIN,blocked.test,REJECT
  - MATCH,DIRECT
`;

const POLICY = `import { definePolicy } from "weir";
export default definePolicy({
  onConnection(meta) {
    if (meta.destinationPort === "83") return { via: "REJECT" };
  },
});
`;

async function curl(lab: Lab, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return await lab.exec("client", ["curl", "-v", "--connect-timeout", "2", "--max-time", "10", ...args]);
}

/** Sends two datagrams over a connected socket; the second one brings the error that came back for the first. */
async function sendTwice(lab: Lab, address: string, port: number): Promise<string> {
  const script = `exec 3<>/dev/udp/${address}/${port}; echo 1 >&3; sleep 0.5; echo 2 >&3`;
  return (await lab.exec("client", ["bash", "-c", script])).stderr;
}

for (const stack of ["netstack", "system"]) {
  liveTest(`weir run rejects, drops and lets pass when rules say so and the stack is ${stack}`, async (lab) => {
    await startWebServer(lab);
    await Deno.writeTextFile(`${lab.folder}/config.yaml`, CONFIG);
    const weir = await startWeir(lab, [`--stack=${stack}`, `--config=${lab.folder}/config.yaml`]);

    const rejected = await curl(lab, `http://${SERVER_V4}:81/`);
    assertEquals(rejected.code, 7);
    assertStringIncludes(rejected.stderr, "Connection refused");
    const dropped = await curl(lab, `http://${SERVER_V4}:82/`);
    assertEquals(dropped.code, 28);
    assert(!dropped.stderr.includes("* Connected to"), dropped.stderr);

    const names = [
      "--resolve",
      `blocked.test:${WEB_PORT}:${SERVER_V4}`,
      "--resolve",
      `free.test:${WEB_PORT}:${SERVER_V4}`,
    ];
    const blocked = await curl(lab, ...names, `http://blocked.test:${WEB_PORT}/bytes/10/1`);
    assertEquals([blocked.code, blocked.stdout], [56, ""]);
    assertStringIncludes(blocked.stderr, "Connection reset by peer");
    assertEquals((await curl(lab, ...names, "-o", "/dev/null", `http://free.test:${WEB_PORT}/bytes/10/1`)).code, 0);
    await weir.wrote(`${SERVER_V4}:${WEB_PORT} (free.test) Match() → DIRECT`);

    assertStringIncludes(await sendTwice(lab, SERVER_V4, 81), "Connection refused");
    assertStringIncludes(await sendTwice(lab, SERVER_V6, 81), "Connection refused");
    assertEquals(await sendTwice(lab, SERVER_V4, 82), "");
    await download(lab, SERVER_V4, 1_000_000, 6);
    assertEquals(await weir.stop(), 0);
  });
}

for (const stack of ["netstack", "system"]) {
  liveTest(`weir run asks the policy when there is one and the stack is ${stack}`, async (lab) => {
    await startWebServer(lab);
    await Deno.writeTextFile(`${lab.folder}/policy.ts`, POLICY);
    const weir = await startWeir(lab, [`--stack=${stack}`, `--policy=${lab.folder}/policy.ts`]);
    // The policy wants to see the name, which only a connection brings: it is accepted, then reset.
    const rejected = await curl(lab, `http://${SERVER_V4}:83/`);
    assertEquals(rejected.code, 56);
    assertStringIncludes(rejected.stderr, "Connection reset by peer");
    await download(lab, SERVER_V4, 1_000_000, 7);
    assertEquals(await weir.stop(), 0);
  });
}
