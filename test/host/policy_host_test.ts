import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PolicyHost } from "../../core/host/policy_host.ts";
import { programText } from "../../core/decide/packet_program.ts";
import { line, meta, until, withPolicy } from "./policy_fixture.ts";

/** A policy whose `onConnection` is this body. It begins at line 3, column 3. */
function asking(body: string, head = ""): string {
  return `import { definePolicy } from "weir";${head}\nexport default definePolicy({\n  async onConnection(meta: any): Promise<any> {\n${body}\n  },\n});\n`
    .replace(
      body.includes("await") ? "@" : "async onConnection(meta: any): Promise<any>",
      body.includes("await") ? "@" : "onConnection(meta: any): any",
    );
}

Deno.test("PolicyHost.ask() hands on what the script answers", async () => {
  const body = `    if (meta.host === "a") return "office";
    if (meta.host === "b") return { duplicate: 2, via: "DIRECT" };
    if (meta.host === "c") return { program: [{ duplicate: 3, delay: "20ms" }] };
    if (meta.host === "g") return { program: " twice " };
    if (meta.host === "d") { await null; return "later"; }
    if (meta.host === "e") return {};`;
  await withPolicy(asking(body), {}, async ({ host, issues, told }) => {
    assertEquals(issues, []);
    assertEquals(host!.hasOnConnection, true);
    const answers = await Promise.all(
      ["a", "b", "c", "d", "e", "f", "g"].map((name) => host!.ask(meta({ host: name }))),
    );
    const texts = answers.map((answer) =>
      answer.kind === "verdict" && typeof answer.program === "object"
        ? { ...answer, program: programText(answer.program) }
        : answer
    );
    assertEquals(texts, [
      { kind: "verdict", via: "office", program: undefined },
      { kind: "verdict", via: "DIRECT", program: "each packet sent 2 times" },
      { kind: "verdict", via: undefined, program: "each packet delayed 20 ms, sent 3 times" },
      { kind: "verdict", via: "later", program: undefined },
      { kind: "rules" },
      { kind: "rules" },
      { kind: "verdict", via: undefined, program: "twice" },
    ]);
    assertEquals(told, []);
  });
});

Deno.test("PolicyHost.ruleLines say where each rule was made", async () => {
  const text = `import { definePolicy } from "weir";
import { more } from "./lib/more.ts";
export default definePolicy({
  rules: (r) => [r.processName("Netch.exe").direct(), r.geoip("CN").direct(),
    r.and(r.network("udp"), r.dstPort(443)).reject(),
    "MATCH,DIRECT", ...more(r)],
});`;
  const more = `import type { RuleBuilder } from "weir";
export const more = (r: RuleBuilder) => [
  r.domainSuffix("example.org").via("office"),
];`;
  await withPolicy({ "policy.ts": text, "lib/more.ts": more }, {}, ({ host }) => {
    assertEquals(host!.hasOnConnection, false);
    assertEquals(host!.ruleLines.map((rule) => `${rule.file.split("/").slice(4).join("/") || rule.file}`).length, 5);
    assertEquals(host!.ruleLines.map(({ text, line, column }) => `${text} ${line}:${column}`), [
      "PROCESS-NAME,Netch.exe,DIRECT 4:20",
      "GEOIP,CN,DIRECT 4:57",
      "AND,((NETWORK,udp),(DST-PORT,443)),REJECT 5:7",
      "MATCH,DIRECT 4:3",
      "DOMAIN-SUFFIX,example.org,office 3:5",
    ]);
    assert(host!.ruleLines[4]!.file.endsWith("/lib/more.ts"));
  });
});

const BAD_LOADS: [name: string, files: string | Record<string, string>, expected: string[]][] = [
  ["throws", 'const a: number = 1;\nthrow new RangeError("no " + a);', [
    "policy.ts:2:7 Cannot load the policy: RangeError: no 1",
  ]],
  ["throws in a sibling", { "policy.ts": 'import "./a.ts";\nexport default {};', "a.ts": "type T = 1;\n  null!.x;" }, [
    "a.ts:2:9 Cannot load the policy: TypeError: Cannot read properties of null (reading 'x')",
  ]],
  ["throws a text", 'throw "x";', ['policy.ts:1:1 Cannot load the policy: "x" was thrown']],
  [
    "throws in rules",
    'import { definePolicy } from "weir";\nexport default definePolicy({\n  rules: (r) => [\n    r.domain("a,b").direct()],\n});',
    [
      'policy.ts:4:7 Cannot load the policy: TypeError: Cannot make the rule: the name "a,b" holds a comma, which no rule of this type can',
    ],
  ],
  [
    "forgets a target",
    'import { definePolicy } from "weir";\nexport default definePolicy({ rules: (r: any) => [\n  r.domain("a")] });',
    [
      'policy.ts:3:5 Cannot load the policy: the rule has no target; add .direct(), .via("name"), .reject() or .drop()',
    ],
  ],
  ["exports nothing", "const a = 1;", [
    "policy.ts:1:1 Cannot load the policy: TypeError: the script exports no policy; it ends with `export default definePolicy({ … })`",
  ]],
  [
    "misspells a part",
    'import { definePolicy } from "weir";\nexport default definePolicy({\n  onConnect() {} } as any);',
    [
      "policy.ts:2:16 Cannot load the policy: TypeError: Cannot define the policy: there is no onConnect; its parts are rules, onConnection, onDns",
    ],
  ],
  ["has bad syntax", "const a = 1;\nconst é = '日本'; const = 5;", [
    "policy.ts:2:23 Cannot read the policy: Unexpected token `=`. Expected yield, an identifier, [ or {",
  ]],
  ["declares twice", "let a: number = 1;\nlet a = 2;", [
    "policy.ts:2:5 Cannot read the policy: Identifier 'a' has already been declared",
  ]],
  ["has an enum", "const s = '😀日本'; enum A { x }\nexport default {};", [
    "policy.ts:1:19 Cannot read the policy: TypeScript enum is not supported; write `const Name = { … } as const`",
  ]],
  ["has a parameter property", "class A { constructor(private x: number) {} }", [
    "policy.ts:1:31 Cannot read the policy: TypeScript parameter property is not supported; declare the field and assign it in the constructor",
  ]],
  ["has a namespace", "\nnamespace N { export const x = 1; }", [
    "policy.ts:2:1 Cannot read the policy: TypeScript namespace declaration is not supported; use a file of its own, or an object",
  ]],
  ["nests too deeply", `const a = ${"[".repeat(50_000)}`, [
    "policy.ts:1:1 Cannot read the policy: it nests too deeply",
  ]],
  [
    "imports what it may not",
    [
      'import "npm:yaml"; import "https://example.org/x.ts";',
      'import "node:fs"; import x from "/etc/x.ts";',
      'import "file:///etc/passwd"; import "yaml";',
      'import "../outside.ts"; export * from "./none.ts"; import "./a"; import "./b.txt"; import "data:text/javascript,1";',
    ].join("\n"),
    [
      'policy.ts:1:8 Cannot import "npm:yaml": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:1:27 Cannot import "https://example.org/x.ts": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:2:8 Cannot import "node:fs": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:2:33 Cannot import "/etc/x.ts": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:3:8 Cannot import "file:///etc/passwd": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:3:37 Cannot import "yaml": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
      'policy.ts:4:8 Cannot import "../outside.ts": it is outside the folder of policy.ts',
      'policy.ts:4:39 Cannot import "./none.ts": no such file',
      'policy.ts:4:59 Cannot import "./a": write the file\'s ending: "./a.ts"',
      'policy.ts:4:73 Cannot import "./b.txt": files end in .ts, .js or .json',
      'policy.ts:4:91 Cannot import "data:text/javascript,1": a policy imports "weir" and files in its own folder ("./name.ts"), nothing else',
    ],
  ],
  ["imports at run time", 'export default {\n  async onConnection() { await import("node:fs"); } };', [
    "policy.ts:2:32 Cannot read the policy: import() is not possible in a policy; write an import at the top",
  ]],
  ["imports bad JSON", {
    "policy.ts": 'import x from "./d.json" with { type: "json" };\nexport default {};',
    "d.json": '{\n  "a": 1,,\n}',
  }, [
    "d.json:2:10",
  ]],
];

for (const [name, files, expected] of BAD_LOADS) {
  Deno.test(`PolicyHost.load() reports a script that ${name}`, async () => {
    await withPolicy(files, {}, ({ host, issues }) => {
      assertEquals(host, undefined);
      assertEquals(
        issues.map((issue, index) =>
          line(issue).slice(0, expected[index]?.includes(" ") ? undefined : expected[index]?.length)
        ),
        expected,
      );
    });
  });
}

Deno.test("PolicyHost.load() reports a file that is missing, a folder, a device and bytes that are no text", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeFile(`${folder}/bytes.ts`, new Uint8Array([0xff, 0xfe, 0x00]));
  await Deno.writeFile(`${folder}/large.ts`, new Uint8Array((1 << 20) + 1).fill(32));
  const messages: [string, string][] = [
    [`${folder}/none.ts`, "no such file"],
    [folder, "it is no file"],
    ["/dev/zero", "it is no file"],
    [`${folder}/bytes.ts`, "it is no UTF-8 text"],
    [`${folder}/large.ts`, "it has 1048577 bytes, 1048576 are allowed"],
  ];
  for (const [path, message] of messages) {
    if (path === "/dev/zero" && Deno.build.os === "windows") continue;
    const { host, issues } = await PolicyHost.load(path);
    assertEquals(host, undefined);
    assertEquals(issues.map(line), [`${path}:1:1 Cannot read the policy: ${message}`]);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("PolicyHost.load() stops a script that never ends while it loads, where it does", async () => {
  await withPolicy("let x = 0;\n  for (;;) x++;", { loadDeadlineMs: 80 }, ({ issues }) => {
    assertEquals(issues.map(line), ["policy.ts:2:12 Cannot load the policy: it did not return within 80 ms"]);
  });
  await withPolicy("await new Promise(() => {});", { loadDeadlineMs: 80 }, ({ issues }) => {
    assertEquals(issues.map(line), ["policy.ts:1:1 Cannot load the policy: it did not finish within 80 ms"]);
  });
});

const BAD_ANSWERS: [body: string, expected: string][] = [
  ['    throw new Error("boom");', "4:11 Cannot ask the policy: Error: boom"],
  ['    await null;\n\n      throw new Error("boom");', "6:13 Cannot ask the policy: Error: boom"],
  ["    return Promise.reject(5);", "3:3 Cannot ask the policy: 5 was thrown"],
  [
    "    meta.nothing.more;",
    "4:18 Cannot ask the policy: TypeError: Cannot read properties of undefined (reading 'more')",
  ],
  ["    const f: any = 1, g: number = 2; f(g);", "4:38 Cannot ask the policy: TypeError: f is not a function"],
  [
    "    return 5;",
    "3:3 Cannot ask the policy: its answer makes no sense: expected a target's name, { via, program, duplicate, … } or undefined, found 5",
  ],
  ["    return null;", "found null"],
  ["    return Symbol.iterator;", "found a symbol"],
  ["    return () => 1;", "found a function"],
  ["    return new Array(1e6).fill({});", "found a list"],
  ["    return Object.fromEntries(Array.from({ length: 1e5 }, (_, n) => [n, n]));", 'there is no "0" in an answer'],
  ["    return { via: 5 };", "via is the name of a target, found 5"],
  ["    return { via: 'x'.repeat(1e6) };", "a text of 1000000 characters"],
  ["    return { duplicate: 1e9 };", "duplicate: expected a whole number from 1 to 10, found 1000000000"],
  ["    return { program: [{}, { delay: -1 }] };", "program[1].delay: expected a time from 0 to 10 s"],
  ["    return { program: { when: 'tcp and' } };", "program[0].when: "],
  ["    return { program: 'a', duplicate: 2 };", "an answer has either a program or the keys of one step, not both"],
  ["    return { get via() { throw new Error('got'); } };", "Error: got"],
  ["    return new Proxy({}, { ownKeys() { throw 7; } });", "7 was thrown"],
  ["    throw Object.create(null);", "an object was thrown"],
  [
    "    throw new Proxy(new Error(), { get() { throw 1; }, getPrototypeOf() { throw 2; } });",
    "something that cannot be read was thrown",
  ],
  ["    const f = (): any => f() + f(); return f();", "RangeError: Maximum call stack size exceeded"],
];

Deno.test("PolicyHost.ask() reports each bad answer at its place, and the rules decide", async (t) => {
  for (const [body, expected] of BAD_ANSWERS) {
    await t.step(body.trim(), async () => {
      await withPolicy(asking(body), {}, async ({ host, told, issues }) => {
        assertEquals(issues.map(line), []);
        const answer = await host!.ask(meta());
        assertEquals(answer.kind, "failed");
        assertEquals(told.length, 1);
        assertStringIncludes(line(told[0]!), expected);
        assertEquals((await host!.ask(meta())).kind, "failed");
        assertEquals(told.length, 1, "the same mistake is told once");
      });
    });
  }
});

const ENDLESS: [string, string][] = [
  ["for (;;);", "4:10"],
  ["while (true) { try { for (;;) {} } catch { } }", "4:"],
  [
    "const f = (n: number): any => f2(n) || f2(n); const f2 = (n: number): any => n > 60 ? 0 : f(n + 1); return f(0);",
    "4:",
  ],
  ["const a = [1]; for (const x of a) a.push(x * 0);", "4:"],
  ["for (;;) await null;", "4:11"],
  ["do meta.x = 1; while (1);", "4:5"],
];

Deno.test("PolicyHost.ask() stops a script that never returns at its loop, and what it remembers stays", async (t) => {
  for (const [body, place] of ENDLESS) {
    await t.step(body, async () => {
      const text = asking(`    calls++; if (meta.host === "count") return String(calls);\n ${body}`, " let calls = 0;");
      await withPolicy(text, { deadlineMs: 80 }, async ({ host, told }) => {
        const [hung, next] = await Promise.all([host!.ask(meta()), host!.ask(meta({ host: "count" }))]);
        assertEquals(hung.kind, "failed");
        assertEquals(next, { kind: "verdict", via: "2", program: undefined });
        assertEquals(told.length >= 1, true);
        assertStringIncludes(line(told[0]!), "it did not return within 80 ms");
        assertStringIncludes(line(told[0]!), `policy.ts:${place.replace("4:", "5:")}`);
      });
    });
  }
});

Deno.test("PolicyHost.ask() gives up a promise that is never settled, and goes on", async () => {
  const body = '    if (meta.host === "a") await new Promise(() => {});\n    return "x";';
  await withPolicy(asking(body), { deadlineMs: 60 }, async ({ host, told }) => {
    const [never, next] = await Promise.all([host!.ask(meta({ host: "a" })), host!.ask(meta())]);
    assertEquals(never.kind, "failed");
    assertEquals(next, { kind: "verdict", via: "x", program: undefined });
    assertEquals(told.map(line), [
      "policy.ts:3:9 Cannot ask the policy: its promise was not settled in time (deadline 60 ms)",
    ]);
  });
});

Deno.test("PolicyHost.ask() starts a worker anew that does not stop by itself", async () => {
  // A regular expression that backtracks for about a second (cold): nothing in the script runs meanwhile that could look at the clock.
  const body =
    '    calls++;\n    if (meta.host === "a") return /^(a+)+$/.test("a".repeat(24) + "b");\n    return String(calls);';
  await withPolicy(asking(body, " let calls = 0;"), { deadlineMs: 60 }, async ({ host, told }) => {
    assertEquals(await host!.ask(meta()), { kind: "verdict", via: "1", program: undefined });
    const answers = await Promise.all([host!.ask(meta({ host: "a" })), host!.ask(meta())]);
    assertEquals(answers.map(({ kind }) => kind), ["failed", "failed"]);
    assertEquals(told.map(line), [
      "policy.ts:3:3 Cannot ask the policy: it did not return within 60 ms; the rules decide",
    ]);
    assertEquals(
      await host!.ask(meta()),
      { kind: "verdict", via: "1", program: undefined },
      "a new worker counts from the start",
    );
  });
});

Deno.test("PolicyHost.ask() asks no more after three hangs in a row, and answers at once", async () => {
  await withPolicy(asking('    if (meta.host !== "good") for (;;);'), { deadlineMs: 40 }, async ({ host, told }) => {
    for (const name of ["a", "b", "good", "a", "b"]) await host!.ask(meta({ host: name }));
    assertEquals(told.length, 1, "a good answer begins the count again");
    await host!.ask(meta({ host: "c" }));
    assertEquals(
      told.map(line).at(-1),
      "policy.ts:3:3 Cannot ask the policy: it hung or broke 3 times in a row; the rules decide until it changes",
    );
    const turn = new Promise<undefined>((done) => setTimeout(() => done(undefined), 0));
    const first = await Promise.race([host!.ask(meta({ host: "good" })), turn]);
    await turn;
    assertEquals(first?.kind, "failed");
  });
});

Deno.test("PolicyHost.ask() asks no more after ten missed deadlines, however good the answers between them are", async () => {
  const bodies = [
    '    if (meta.host !== "good") for (;;);',
    '    if (meta.host !== "good") await new Promise(() => {});',
  ];
  for (const body of bodies) {
    await withPolicy(asking(body), { deadlineMs: 20 }, async ({ host, told }) => {
      for (let flow = 0; flow < 10; flow++) {
        assertEquals((await host!.ask(meta({ host: "good" }))).kind, "rules");
        assertEquals((await host!.ask(meta({ host: "bad" }))).kind, "failed");
      }
      assertMatch(told.map(line).at(-1)!, /it missed its deadline for 10 flows; the rules decide until it changes$/);
      assertEquals((await host!.ask(meta({ host: "good" }))).kind, "failed");
    });
  }
});

Deno.test("PolicyHost.ask() answers 1,000 calls in flight, each its own", async () => {
  const body = '    if (Number(meta.sourcePort) % 3 === 0) await null;\n    return "t" + meta.sourcePort;';
  await withPolicy(asking(body), { deadlineMs: 2_000 }, async ({ host, told }) => {
    const ports = Array.from({ length: 1_000 }, (_, port) => String(port));
    const answers = await Promise.all(ports.map((sourcePort) => host!.ask(meta({ sourcePort }))));
    assertEquals(answers, ports.map((port) => ({ kind: "verdict", via: `t${port}`, program: undefined })));
    assertEquals(told, []);
  });
});

Deno.test("PolicyHost.ask() bounds the calls in flight", async () => {
  await withPolicy(
    asking("    await new Promise((done) => setTimeout(done, 20));"),
    { deadlineMs: 5_000 },
    async ({ host, told }) => {
      const answers = await Promise.all(Array.from({ length: 4_100 }, () => host!.ask(meta())));
      assertEquals(answers.filter(({ kind }) => kind === "failed").length, 4);
      assertEquals(told.map(line), ["policy.ts:3:9 Cannot ask the policy: more than 4096 flows wait for its answer"]);
    },
  );
});

Deno.test("PolicyHost hands on what the script logs, with its place, and not without end", async () => {
  const body =
    '    console.log("a", { b: [1] }, meta.host);\n    console.error("e"); for (let n = 0; n < 500; n++) console.debug(n);';
  // A busy machine may need most of a second for a hundred lines with their stacks; the deadline is not what this is about.
  await withPolicy(asking(body), { deadlineMs: 20_000 }, async ({ host, logs }) => {
    assertEquals(await host!.ask(meta({ host: "h" })), { kind: "rules" });
    assertEquals(logs[0], { level: "info", text: "a { b: [ 1 ] } h", file: "policy.ts", line: 4, column: 13 });
    assertEquals(logs[1], { level: "error", text: "e", file: "policy.ts", line: 5, column: 13 });
    assertEquals(logs.length, 100);
    assertEquals(logs[99]?.text, "… more lines are left out");
  });
});

Deno.test("PolicyHost reports what fails where nobody waits", async () => {
  const body =
    '    setTimeout(() => { throw new Error("timer"); }, 0);\n    Promise.reject(new Error("promise"));\n    return "x";';
  await withPolicy(asking(body), {}, async ({ host, told }) => {
    assertEquals((await host!.ask(meta())).kind, "verdict");
    await until(() => told.length >= 2);
    assertEquals(told.map(line).toSorted(), [
      "policy.ts:4:30 The policy failed where nobody waited for it: Error: timer",
      "policy.ts:5:20 The policy failed where nobody waited for it: Error: promise",
    ]);
    assertEquals((await host!.ask(meta())).kind, "verdict", "it goes on");
  });
});

Deno.test("PolicyHost.close() lets the rules decide what waits", async () => {
  await withPolicy(asking("    await new Promise(() => {});"), {}, async ({ host }) => {
    const waiting = host!.ask(meta());
    await host!.close();
    assertEquals(await waiting, { kind: "rules" });
    assertEquals(await host!.ask(meta()), { kind: "rules" });
  });
});
