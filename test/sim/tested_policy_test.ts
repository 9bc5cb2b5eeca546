/** The example in the head of sim/mod.ts, and what it does not show. */
import { assertEquals, assertRejects } from "@std/assert";
import { replay, ReplaySetupError, TestedPolicy } from "../../sim/mod.ts";

Deno.test("TestedPolicy asks a script about names and flows, in the script's own words", async () => {
  await using policy = await TestedPolicy.load("scripts/policies/names.ts");
  assertEquals(await policy.askDns("ads.example.net"), { rcode: "nxdomain" });
  assertEquals(await policy.askDns("git.corp.example.com"), { upstream: ["10.0.0.53#office", "10.0.1.53#office"] });
  assertEquals(await policy.askDns("old.example.org", "AAAA"), { rewrite: "new.example.org" });
  assertEquals(await policy.askDns("printer.home.arpa"), { answer: ["192.168.1.20"], ttl: 300 });
  assertEquals(await policy.askDns("example.org"), undefined);
  assertEquals(await policy.ask({ host: "example.org", network: "tcp" }), undefined);
  assertEquals([policy.rules, policy.issues], [[], []]);
});

Deno.test("TestedPolicy tells what a script does with flows", async () => {
  await using policy = await TestedPolicy.load("scripts/policies/games.ts");
  const game = { process: "Game.exe", network: "udp", destinationPort: "27015" } as const;
  assertEquals(await policy.ask(game), { via: "DIRECT", program: "a program of its own" });
  assertEquals(await policy.ask({ ...game, network: "tcp" }), undefined);
});

Deno.test("TestedPolicy.load() refuses a script with mistakes, with each of them", async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, "export default { onDns( };");
  const error = await assertRejects(() => TestedPolicy.load(path), ReplaySetupError);
  assertEquals(error.issues.length, 1);
  await Deno.remove(path);
});

Deno.test("replay() says by which protocol each proxied flow arrived", async () => {
  const request = { captures: ["test/captures/demo.pcapng"], config: "scripts/policies/demo.yaml" };
  const { flows } = await replay({ ...request, stack: "netstack" });
  const played = flows.flatMap(({ play }) => play ?? []);
  assertEquals(played.map(({ outcome, proxy }) => `${outcome} by ${proxy?.protocols}`), [
    "equal by socks5",
    "equal by http",
    "equal by socks5",
    "equal by socks5",
    "equal by socks5",
  ]);
});
