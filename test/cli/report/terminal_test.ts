import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { ReplayResult } from "../../../core/cli/replay_result.ts";
import { renderReplay } from "../../../core/cli/report/terminal.ts";
import { widthOf } from "../../../core/cli/report/width.ts";
import { HOSTILE_TEXTS, makeHostileResult, makeResult } from "../../support/replay_results.ts";
import { assertGolden } from "./golden.ts";

const PLAIN = { color: false, explain: false } as const;

function small(): ReplayResult {
  const result = makeResult({ seed: 5, flows: 9, explain: true });
  const [first, second] = result.flows;
  first!.metadata.host = "";
  first!.metadata.destinationIP = "2001:db8:85a3:8d3:1319:8a2e:370:7348";
  second!.metadata.host = "とても長い名前のサーバー.例え.テスト";
  second!.metadata.process = "ブラウザ";
  return result;
}

for (const columns of [80, 100, 120, 200]) {
  Deno.test(`renderReplay() fits its table when the terminal has ${columns} columns`, async () => {
    await assertGolden(import.meta.url, `terminal_${columns}.txt`, renderReplay(small(), { columns, ...PLAIN }));
  });
}

Deno.test("renderReplay() lists each flow's steps when asked to explain", async () => {
  await assertGolden(
    import.meta.url,
    "terminal_explain.txt",
    renderReplay({ ...small(), flows: small().flows.slice(0, 3) }, { columns: 100, color: false, explain: true }),
  );
});

/** Text without the colours that paint() makes; any other escape sequence stays and is found by the caller. */
function withoutColours(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;]*m/g, "");
}

Deno.test("renderReplay() is the same with and without colours, but for the colours", () => {
  for (const result of [small(), makeHostileResult()]) {
    const coloured = renderReplay(result, { columns: 100, color: true, explain: true });
    assertMatch(coloured, /\x1b\[36mproxy/);
    assertEquals(withoutColours(coloured), renderReplay(result, { columns: 100, color: false, explain: true }));
    for (const line of coloured.split("\n")) {
      // Every tint ends on its own line, so that a pager or a cut line is not left coloured.
      const codes = line.match(/\x1b\[[0-9;]*m/g) ?? [];
      assertEquals(codes.length % 2, 0);
      codes.forEach((code, i) => assertEquals(code === "\x1b[0m", i % 2 === 1));
    }
  }
});

/** The table's lines must start each column at the same cell; `heads` names the columns that are there. */
function assertAligned(table: readonly string[]): void {
  // Where all lines have a blank column of cells, the head has one as well: measured over cells, not characters.
  const cells = table.map((line) => {
    const filled: boolean[] = [];
    for (const { segment } of new Intl.Segmenter("en").segment(line)) {
      for (let i = 0; i < widthOf(segment); i++) filled.push(segment !== " ");
    }
    return filled;
  });
  const widest = Math.max(...cells.map((line) => line.length));
  const starts: number[] = [];
  for (let at = 0; at < widest; at++) {
    const blankBefore = at < 2 || cells.every((line) => !line[at - 1] && !line[at - 2]);
    if (blankBefore && cells.some((line) => line[at])) starts.push(at);
  }
  assert(starts.length >= 4, `the columns run into each other:\n${table.join("\n")}`);
}

function checkHarmless(result: ReplayResult, widths: readonly number[]): void {
  for (const columns of widths) {
    for (const explain of [false, true]) {
      const text = renderReplay(result, { columns, color: false, explain });
      assert(text.endsWith("\n"));
      for (const line of text.slice(0, -1).split("\n")) {
        assert(!/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(line), `control character in ${JSON.stringify(line)}`);
        assert(widthOf(line) <= columns, `${widthOf(line)} cells at ${columns} columns: ${line}`);
      }
      if (!explain) assertAligned(text.split("\n").slice(0, result.flows.length + 1));
    }
  }
}

Deno.test("renderReplay() keeps its columns and emits no control character when texts are hostile", () => {
  checkHarmless(makeHostileResult(), [40, 60, 80, 100, 120, 200]);
});

Deno.test("renderReplay() keeps its columns and emits no control character whatever the texts are", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.string({ unit: "grapheme", maxLength: 60 }),
    fc.constantFrom(...HOSTILE_TEXTS),
    fc.array(fc.constantFrom("\x1b[", "\u202e", "漢", "\u0301", "👩\u200d", "🇩", " ", "a", "\n", "\u1100", ":"), {
      maxLength: 30,
    })
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 1, maxLength: 3 }),
      (texts) => checkHarmless(makeHostileResult(texts), [40, 80, 120]),
    ),
    { seed: 7, numRuns: 40 },
  );
});

Deno.test("renderReplay() folds what is long", () => {
  const many = makeResult({ seed: 8, flows: 1434 });
  const rules = [
    ...many.rules,
    ...Array.from({ length: 157 }, (_, i) => ({ type: "Domain", payload: `n${i}.example`, proxy: "DIRECT", hits: 0 })),
  ];
  const text = renderReplay({ ...many, rules }, { columns: 120, ...PLAIN });
  assertStringIncludes(text, "… 1,234 more flows (use --json or --report)");
  assertStringIncludes(text, "… 157 rules without a hit");
  assert(!text.includes("n3.example"));
  assert(text.split("\n").length < 240);
  const hit = rules.map((rule) => ({ ...rule, hits: 1 }));
  assertStringIncludes(renderReplay({ ...many, rules: hit }, { columns: 120, ...PLAIN }), "… 116 more rules with hits");
});

Deno.test("renderReplay() bounds an explanation and keeps its last step", () => {
  const result = makeResult({ seed: 9, flows: 1, explain: true });
  const step = result.flows[0]!.explain![0]!;
  const last = { ...step, why: "the last of them" };
  result.flows[0]!.explain = [...Array.from({ length: 5000 }, () => step), last];
  const text = renderReplay(result, { columns: 100, color: false, explain: true });
  assertStringIncludes(text, "… 4,941 more steps");
  assertStringIncludes(text, "the last of them");
  assert(text.split("\n").length < 100);
});

Deno.test("renderReplay() says so when packets are lost from the count", () => {
  const result = small();
  const text = (received: number) =>
    renderReplay({ ...result, counters: { ...result.counters, received } }, { columns: 200, ...PLAIN });
  assert(!text(result.counters.received).includes("do not add up"));
  assertStringIncludes(text(result.counters.received + 2), "The counters do not add up: 2 packets vanished.");
  assertStringIncludes(text(result.counters.received - 1), "The counters do not add up: 1 packet too many.");
});

Deno.test("renderReplay() shows a capture with an error even among thousands", () => {
  const result = small();
  const good = { ...result.captures[0]!, error: null };
  const captures = [...Array.from({ length: 3000 }, () => good), result.captures[1]!];
  const text = renderReplay({ ...result, captures }, { columns: 120, ...PLAIN });
  assertStringIncludes(text, "Stopped at byte 1,998: Cannot read record 14");
  assertStringIncludes(text, "… 2,951 more captures");
});

Deno.test("renderReplay() has something to say when there is nothing", () => {
  const counters = { received: 0, delivered: 0, consumed: 0, queued: 0, dropped: {} };
  const text = renderReplay({ schema: "weir.replay/1", captures: [], counters, flows: [], rules: [] }, {
    columns: 80,
    ...PLAIN,
  });
  assertEquals(
    text,
    "No flows: no packet of TCP or UDP was read.\n\n" +
      "0 packets received = 0 delivered + 0 consumed + 0 queued + 0 dropped\n",
  );
});

Deno.test("renderReplay() survives columns that are no width", () => {
  for (const columns of [0, -5, NaN, 1, 39.7, Infinity]) {
    const text = renderReplay(small(), { columns: Number.isFinite(columns) ? columns : 0, ...PLAIN });
    assertEquals(text, renderReplay(small(), { columns: 40, ...PLAIN }));
  }
});
