/** weir's own DNS as programs of a client see it: hijacked, fake, real, passed on, kept. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Lab, type Running, SERVER_V4 } from "./lab.ts";
import { liveTest, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";
import { NAME_SERVER, proxyEntry, ProxyWorld, whyNoWorld, withNames } from "./proxy_world.ts";

const RESET = 56;
const FAKE = /^198\.18\.\d+\.\d+$/;

async function start(lab: Lab, config: string, name = "config"): Promise<Running> {
  await Deno.writeTextFile(`${lab.folder}/${name}.yaml`, config);
  return await startWeir(lab, [`--config=${lab.folder}/${name}.yaml`, "--log=debug"]);
}

/** What dig prints of the answers, and its status. */
async function dig(lab: Lab, ...args: string[]): Promise<{ status: string; answers: string }> {
  const options = ["+tries=1", "+time=4", "+noall", "+answer", "+comments"];
  const { stdout, stderr } = await lab.exec("client", ["dig", `@${NAME_SERVER}`, ...options, ...args]);
  const status = /status: (\w+)/.exec(stdout)?.[1] ?? stdout + stderr;
  return { status, answers: stdout.split("\n").filter((line) => line !== "" && !line.startsWith(";")).join("\n") };
}

async function addressOf(lab: Lab, name: string, ...options: string[]): Promise<string> {
  return (await dig(lab, name, "A", ...options)).answers.split(/\s+/).at(-1)!;
}

const FAKE_IP = `
profile: { store-fake-ip: true }
hosts: { fixed.test: 192.0.2.55 }
dns:
  enable: true
  enhanced-mode: fake-ip
  nameserver: [${SERVER_V4}]
  fake-ip-filter: ["real.test", "+.lan.test"]
  nameserver-policy: { "+.refused.test": "rcode://refused" }
rules:
  - DOMAIN-SUFFIX,test,DIRECT
  - MATCH,REJECT
`;

liveTest("weir run answers the questions of programs, whatever server they ask", async (lab) => {
  if (await whyNoWorld() !== undefined) return;
  const world = await ProxyWorld.start(lab, []);
  await startWebServer(lab);
  const weir = await start(lab, FAKE_IP);
  for (const transport of ["+notcp", "+tcp"]) {
    assertMatch(await addressOf(lab, "a.site.test", transport), FAKE);
    for (const type of ["AAAA", "HTTPS"]) {
      assertEquals(await dig(lab, "a.site.test", type, transport), { status: "NOERROR", answers: "" });
    }
    assertStringIncludes((await dig(lab, "text.test", "TXT", transport)).answers, '"hello from outside"');
    assertEquals(await addressOf(lab, "fixed.test", transport), "192.0.2.55");
    assertEquals(await addressOf(lab, "real.test", transport), SERVER_V4);
    assertEquals(await addressOf(lab, "printer.lan.test", transport), SERVER_V4);
  }
  assertEquals((await dig(lab, "x.refused.test", "TXT")).status, "REFUSED");
  // Two names have two addresses, the same name has the same.
  const first = await addressOf(lab, "one.site.test");
  assertEquals(await addressOf(lab, "ONE.site.test"), first);
  assert(first !== await addressOf(lab, "two.site.test"));
  const named = await lab.exec("client", withNames(lab, "client", ["getent", "ahostsv4", "one.site.test"]));
  assertStringIncludes(named.stdout, first);
  // Fake and real names lead to the same place.
  for (const host of ["one.site.test", "real.test"]) {
    const command = ["curl", "-sS", "--max-time", "10", `http://${host}:${WEB_PORT}/bytes/10/1`, "-o", "/dev/null"];
    const { code, stderr } = await lab.exec("client", withNames(lab, "client", command));
    assertEquals([code, stderr], [0, ""], host);
  }
  await weir.wrote(`one.site.test:${WEB_PORT} DomainSuffix(test) → DIRECT`, 3000);
  await weir.wrote(`(real.test) DomainSuffix(test) → DIRECT`, 3000);
  // Nothing of the client's came out at port 53: every question outside is weir's own.
  assertEquals(world.questions.filter((question) => !question.endsWith("from 10.77.0.1")), []);
  assert(!world.questions.some((question) => question.includes(" two.site.test ")), world.questions.join("\n"));
  // Nobody has this address: the connection is opened to see whether it names somebody itself, then reset.
  const nobody = ["curl", "-sS", "--max-time", "5", "http://198.18.200.200/"];
  assertEquals((await lab.exec("client", nobody)).code, RESET);
  assertEquals(await weir.stop(), 0);

  const again = await start(lab, FAKE_IP);
  await addressOf(lab, "three.site.test");
  assertEquals(await addressOf(lab, "one.site.test"), first);
  assertEquals(await again.stop(), 0);
});

liveTest("weir run gives names to rules when addresses are real, and asks name servers as rules say", async (lab) => {
  if (await whyNoWorld("microsocks") !== undefined) return;
  const world = await ProxyWorld.start(lab, ["microsocks"]);
  await startWebServer(lab);
  const weir = await start(
    lab,
    `
dns:
  enable: true
  enhanced-mode: redir-host
  respect-rules: true
  nameserver: ["tcp://${SERVER_V4}"]
  proxy-server-nameserver: [${SERVER_V4}]
proxies: [${proxyEntry("microsocks", { server: "proxy.test" })}]
rules:
  - IP-CIDR,${SERVER_V4}/32,microsocks,no-resolve
  - DOMAIN,a.site.test,DIRECT
  - MATCH,REJECT
`.replace("  - IP-CIDR", "  - DST-PORT,53,microsocks\n  - DOMAIN,b.site.test,REJECT\n  - IP-CIDR"),
  );
  assertEquals(await addressOf(lab, "a.site.test"), SERVER_V4);
  const get = (host: string) => {
    const command = ["curl", "-sS", "--max-time", "10", `http://${host}:${WEB_PORT}/bytes/10/1`, "-o", "/dev/null"];
    return lab.exec("client", withNames(lab, "client", command));
  };
  // All names have the same address here, so that the connection itself has to say which one is meant.
  assertEquals((await get("b.site.test")).code, RESET);
  assertEquals((await get("c.site.test")).code, 0);
  await weir.wrote("(b.site.test) Domain(b.site.test) → REJECT", 3000);
  await weir.wrote(`(c.site.test) IPCIDR(${SERVER_V4}/32) → microsocks`, 3000);
  // The proxy's own name was asked for directly, all others through the proxy.
  const direct = world.questions.filter((question) => question.endsWith("from 10.77.0.1"));
  assertEquals(new Set(direct.map((question) => question.split(" ")[1])), new Set(["proxy.test"]));
  assert(world.questions.some((question) => question.startsWith("A c.site.test from 198.51.100.10")));
  assertEquals(await weir.stop(), 0);
});
