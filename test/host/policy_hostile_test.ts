/** A script that means harm reaches nothing, and cannot make its host stumble. */
import { assertEquals, assertMatch } from "@std/assert";
import { isFromWorker } from "../../core/host/policy_messages.ts";
import { line, meta, withPolicy } from "./policy_fixture.ts";

const REACHING: string[] = [
  'Deno.readTextFileSync("/etc/passwd")',
  "Deno.exit(3)",
  'Deno.stdout.writeSync(new TextEncoder().encode("x"))',
  'Deno.dlopen("libc.so.6", {})',
  'fetch("http://127.0.0.1:1/")',
  'new WebSocket("ws://127.0.0.1:1/")',
  'new Worker("data:text/javascript,1", { type: "module" })',
  "process.exit(3)",
  'process.getBuiltinModule("node:fs")',
  'require("node:fs")',
  "eval('import(\"node:fs\")')",
  "(0, eval)('1')",
  "new Function('return import(\"node:fs\")')()",
  "(() => {}).constructor('return 1')()",
  "(async () => {}).constructor('return 1')()",
  "(function* () {}).constructor('return 1')()",
  "(async function* () {}).constructor('return 1')()",
  "Reflect.construct(Object.getPrototypeOf(async () => {}).constructor, ['return 1'])",
  "postMessage({ kind: 'answer', id: 0, via: 'forged' })",
  "self.postMessage(1)",
  "close()",
  'prompt("?")',
  'new BroadcastChannel("x")',
  "new MessageChannel()",
  "caches",
  "localStorage",
  "new WebAssembly.Memory({ initial: 1 })",
  'new EventSource("http://127.0.0.1:1/")',
  "setTimeout('1', 0)",
  'importScripts("x")',
];

Deno.test("a policy cannot use what reaches out of its worker", async (t) => {
  const cases = REACHING.map((code, index) => `    if (meta.host === "${index}") (${code});`).join("\n");
  const text = `export default {\n  onConnection(meta: any) {\n${cases}\n    return "alive";\n  },\n};`
    .replace(
      /\b(Deno|process|require|eval|caches|localStorage|WebAssembly|postMessage|self)\b/g,
      "(globalThis as any).$1",
    )
    .replaceAll("globalThis as any).self.(globalThis as any).postMessage", "globalThis as any).self.postMessage")
    .replaceAll("(0, (globalThis as any).eval)", "(0, eval as any)");
  await withPolicy(text, {}, async ({ host, issues }) => {
    assertEquals(issues.map(line), []);
    for (const [index, code] of REACHING.entries()) {
      await t.step(code, async () => {
        const answer = await host!.ask(meta({ host: String(index) }));
        assertMatch(
          answer.kind === "failed" ? line(answer.issue) : JSON.stringify(answer),
          new RegExp(
            `policy\\.ts:${
              index + 3
            }:\\d+ Cannot ask the policy: (TypeError: Cannot (use|start)|ReferenceError: \\w+ is not defined)`,
          ),
        );
      });
    }
    assertEquals(await host!.ask(meta()), { kind: "verdict", via: "alive", program: undefined });
  });
});

const BREAKING: [name: string, code: string][] = [
  [
    "takes the methods of the language away",
    "Array.prototype.map = Array.prototype.push = Object.keys = JSON.stringify = (() => { throw 1; }) as any;",
  ],
  [
    "lays traps under every object",
    "for (const k of ['kind', 'id', 'via', 'secret', 'data', 'then']) Object.defineProperty(Object.prototype, k, { get() { return 5; }, set() {} });",
  ],
  [
    "rewrites stacks",
    "(Error as any).prepareStackTrace = () => ({ toString() { throw 1; } }); (Error as any).stackTraceLimit = 0;",
  ],
  [
    "listens to what the host says",
    "addEventListener('message', () => { throw 1; }); (globalThis as any).onmessage = () => { throw 2; };",
  ],
  ["breaks promises", "Promise.prototype.then = function () { return this as any; } as any;"],
  ["changes its own policy", "Object.defineProperty(globalThis, 'performance', { value: null });"],
];

Deno.test("a policy that breaks its surroundings gets one outcome a call", async (t) => {
  for (const [name, code] of BREAKING) {
    await t.step(name, async () => {
      await withPolicy(`${code}\nexport default { onConnection: (m: any) => "x" };`, {
        deadlineMs: 100,
        loadDeadlineMs: 300,
      }, async ({ host, issues }) => {
        if (host === undefined) assertEquals(issues.length > 0, true);
        else for (let n = 0; n < 3; n++) assertMatch((await host.ask(meta())).kind, /^(verdict|failed|rules)$/);
      });
    });
  }
});

Deno.test("a policy that gathers memory is started anew", async () => {
  const text =
    "const held: any[] = [];\nexport default { onConnection() { held.push(new Array(1_300_000).fill(held.length + 0.5)); return String(held.length); } };";
  await withPolicy(text, { deadlineMs: 3_000 }, async ({ host, told }) => {
    const counts: number[] = [];
    for (let n = 0; n < 60; n++) {
      const answer = await host!.ask(meta());
      counts.push(answer.kind === "verdict" ? Number(answer.via) : 0);
    }
    assertMatch(
      told.map(line).join("\n"),
      /^policy\.ts:2:18 Cannot ask the policy: it holds \d+ MiB of memory; the rules decide$/,
    );
    assertEquals(Math.max(...counts) < 60, true, "a new worker began to count from the start");
  });
});

Deno.test("isFromWorker() takes the worker's own messages and nothing else", () => {
  const good: Record<string, unknown>[] = [
    { kind: "loaded", rules: [["MATCH,DIRECT", "stack"]], onConnection: true, onDns: false },
    { kind: "failed", error: { message: "m", stack: "s" } },
    { kind: "pending", id: 0 },
    { kind: "answer", id: 1, via: undefined, program: undefined },
    { kind: "dnsAnswer", id: 1, answer: undefined },
    { kind: "dnsAnswer", id: 1, answer: { rcode: "refused" } },
    { kind: "nonsense", id: 1, message: "m" },
    { kind: "threw", id: 1, error: { message: "m", stack: "s" } },
    { kind: "late", id: 1, error: { message: "m", stack: "s" } },
    { kind: "uncaught", error: { message: "m", stack: "s" } },
    { kind: "log", level: "info", text: "t", stack: "s" },
    { kind: "memory", heap: 5 },
  ];
  for (const message of good) {
    assertEquals(isFromWorker({ ...message, secret: "s" }, "s"), true, String(message.kind));
    assertEquals(isFromWorker({ ...message, secret: "t" }, "s"), false);
    for (const field of Object.keys(message)) {
      if (["via", "program"].includes(field)) continue; // read again by readAnswer
      for (const bad of [null, [], {}, -1, 0.5, "x".repeat(100_000), () => 1]) {
        if (field === "answer" && JSON.stringify(bad) === "{}") continue; // read again by readDnsAnswer
        if (field === "rules" && Array.isArray(bad) || field === "heap" && typeof bad === "number") continue;
        assertEquals(
          isFromWorker({ ...message, secret: "s", [field]: bad }, "s"),
          false,
          `${message.kind} ${field} ${bad}`,
        );
      }
    }
  }
  for (const data of [undefined, null, 5, "x", [], { secret: "s" }, new Map()]) {
    assertEquals(isFromWorker(data, "s"), false);
  }
});
