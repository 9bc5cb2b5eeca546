/** `onDns` in its worker: what it answers, how it fails, and what it is bounded by. */
import { assertEquals, assertMatch } from "@std/assert";
import { formatIp } from "../../core/base/ip_address.ts";
import type { AskedDns } from "../../core/host/dns_service.ts";
import { line, meta, until, withPolicy } from "./policy_fixture.ts";

/** A policy whose `onDns` is this body. It begins at line 3, column 3. */
function answering(body: string): string {
  const head = body.includes("await") ? "async onDns(question: any): Promise<any>" : "onDns(question: any): any";
  return `import { definePolicy } from "weir";\nexport default definePolicy({\n  ${head} {\n${body}\n  },\n});\n`;
}

const A = { name: "a.example", type: "A" };

function shown(verdict: AskedDns | undefined): unknown {
  if (verdict?.kind === "answer") return [verdict.addresses.map(formatIp), verdict.ttl];
  if (verdict?.kind === "upstream") {
    return verdict.servers.map(({ scheme, host, port, via }) => [scheme, host, port, via]);
  }
  return verdict;
}

Deno.test("PolicyHost.askDns() hands on what the script answers", async () => {
  const body = `    if (question.type === "TXT") return { rcode: "nxdomain" };
    if (question.type === "HTTPS") { await null; return "REFUSE"; }
    switch (question.name) {
      case "a.example": return { answer: ["1.2.3.4", "2001:db8::1"], ttl: 60 };
      case "b.example": return { rewrite: "B.other" };
      case "c.example": return { upstream: ["tls://1.1.1.1", "https://dns.example/dns-query#office"] };
      case "d.example": return {};
    }`;
  await withPolicy(answering(body), {}, async ({ host, issues, told }) => {
    assertEquals(issues, []);
    assertEquals([host!.hasOnDns, host!.hasOnConnection], [true, false]);
    const ask = async (name: string, type = "A") => shown(await host!.askDns({ name: `${name}.example`, type }));
    assertEquals(await ask("x", "TXT"), { kind: "rcode", rcode: "NXDOMAIN" });
    assertEquals(await ask("x", "HTTPS"), { kind: "rcode", rcode: "REFUSED" });
    assertEquals(await ask("a"), [["1.2.3.4", "2001:db8::1"], 60]);
    assertEquals(await ask("b"), { kind: "rewrite", name: "b.other" });
    assertEquals(await ask("c"), [["tls", "1.1.1.1", 853, ""], ["https", "dns.example", 443, "office"]]);
    assertEquals(await ask("d"), undefined);
    assertEquals(await ask("e"), undefined);
    assertEquals(told, []);
    assertEquals(await host!.ask(meta()), { kind: "rules" });
  });
});

Deno.test("PolicyHost.askDns() reports each mistake with its place, and leaves the question to the configuration", async (t) => {
  const cases: [name: string, body: string, expected: string][] = [
    ["throws", '    throw new RangeError("no");', "policy.ts:4:11 Cannot ask the policy: RangeError: no"],
    ["rejects", "    await null;\n    return question.x.y;", "TypeError: Cannot read properties of undefined"],
    [
      "throws in a getter",
      "    return { get answer() { return null!.x; } };",
      "Cannot ask the policy: TypeError: Cannot read properties of null (reading 'x')",
    ],
    [
      "makes no sense",
      "    return 5;",
      'policy.ts:3:3 Cannot ask the policy: its answer makes no sense: expected "REFUSE"',
    ],
    ["names no address", '    return { answer: "here" };', 'makes no sense: answer holds IP addresses, found "here"'],
    [
      "names no server",
      '    return { upstream: "smtp://1.1.1.1" };',
      'policy.ts:3:3 Cannot ask the policy: its answer makes no sense: there is no name server "smtp://1.1.1.1"; write one like',
    ],
    ["hangs", "    for (;;);", "Cannot ask the policy: it did not return within 100 ms"],
    [
      "hangs where no check sees it",
      '    return /^(a+)+$/.test("a".repeat(40) + "!") ? "REFUSE" : undefined;',
      "policy.ts:3:3 Cannot ask the policy: it did not return within 100 ms; the configuration answers",
    ],
    [
      "never settles",
      "    await new Promise(() => {});",
      "policy.ts:3:9 Cannot ask the policy: its promise was not settled in time (deadline 100 ms)",
    ],
  ];
  for (const [name, body, expected] of cases) {
    await t.step(name, async () => {
      await withPolicy(answering(body), { deadlineMs: 100 }, async ({ host, told }) => {
        assertEquals(await host!.askDns(A), undefined);
        assertEquals(told.map(line).join("\n").includes(expected), true, told.map(line).join("\n"));
      });
    });
  }
});

Deno.test("PolicyHost.askDns() asks no more after three hangs, until the policy changes", async () => {
  await withPolicy(answering("    for (;;);"), { deadlineMs: 30 }, async ({ host, told }) => {
    for (let n = 0; n < 4; n++) assertEquals(await host!.askDns(A), undefined);
    assertMatch(
      told.map(line).join("\n"),
      /policy\.ts:3:3 Cannot ask the policy: it hung or broke 3 times in a row; the rules decide until it changes/,
    );
  });
});

Deno.test("a policy that breaks its surroundings gets one outcome a question", async (t) => {
  const breaking = [
    "Array.prototype.map = Array.prototype.push = Object.keys = (() => { throw 1; }) as any;",
    "String.prototype.split = (() => [1]) as any; Array.isArray = (() => true) as any;",
    "for (const k of ['answer', 'rcode', 'kind', 'id', 'ttl', 'then']) Object.defineProperty(Object.prototype, k, { get() { return 5; }, set() {} });",
    "Number.isInteger = (() => true) as any; RegExp.prototype.test = (() => true) as any;",
  ];
  const answers = ['{ answer: ["1.2.3.4", "nonsense"], ttl: 1e300 }', '{ rewrite: "a b" }', '{ upstream: "\\u0000" }'];
  for (const code of breaking) {
    for (const answer of answers) {
      await t.step(`${code.slice(0, 40)}… ${answer}`, async () => {
        await withPolicy(`${code}\nexport default { onDns: () => (${answer}) };`, {
          deadlineMs: 100,
          loadDeadlineMs: 300,
        }, async ({ host, issues }) => {
          if (host === undefined) assertEquals(issues.length > 0, true);
          else assertEquals(await host.askDns(A), undefined, "what makes no sense outside does not count");
        });
      });
    }
  }
});

Deno.test("PolicyHost.askDns() and ask() do not take each other's answers", async () => {
  const text = `export default {
    async onDns(q: any) { await null; return { rewrite: q.name + ".dns" }; },
    onConnection: (m: any) => m.host,
  };`;
  await withPolicy(text, {}, async ({ host }) => {
    const all = await Promise.all(
      Array.from(
        { length: 200 },
        (_, n) => n % 2 === 0 ? host!.ask(meta({ host: `h${n}` })) : host!.askDns({ name: `n${n}`, type: "A" }),
      ),
    );
    all.forEach((answer, n) => {
      assertEquals(
        answer,
        n % 2 === 0 ? { kind: "verdict", via: `h${n}`, program: undefined } : { kind: "rewrite", name: `n${n}.dns` },
      );
    });
  });
});

Deno.test("PolicyHost takes a new onDns when the script changes, and gives up waiting questions on close", async () => {
  const version = (code: string) => `export default { rules: [], ${code} };`;
  await withPolicy(version(""), { watch: true, watchIntervalMs: 10 }, async ({ host, write }) => {
    assertEquals([host!.hasOnDns, await host!.askDns(A)], [false, undefined]);
    await write("policy.ts", version('onDns: () => "REFUSE"'));
    await until(() => host!.hasOnDns);
    assertEquals(await host!.askDns(A), { kind: "rcode", rcode: "REFUSED" });
    await write("policy.ts", version("onDns: () => new Promise(() => {})"));
    await until(() => true);
    await host!.close();
    assertEquals(await host!.askDns(A), undefined);
  });
});
