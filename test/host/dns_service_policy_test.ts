/** weir's DNS as a policy's `onDns` wants it: answers, return codes, other names, other servers. */
import { assert, assertEquals } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { POLICY_DNS_UPSTREAMS_MAX } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { loadConfig } from "../../core/config/load.ts";
import { type AskedDns, DnsService } from "../../core/host/dns_service.ts";
import type { DnsTransport } from "../../core/host/dns_transport.ts";
import { verdictOnQuestion } from "../../core/host/policy_dns.ts";
import { addressAnswer, readAnswer, readQuery, writeAnswer, writeQuery } from "../../core/dns/message.ts";
import type { Exchange } from "../../core/dns/resolver.ts";
import { MemoryFiles } from "../config/memory_files.ts";

/** A service whose name servers know every name: the usual one says 1.1.1.1, any other 9.9.9.9. */
async function serve(
  askPolicy: (name: string) => AskedDns | undefined,
  dns: Record<string, unknown> = {},
): Promise<{ service: DnsService; asked: string[]; ask(name: string, type?: string): Promise<string> }> {
  const text = JSON.stringify({
    hosts: { "fixed.example": "7.7.7.7" },
    dns: { enable: true, ipv6: true, nameserver: ["192.0.2.1"], ...dns },
    rules: ["MATCH,DIRECT"],
  });
  const { config, issues } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": text }));
  assertEquals(issues.filter(({ severity }) => severity === "error"), []);
  const asked: string[] = [];
  const exchange = ({ server, question, message }: Exchange) => {
    asked.push(`${server.scheme}://${server.host} ${question.type} ${question.name}`);
    const text = server.host === "192.0.2.1" ? "1.1.1.1" : "9.9.9.9";
    const answer = addressAnswer(question.name, question.type === "A" ? [parseIp(text)!] : [], 300);
    return Promise.resolve(writeAnswer(readQuery(message)!, answer, { bytesMax: 4_096 }));
  };
  const service = new DnsService({
    config: config!.dns,
    hosts: config!.decide.hosts,
    transport: { exchange, close: () => {} } as unknown as DnsTransport,
    resolveWithSystem: () => Promise.reject(new Error("not here")),
    clock: () => micros(1_000_000),
    uint32: () => 7,
    askPolicy: async ({ name }) => await askPolicy(name),
  });
  const ask = async (name: string, type = "A") => {
    const message = await service.handle(writeQuery(5, { name, type }), false);
    const answer = readAnswer(message!, { name, type });
    assert(answer !== undefined, "the answer is one to the question");
    const records = answer.answers.map((record) => `${record.name} ${record.type} ${record.ttl} ${record.data}`);
    return [answer.rcode, ...records].join("; ");
  };
  return { service, asked, ask };
}

const verdict = (read: Parameters<typeof verdictOnQuestion>[0]) => verdictOnQuestion(read) as AskedDns;

Deno.test("DnsService answers as the policy spells it out, and asks nobody", async () => {
  const verdicts = new Map<string, AskedDns>([
    ["a.example", verdict({ answer: ["1.2.3.4", "2001:db8::1"], ttl: 60 })],
    ["n.example", verdict({ rcode: "nxdomain" })],
    ["r.example", verdict({ rcode: "refused" })],
    ["e.example", verdict({ rcode: "success" })],
    ["s.example", verdict({ rcode: "servfail" })],
  ]);
  const { service, asked, ask } = await serve((name) => verdicts.get(name));
  assertEquals(await ask("a.example"), "NOERROR; a.example A 60 1.2.3.4");
  assertEquals(await ask("a.example", "AAAA"), "NOERROR; a.example AAAA 60 2001:db8::1");
  assertEquals(await ask("a.example", "HTTPS"), "NOERROR");
  assertEquals(await ask("n.example"), "NXDOMAIN");
  assertEquals(await ask("r.example"), "REFUSED");
  assertEquals(await ask("e.example"), "NOERROR");
  assertEquals(await ask("s.example", "TXT"), "SERVFAIL");
  assertEquals(asked, []);
  assertEquals(await ask("other.example"), "NOERROR; other.example A 300 1.1.1.1");
  assertEquals(asked, ["udp://192.0.2.1 A other.example"]);
  service.close();
});

Deno.test("DnsService answers for another name behind an alias, whatever the configuration makes of that name", async () => {
  const rewrite = (name: string) => name === "a.example" ? verdict({ rewrite: "fixed.example" }) : undefined;
  const plain = await serve(rewrite);
  assertEquals(await plain.ask("a.example"), "NOERROR; a.example CNAME 10 fixed.example; fixed.example A 10 7.7.7.7");
  const fake = await serve((name) => name === "a.example" ? verdict({ rewrite: "b.example" }) : undefined, {
    "enhanced-mode": "fake-ip",
    "fake-ip-range": "198.18.0.1/16",
  });
  const [, alias, address] = (await fake.ask("a.example")).split("; ");
  assertEquals(alias, "a.example CNAME 1 b.example");
  const given = parseIp(address!.split(" ").at(-1)!)!;
  assertEquals(fake.service.nameOf(given, micros(1_000_000)), "b.example");
  const same = await serve((name) => verdict({ rewrite: name }));
  assertEquals(await same.ask("x.example"), "NOERROR; x.example A 300 1.1.1.1");
  for (const { service } of [plain, fake, same]) service.close();
});

Deno.test("DnsService asks the servers that the policy chose, with a cache for each choice", async () => {
  const upstream = (server: string) => verdict({ upstream: [server] });
  const { service, asked, ask } = await serve(
    (name) =>
      name.startsWith("t.") ? upstream("tls://192.0.2.9") : name.startsWith("u.") ? upstream("192.0.2.9") : undefined,
    { "enhanced-mode": "fake-ip", "fake-ip-range": "198.18.0.1/16" },
  );
  for (let n = 0; n < 3; n++) assertEquals(await ask("t.example"), "NOERROR; t.example A 300 9.9.9.9");
  assertEquals(await ask("u.example"), "NOERROR; u.example A 300 9.9.9.9");
  assertEquals(asked, ["tls://192.0.2.9 A t.example", "udp://192.0.2.9 A u.example"]);
  service.close();
});

Deno.test("DnsService keeps no more choices of servers than its bound, the latest ones", async () => {
  const { service, asked, ask } = await serve((name) => verdict({ upstream: [`198.51.100.${name.split(".")[0]}`] }));
  for (let n = 0; n <= POLICY_DNS_UPSTREAMS_MAX; n++) await ask(`${n}.example`);
  await ask(`${POLICY_DNS_UPSTREAMS_MAX}.example`);
  await ask("1.example");
  assertEquals(asked.length, POLICY_DNS_UPSTREAMS_MAX + 1, "these are known still");
  await ask("0.example");
  assertEquals(asked.length, POLICY_DNS_UPSTREAMS_MAX + 2, "the first one was given up");
  service.close();
});

Deno.test("DnsService leaves a question to the configuration when asking fails", async () => {
  const { service, ask } = await serve(() => {
    throw new Error("no");
  });
  assertEquals(await ask("fixed.example").catch(() => "rejected"), "NOERROR; fixed.example A 10 7.7.7.7");
  service.close();
});
