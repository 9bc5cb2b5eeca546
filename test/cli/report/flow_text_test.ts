import { assertEquals } from "@std/assert";
import { emptyFacts, toMetadata } from "../../../core/classify/facts.ts";
import type { ExplainStep } from "../../../core/decide/verdict.ts";
import {
  destinationText,
  endpoint,
  hostText,
  outcomeText,
  processText,
  ruleText,
  sourceText,
  stepText,
  stepWhy,
  verdictText,
} from "../../../core/cli/report/flow_text.ts";
import { makeResult } from "../../support/replay_results.ts";

const METADATA = {
  ...toMetadata(emptyFacts("tcp")),
  sourceIP: "10.0.0.1",
  sourcePort: "5000",
  destinationIP: "2001:db8::1",
};

Deno.test("endpoint() puts brackets round IPv6 and leaves out a port that is none", () => {
  assertEquals(endpoint("1.2.3.4", "443"), "1.2.3.4:443");
  assertEquals(endpoint("2001:db8::1", "443"), "[2001:db8::1]:443");
  assertEquals(endpoint("2001:db8::1", "0"), "2001:db8::1");
  assertEquals(endpoint("a\x1bb", ""), "a\\x1bb");
});

Deno.test("destinationText() and hostText() prefer the name to the address", () => {
  const named = { ...METADATA, host: "example.org", destinationPort: "443" };
  assertEquals([destinationText(named), hostText(named)], ["example.org:443", "example.org"]);
  assertEquals([destinationText(METADATA), hostText(METADATA)], ["2001:db8::1", "2001:db8::1"]);
  assertEquals(sourceText(METADATA), "10.0.0.1:5000");
});

Deno.test("processText() falls back to the end of the path", () => {
  assertEquals(processText({ ...METADATA, process: "curl", processPath: "/usr/bin/other" }), "curl");
  assertEquals(processText({ ...METADATA, processPath: "/usr/bin/curl" }), "curl");
  assertEquals(processText({ ...METADATA, processPath: "C:\\Tools\\curl.exe" }), "curl.exe");
  assertEquals(processText(METADATA), "");
});

Deno.test("verdictText() names the way without what the verdict says already", () => {
  const flow = makeResult({ seed: 1, flows: 1 }).flows[0]!;
  const text = (verdict: typeof flow.verdict, ...chains: string[]) => verdictText({ ...flow, verdict, chains });
  assertEquals(text("direct", "DIRECT"), "direct");
  assertEquals(text("drop", "REJECT-DROP"), "drop");
  assertEquals(text("direct", "DIRECT", "Rest"), "direct Rest");
  assertEquals(text("proxy", "ss-1", "fast", "office"), "proxy office → fast → ss-1");
  assertEquals(text("proxy", "direct-line"), "proxy direct-line");
  assertEquals(text("direct"), "direct");
  assertEquals(text("proxy", "a-long-name-of-a-proxy", "b"), "proxy b → a-long-name-of-a-proxy");
});

Deno.test("ruleText(), stepText() and stepWhy() word rules and steps", () => {
  assertEquals([ruleText("Match", ""), ruleText("Domain", "a.b"), ruleText("", "")], [
    "Match",
    "Domain(a.b)",
    "no rule",
  ]);
  const step: ExplainStep = {
    kind: "rule",
    type: "Domain",
    payload: "a.b",
    target: "x",
    outcome: "mismatch",
    why: "no",
  };
  assertEquals([stepText(step), stepWhy(step), outcomeText(step.outcome)], ["Domain(a.b) → x", "no", "no match"]);
  const lookup: ExplainStep = { ...step, kind: "lookup", type: "resolve", payload: "", target: "", costUs: 1534 };
  assertEquals([stepText(lookup), stepWhy(lookup)], ["lookup resolve", "no, 1.53 ms"]);
  assertEquals(stepText({ ...step, kind: "default", type: "", payload: "", target: "DIRECT" }), "default → DIRECT");
  assertEquals(outcomeText("constructor"), "constructor");
});
