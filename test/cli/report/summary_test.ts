import { assert, assertEquals } from "@std/assert";
import type { ReplayFlow } from "../../../core/cli/replay_result.ts";
import {
  accountedFor,
  bytesOf,
  dropsByCount,
  timeSpan,
  topTotals,
  totalOf,
  totalsByVerdict,
} from "../../../core/cli/report/summary.ts";
import { makeResult } from "../../support/replay_results.ts";

const { flows, counters } = makeResult({ seed: 11, flows: 500 });
const byHost = (flow: ReplayFlow) => flow.metadata.host;

Deno.test("totalsByVerdict() and topTotals() lose no flow and no byte", () => {
  const all = totalOf(flows);
  const verdicts = totalsByVerdict(flows);
  assertEquals(verdicts.map(({ key }) => key), ["direct", "proxy", "reject", "drop"]);
  assertEquals(verdicts.reduce((sum, each) => sum + each.flows, 0), 500);
  assertEquals(verdicts.reduce((sum, each) => sum + bytesOf(each), 0), bytesOf(all));
  for (const count of [0, 1, 3, 100]) {
    const { top, other } = topTotals(flows, byHost, count);
    assertEquals(top.reduce((sum, each) => sum + each.flows, other.flows), 500);
    assertEquals(top.reduce((sum, each) => sum + bytesOf(each), bytesOf(other)), bytesOf(all));
  }
});

Deno.test("topTotals() puts the largest first and shows a single rest by its name", () => {
  const { top, other } = topTotals(flows, byHost, 5);
  const sizes = top.map(bytesOf);
  assertEquals(sizes, sizes.toSorted((a, b) => b - a));
  assertEquals(top.length, 5);
  const hosts = new Set(flows.map(byHost)).size;
  assertEquals(other.groups, hosts - 5);
  assertEquals(topTotals(flows, byHost, hosts - 1).top.length, hosts);
  assertEquals(topTotals(flows, byHost, hosts - 1).other.groups, 0);
  assertEquals(topTotals([], byHost, 5), { top: [], other: { key: "", flows: 0, upload: 0, download: 0, groups: 0 } });
});

Deno.test("topTotals() is not confused by keys that objects have", () => {
  const odd = flows.slice(0, 3).map((flow, i) => ({ flow, key: ["__proto__", "constructor", "toString"][i]! }));
  const { top } = topTotals(odd.map(({ flow }) => flow), (flow) => odd.find((each) => each.flow === flow)!.key, 5);
  assertEquals(top.map(({ key }) => key).sort(), ["__proto__", "constructor", "toString"]);
});

Deno.test("accountedFor() is what the conservation law compares", () => {
  const { dropped, total } = accountedFor(counters);
  assertEquals(total, counters.received);
  assertEquals(dropped, dropsByCount(counters).reduce((sum, [, count]) => sum + count, 0));
  const sizes = dropsByCount(counters).map(([, count]) => count);
  assertEquals(sizes, sizes.toSorted((a, b) => b - a));
  assertEquals(dropsByCount({ ...counters, dropped: { a: 0, b: 1 } }), [["b", 1]]);
});

Deno.test("timeSpan() ignores flows without a readable time", () => {
  assertEquals(timeSpan([]), undefined);
  assertEquals(timeSpan([{ ...flows[0]!, start: "?" }]), undefined);
  const span = timeSpan([{ ...flows[0]!, start: "" }, ...flows])!;
  assert(span.first < span.last);
});
