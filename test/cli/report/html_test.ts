import { assert, assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { REPORT_FLOWS_MAX, REPORT_STEPS_PER_FLOW_MAX } from "../../../core/base/limits.ts";
import type { ReplayResult } from "../../../core/cli/replay_result.ts";
import { renderReport } from "../../../core/cli/report/html.ts";
import { pageData } from "../../../core/cli/report/html_data.ts";
import { HOSTILE_TEXTS, makeHostileResult, makeResult } from "../../support/replay_results.ts";

const OPTIONS = { title: "morning.pcapng" } as const;
const VOID = new Set(["meta", "link", "img", "input", "br"]);

interface Parsed {
  tags: Map<string, number>;
  attributes: Set<string>;
  scripts: string[];
}

/** Walks over a page and fails at the first tag that does not nest, or attribute without double quotes. */
function parsePage(html: string): Parsed {
  const open: string[] = [];
  const parsed: Parsed = { tags: new Map(), attributes: new Set(), scripts: [] };
  const tag = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9-]*="[^"<>]*")*)\s*(\/?)>/y;
  assert(html.startsWith("<!DOCTYPE html>"));
  let at = "<!DOCTYPE html>".length;
  while (at < html.length) {
    const next = html.indexOf("<", at);
    const text = html.slice(at, next < 0 ? html.length : next);
    assertNotMatch(text, />/, "a stray >");
    assertNotMatch(text.replace(/&(amp|lt|gt|quot|#39);/g, ""), /&/, "a stray &");
    if (next < 0) break;
    tag.lastIndex = next;
    const match = tag.exec(html);
    assert(match !== null, `no tag: ${html.slice(next, next + 80)}`);
    const [, closing, name, attributes, empty] = match as unknown as [string, string, string, string, string];
    at = tag.lastIndex;
    for (const [, attribute] of attributes.matchAll(/([a-zA-Z][a-zA-Z0-9-]*)="/g)) parsed.attributes.add(attribute!);
    if (closing === "/") assertEquals(open.pop(), name, `at ${html.slice(next - 40, next + 20)}`);
    else {
      parsed.tags.set(name, (parsed.tags.get(name) ?? 0) + 1);
      if (VOID.has(name)) assertEquals(empty, "/", name);
      else open.push(name);
    }
    if (closing === "" && (name === "script" || name === "style")) {
      const end = html.indexOf(`</${name}`, at);
      if (name === "script") parsed.scripts.push(html.slice(at, end));
      at = end;
    }
  }
  assertEquals(open, []);
  return parsed;
}

function dataOf(html: string): ReturnType<typeof pageData> {
  return JSON.parse(parsePage(html).scripts[0]!);
}

Deno.test("renderReport() gives the same page for the same result", () => {
  const page = () => renderReport(makeResult({ seed: 1, flows: 300, explain: true }), OPTIONS);
  assertEquals(page(), page());
  assert(!/undefined|NaN|\[object/.test(page().split("<script")[0]!), "something was not there");
});

Deno.test("renderReport() names when the page was made only when it is told", () => {
  const result = makeResult({ seed: 1, flows: 3 });
  assertStringIncludes(renderReport(result, { ...OPTIONS, generated: "made on a Tuesday" }), "made on a Tuesday");
  assert(!renderReport(result, OPTIONS).includes("Tuesday"));
});

Deno.test("renderReport() writes well-formed HTML with the same elements, whatever the texts are", () => {
  const harmless = HOSTILE_TEXTS.map((_, i) => `name-${i}.example`);
  const plain = parsePage(renderReport(makeHostileResult(harmless), { title: "plain" }));
  const hostile = parsePage(renderReport(makeHostileResult(), { title: HOSTILE_TEXTS[1]! }));
  assertEquals([...hostile.tags.keys()].sort(), [...plain.tags.keys()].sort());
  assertEquals(hostile.attributes, plain.attributes);
  assertEquals(hostile.tags.get("script"), 2);
  assertEquals(hostile.scripts[1], plain.scripts[1]);
  for (const name of hostile.attributes) assert(!name.startsWith("on") && name !== "style", name);
});

Deno.test("renderReport() writes well-formed HTML for any strings", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.array(
      fc.constantFrom("<", ">", '"', "'", "&", "</script>", "<!--", "-->", "]]>", "\0", "\u2028", "=", " ", "a", "/"),
      {
        maxLength: 20,
      },
    ).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
      const html = renderReport(makeHostileResult(texts), { title: texts[0]! });
      assertEquals(parsePage(html).tags.get("script"), 2);
      assertNotMatch(html.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      assertEquals(dataOf(html).flows.length, texts.length);
    }),
    { seed: 12, numRuns: 60 },
  );
});

Deno.test("renderReport() allows its own style and script by hash and nothing else", () => {
  const html = renderReport(makeHostileResult(), OPTIONS);
  const csp = /Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!;
  const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const style = /<style>([^]*?)<\/style>/.exec(html)![1]!;
  assertEquals(csp.split("; "), [
    "default-src 'none'",
    `style-src ${hash(style)}`,
    `script-src ${hash(parsePage(html).scripts[1]!)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  assertNotMatch(html, /(?:src|href)="(?!data:)/, "something to load");
  assertNotMatch(style, /url\(|@import/);
  assertNotMatch(parsePage(html).scripts[1]!, /innerHTML|insertAdjacentHTML|document\.write|eval|new Function/);
});

Deno.test("renderReport() draws every picture and names it", () => {
  const html = renderReport(makeResult({ seed: 2, flows: 500 }), OPTIONS);
  for (
    const id of ["flows-over-time", "bytes-by-rule", "bytes-by-host", "bytes-by-process", "flows", "rules", "counters"]
  ) {
    assertStringIncludes(html, `id="${id}"`);
  }
  assertMatch(html, /aria-label="500 flows over time, stacked by verdict\. Busiest: /);
  for (const [, svg] of html.matchAll(/<svg([^>]*)>/g)) {
    assertMatch(svg!, /role="img" aria-label="[^"]+"|aria-hidden="true"/);
  }
  const { tags } = parsePage(html);
  assert(tags.get("table")! >= 7);
  assertEquals(tags.get("caption"), tags.get("table"));
});

/** Heights of the bars of one verdict, summed: proportional to the flows that are drawn. */
function drawnHeight(html: string, verdict: string): number {
  const layer = new RegExp(`<g class="fill-${verdict}">([^]*?)</g>`).exec(html)![1]!;
  return [...layer.matchAll(/ height="([\d.]+)"/g)].reduce((sum, [, height]) => sum + Number(height), 0);
}

Deno.test("renderReport() draws each flow once in the picture over time", () => {
  const result = makeResult({ seed: 3, flows: 700 });
  const html = renderReport(result, OPTIONS);
  const count = (verdict: string) => result.flows.filter((flow) => flow.verdict === verdict).length;
  const perFlow = drawnHeight(html, "direct") / count("direct");
  assert(perFlow > 0.5);
  for (const verdict of ["proxy", "reject", "drop"]) {
    const drift = Math.abs(drawnHeight(html, verdict) / count(verdict) - perFlow);
    assert(drift < 0.01, `${verdict} is drawn at another scale: ${drift}`);
  }
});

Deno.test("renderReport() draws captures of an instant, of a day and of a decade", () => {
  for (
    const [first, last] of [
      ["2024-05-01T10:00:00.000001Z", "2024-05-01T10:00:00.000002Z"],
      [
        "2024-05-01T00:00:00.000000Z",
        "2024-05-01T23:59:59.999999Z",
      ],
      ["2014-01-01T00:00:00.000000Z", "2024-05-01T00:00:00.000000Z"],
      ["", ""],
      ["?", "2024-05-01T10:00:00.000001Z"],
    ] as const
  ) {
    const result = makeResult({ seed: 4, flows: 2 });
    result.flows[0]!.start = first;
    result.flows[1]!.start = last;
    const html = renderReport(result, OPTIONS);
    parsePage(html);
    assert(!/NaN|Infinity/.test(html.split("<script")[0]!));
    const slots = [...html.matchAll(/class="slot"/g)].length;
    assertEquals(slots, first === "" ? 0 : first === "?" || last.endsWith("000002Z") ? 1 : 2);
    assert([...html.matchAll(/class="tick/g)].length <= 20);
  }
});

Deno.test("renderReport() says what a reader must know first", () => {
  const result = makeResult({ seed: 5, flows: 5 });
  assertStringIncludes(
    renderReport(result, OPTIONS),
    "stopped at byte 1,998: Cannot read record 14: the file ends inside it.",
  );
  assertStringIncludes(renderReport(result, OPTIONS), "= received");
  const wrong: ReplayResult = { ...result, counters: { ...result.counters, received: result.counters.received + 1 } };
  assertStringIncludes(renderReport(wrong, OPTIONS), "The counters do not add up");
  const clean: ReplayResult = { ...result, captures: [result.captures[0]!] };
  assert(!renderReport(clean, OPTIONS).includes('class="warnings"'));
});

Deno.test("renderReport() makes a page even of nothing", () => {
  const counters = { received: 0, delivered: 0, consumed: 0, queued: 0, dropped: {} };
  const html = renderReport({ schema: "weir.replay/1", captures: [], counters, flows: [], rules: [] }, OPTIONS);
  parsePage(html);
  assertEquals(dataOf(html).flows, []);
});

Deno.test("pageData() keeps every flow's facts and steps", () => {
  const { flows } = makeResult({ seed: 6, flows: 200, explain: true });
  const data = pageData(flows);
  assertEquals(data.flows.length, 200);
  flows.forEach((flow, i) => {
    const row = data.flows[i]!;
    const details = new Map<string, string>();
    for (let k = 0; k < row[12].length; k += 2) {
      details.set(data.names[row[12][k] as number]!, row[12][k + 1] as string);
    }
    assertEquals(details.get("host") ?? "", flow.metadata.host);
    assertEquals(details.get("processPath") ?? "", flow.metadata.processPath);
    assertEquals(details.get("destinationIP"), flow.metadata.destinationIP);
    assertEquals(row.slice(7, 10), [flow.packets, flow.upload, flow.download]);
    assertEquals(row[13].map((at) => data.steps[at]![0]), flow.explain!.map((step) => step.outcome as string));
    assertEquals(row[13].map((at) => data.steps[at]![3].split(",")[0]), flow.explain!.map((step) => step.why));
  });
  assert(data.steps.length < flows.reduce((sum, flow) => sum + flow.explain!.length, 0) / 2, "steps are said twice");
});

Deno.test("pageData() is bounded in flows and steps", () => {
  const [flow] = makeResult({ seed: 7, flows: 1, explain: true }).flows;
  const step = flow!.explain![0]!;
  const long = { ...flow!, explain: [...Array.from({ length: 5000 }, () => step), { ...step, why: "last" }] };
  const [row] = pageData([long]).flows;
  assertEquals(row![13].length, REPORT_STEPS_PER_FLOW_MAX);
  assertEquals(pageData([long]).steps[row![13].at(-1)!]![3], "last, 132 µs");
  const bare = { ...flow!, explain: [] };
  assertEquals(pageData(Array.from({ length: REPORT_FLOWS_MAX + 5 }, () => bare)).flows.length, REPORT_FLOWS_MAX);
});
