import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ReplayResult } from "../../sim/mod.ts";
import { DEMO, DEMO_CONFIG, DEMO_POLICY, runWeir, withFile } from "../support/weir.ts";

Deno.test("replay prints one JSON document, the same twice, in which every packet is counted", async () => {
  const args = ["replay", DEMO, "--config", DEMO_CONFIG, "--policy", DEMO_POLICY, "--json"];
  const one = await runWeir(...args);
  const two = await runWeir(...args);
  assertEquals([one.status, one.errors, two.output], [0, "", one.output]);
  const result = JSON.parse(one.output) as ReplayResult;
  const { received, delivered, consumed, queued, dropped } = result.counters;
  const droppedSum = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  assertEquals(received, delivered + consumed + queued + droppedSum);
  assertEquals([result.schema, queued, received], ["weir.replay/1", 0, result.captures[0]!.packets]);
  const hits = result.rules.reduce((sum, rule) => sum + rule.hits, 0);
  const byPolicy = result.flows.filter((flow) => flow.rule === "Policy").length;
  assertEquals(hits + byPolicy, result.flows.length);
});

Deno.test("replay decides the demo's flows by process, name, address and policy", async () => {
  const { output } = await runWeir("replay", DEMO, "--config", DEMO_CONFIG, "--policy", DEMO_POLICY, "--json");
  const flows = (JSON.parse(output) as ReplayResult).flows;
  const find = (key: "host" | "process", value: string) => flows.find((flow) => flow.metadata[key] === value)!;
  const work = find("host", "www.example.com");
  assertEquals([work.rule, work.chains, work.verdict], ["DomainSuffix", ["office", "Work"], "proxy"]);
  assertEquals(find("process", "updater.exe").rule, "ProcessName");
  assertEquals(find("host", "ads.example.net").verdict, "reject");
  const game = find("process", "game.exe");
  assertEquals([game.rule, game.rulePayload, game.verdict], ["Policy", "onConnection", "direct"]);
  for (const flow of flows) assertMatch(flow.start, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

Deno.test("replay --explain tells for each flow which rules were tried", async () => {
  const { output } = await runWeir("replay", DEMO, "--config", DEMO_CONFIG, "--json", "--explain");
  const flows = (JSON.parse(output) as ReplayResult).flows;
  for (const flow of flows) {
    const matched = flow.explain!.filter((step) => step.kind === "rule" && step.outcome === "matched");
    // A sub-rule is followed by the rule inside it that matched.
    assert(matched.some((step) => step.type === flow.rule), JSON.stringify(flow.metadata));
    assert(matched.length <= (flow.rule === "SubRules" ? 2 : 1));
    assert(flow.explain!.every((step) => step.why !== ""));
  }
});

Deno.test("replay --out writes packets with the decisions, which replay as well", async () => {
  const out = await Deno.makeTempFile({ suffix: ".pcapng" });
  const report = await Deno.makeTempFile({ suffix: ".html" });
  try {
    const first = await runWeir("replay", DEMO, "--config", DEMO_CONFIG, "--out", out, "--report", report, "--json");
    assertEquals([first.status, first.errors], [0, ""]);
    const counters = (JSON.parse(first.output) as ReplayResult).counters;
    const again = JSON.parse((await runWeir("replay", out, "--json")).output) as ReplayResult;
    assertEquals(again.captures[0]!.error, null);
    assert(again.captures[0]!.packets >= counters.delivered && counters.delivered > 0);
    assertStringIncludes(
      new TextDecoder("latin1").decode(await Deno.readFile(out)),
      "weir: reject by RuleSet,ads via REJECT",
    );
    assertMatch(await Deno.readTextFile(report), /^<!doctype html>/i);
  } finally {
    await Deno.remove(out);
    await Deno.remove(report);
  }
});

Deno.test("replay keeps the good captures when one is bad, and says so with status 1", async () => {
  const zeroes = await Deno.makeTempFile();
  await Deno.writeFile(zeroes, new Uint8Array(100));
  const cut = await Deno.makeTempFile();
  await Deno.writeFile(cut, (await Deno.readFile(DEMO)).subarray(0, 50_000));
  try {
    const { status, output, errors } = await runWeir("replay", "test", zeroes, "missing.pcap", cut, DEMO, "--json");
    assertEquals(status, 1);
    const captures = (JSON.parse(output) as ReplayResult).captures;
    assertEquals(captures.map((capture) => capture.error === null), [false, false, false, false, true]);
    assert(captures[3]!.packets > 50 && captures[4]!.packets === 342);
    assertStringIncludes(captures[0]!.error!.message, "it is a directory");
    assertEquals(errors.trim().split("\n").length, 4);
  } finally {
    await Deno.remove(zeroes);
    await Deno.remove(cut);
  }
});

Deno.test("replay says what it cannot write, before it starts", async () => {
  for (const option of ["--out", "--report"]) {
    for (const [path, reason] of [["test", "directory"], ["no/such/folder/x", "folder does not exist"]] as const) {
      const { status, errors, output } = await runWeir("replay", DEMO, option, path);
      assertEquals([status, output], [1, ""], errors);
      assertStringIncludes(errors, `Cannot write ${path}`);
      assertStringIncludes(errors, reason);
    }
  }
});

Deno.test("replay goes on with the rules when a policy throws, hangs or talks nonsense, and says where", async () => {
  const head = `import { definePolicy } from "weir";\n`;
  const scripts: [string, string][] = [
    [`${head}export default definePolicy({ onConnection() { throw new Error("no idea"); } });`, "no idea"],
    [`${head}export default definePolicy({ onConnection: (() => 42) as never });`, "2:"],
    [`${head}export default definePolicy({ onConnection() { for (;;); } });`, "2:"],
  ];
  for (const [script, message] of scripts) {
    await withFile(script, ".ts", async (path) => {
      const { status, output, errors } = await runWeir(
        "replay",
        DEMO,
        "--config",
        DEMO_CONFIG,
        "--policy",
        path,
        "--json",
      );
      assertEquals(status, 0, errors);
      assertStringIncludes(errors, path);
      assertStringIncludes(errors, message);
      assert((JSON.parse(output) as ReplayResult).flows.every((flow) => flow.rule !== "Policy"));
    });
  }
});

Deno.test("replay tells every mistake of a configuration at once", async () => {
  const text =
    "rules:\n  - DOMIAN,a.com,DIRECT\n  - DOMAIN,b.com,NOWHERE\nrule-providers:\n  x: { type: file, behavior: domain, path: ./none.yaml }\n";
  await withFile(text, ".yaml", async (path) => {
    const { status, errors } = await runWeir("replay", DEMO, "--config", path);
    assertEquals(status, 2);
    for (const place of [":2:5: error: ", ":3:18: error: ", ":5:"]) assertStringIncludes(errors, path + place);
  });
});
