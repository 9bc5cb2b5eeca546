/** The report page as people meet it: opened in a real Chromium, clicked, typed into, and looked at. */
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { renderReport } from "../../core/cli/report/html.ts";
import { formatBytes, formatCount } from "../../core/cli/report/format.ts";
import type { ReplayResult } from "../../core/cli/replay_result.ts";
import { visible } from "../../core/cli/report/visible.ts";
import { HOSTILE_TEXTS, makeHostileResult, makeResult } from "../support/replay_results.ts";
import { Chromium, findChromium, type Page } from "./chromium.ts";

const ROOT = new URL("../../", import.meta.url);
const CHROMIUM = await findChromium();
if (CHROMIUM === undefined) console.log("skipped: no chromium on this machine ($WEIR_CHROMIUM names one elsewhere)");

/** A small language for the page: what is shown in the flow table. */
const ROWS = `[...document.querySelectorAll("table.flows tr.flow")]`;
const CELLS = `${ROWS}.map((row) => [...row.cells].map((cell) => cell.textContent))`;
const SHOWN = `document.getElementById("shown").textContent`;
const clickHead = (name: string) =>
  `[...document.querySelectorAll("table.flows thead button")].find((each) => each.textContent === "${name}").click()`;
const search = (words: string) =>
  `{ const box = document.getElementById("search"); box.value = ${
    JSON.stringify(words)
  }; box.dispatchEvent(new Event("input")); }`;

interface Lab {
  readonly page: Page;
  readonly folder: string;
  open(result: ReplayResult, title?: string): Promise<void>;
}

function browserTest(name: string, run: (lab: Lab) => Promise<void>): void {
  Deno.test({
    name,
    ignore: CHROMIUM === undefined,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "weir-report-" });
      try {
        await using browser = await Chromium.start(CHROMIUM!);
        const page = await browser.page();
        await page.resize(1360, 1400);
        await run({
          page,
          folder,
          async open(result, title = "morning.pcapng") {
            await Deno.writeTextFile(`${folder}/report.html`, renderReport(result, { title }));
            await page.open(`file://${folder}/report.html`);
          },
        });
        assertEquals(page.problems, []);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** How many colours a picture has, and the share of the commonest. */
async function looksAt(page: Page, png: Uint8Array): Promise<{ colours: number; commonest: number }> {
  const url = `data:image/png;base64,${png.toBase64()}`;
  await page.open("about:blank");
  return await page.run(`(async () => {
    const image = await createImageBitmap(await (await fetch(${JSON.stringify(url)})).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    return { colours: counts.size, commonest: Math.max(...counts.values()) / pixels.length };
  })()`);
}

browserTest("renderReport() draws pictures that have a size", async ({ page, open }) => {
  await open(makeResult({ seed: 1, flows: 400 }));
  const sizes = await page.run<Record<string, number[]>>(`Object.fromEntries(
    ["flows-over-time", "bytes-by-rule", "bytes-by-host", "bytes-by-process"].map((id) => {
      const section = document.getElementById(id);
      const box = section.querySelector("svg").getBoundingClientRect();
      const bars = [...section.querySelectorAll("svg rect:not(.track):not(.slot)")].map((bar) => bar.getBoundingClientRect());
      return [id, [box.width, box.height, bars.filter((bar) => bar.width > 1 && bar.height > 1).length]];
    }))`);
  for (const [id, [width, height, bars]] of Object.entries(sizes)) {
    assertGreater(width!, 150, id);
    assertGreater(height!, id === "flows-over-time" ? 150 : 7, id);
    assertGreater(bars!, id === "flows-over-time" ? 60 : 5, id);
  }
  const screenshot = await page.screenshot();
  const { colours, commonest } = await looksAt(page, screenshot);
  assertGreater(colours, 200);
  assert(commonest < 0.9, `the picture is nearly blank: ${commonest}`);
});

browserTest("renderReport() shows every flow's numbers as the terminal does", async ({ page, open }) => {
  const result = makeResult({ seed: 2, flows: 100 });
  for (const [i, bytes] of [0, 999, 999_499, 999_500, 9_995_000, 1e12, 999_499_999].entries()) {
    result.flows[i]!.download = bytes;
  }
  await open(result);
  const cells = await page.run<string[][]>(CELLS);
  assertEquals(
    cells.map((row) => row.slice(7)),
    result.flows.map((flow) => [formatCount(flow.packets), formatBytes(flow.upload), formatBytes(flow.download)]),
  );
});

browserTest("renderReport() sorts when a head is clicked or entered", async ({ page, open }) => {
  const { flows, ...rest } = makeResult({ seed: 3, flows: 5000 });
  await open({ flows, ...rest });
  const ariaSort =
    `[...document.querySelectorAll("table.flows thead th")].map((head) => head.getAttribute("aria-sort"))`;
  const first = await page.run<string[][]>(CELLS);
  assertEquals(first.length, 100);
  await page.run(clickHead("Down"));
  const bytes = flows.map(({ download }) => download).toSorted((a, b) => b - a);
  const downs = () => page.run<string[]>(`${ROWS}.map((row) => row.cells[9].title.replaceAll(",", ""))`);
  assertEquals((await downs()).map(Number), bytes.slice(0, 100));
  assertEquals((await page.run<string[]>(ariaSort)).filter((each) => each !== "none"), ["descending"]);
  // The same from the keyboard: the head that was clicked is entered.
  await page.run(`[...document.querySelectorAll("table.flows thead button")].at(-1).focus()`);
  await page.press("Enter");
  assertEquals((await downs()).map(Number), bytes.toReversed().slice(0, 100));
  assertEquals((await page.run<string[]>(ariaSort)).at(-1), "ascending");
  await page.run(clickHead("Destination"));
  const names = (await page.run<string[][]>(CELLS)).map((row) => row[4]!);
  assertEquals(names, names.toSorted(new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare));
  assertEquals(await page.run(SHOWN), "5,000 of 5,000 flows");
});

browserTest("renderReport() finds flows by words, verdict, bar and time", async ({ page, open }) => {
  const { flows, ...rest } = makeResult({ seed: 4, flows: 2000, explain: true });
  await open({ flows, ...rest });
  const expectShown = async (count: number) => {
    assertGreater(count, 0);
    assert(count < 2000);
    assertEquals(await page.run(SHOWN), `${formatCount(count)} of 2,000 flows`);
  };
  await page.run(search("FIREFOX video.example"));
  const found = flows.filter(({ metadata }) =>
    metadata.process === "firefox.exe" && metadata.host === "video.example.com"
  );
  await expectShown(found.length);
  for (const row of await page.run<string[][]>(CELLS)) {
    assertEquals(row[2], "firefox.exe");
    assertMatch(row[4]!, /^video\.example\.com:/);
  }
  await page.run(`document.querySelector('[data-verdict="reject"]').click()`);
  await expectShown(found.filter(({ verdict }) => verdict === "reject").length);
  await page.run(search(""));
  await expectShown(flows.filter(({ verdict }) => verdict === "reject").length);
  assertEquals(
    await page.run(`document.querySelector('[data-verdict="reject"]').getAttribute("aria-pressed")`),
    "true",
  );
  await page.run(`document.querySelector('[data-verdict="reject"]').click()`);
  await page.run(`document.querySelector('#bytes-by-host [data-value="www.example.org"]').click()`);
  await expectShown(flows.filter(({ metadata }) => metadata.host === "www.example.org").length);
  assertMatch(await page.run<string>(`document.getElementById("only").textContent`), /^host: www\.example\.org/);
  await page.run(`document.getElementById("only").click()`);
  assertEquals(await page.run(SHOWN), "2,000 of 2,000 flows");
  const title = await page.run<string>(`(() => {
    const slot = document.querySelectorAll(".slot")[3];
    slot.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    return slot.textContent;
  })()`);
  await expectShown(Number(/: (\d+) flows?/.exec(title)![1]));
});

browserTest("renderReport() turns pages", async ({ page, open }) => {
  await open(makeResult({ seed: 5, flows: 250 }));
  const state = `[${ROWS}.length, document.getElementById("page").textContent,
    document.getElementById("previous").disabled, document.getElementById("next").disabled]`;
  assertEquals(await page.run(state), [100, "Page 1 of 3", true, false]);
  await page.run(`document.getElementById("next").click()`);
  assertEquals(await page.run(state), [100, "Page 2 of 3", false, false]);
  await page.run(`document.getElementById("next").click()`);
  assertEquals(await page.run(state), [50, "Page 3 of 3", false, true]);
  await page.run(search("nothing has this in it"));
  assertEquals(await page.run(state), [0, "Page 1 of 1", true, true]);
});

browserTest("renderReport() opens a flow's details by mouse and by keyboard", async ({ page, open }) => {
  const result = makeResult({ seed: 6, flows: 30, explain: true });
  await open(result);
  const texts = `[...document.querySelectorAll("tr.details")].map((row) => row.textContent)`;
  assertEquals(await page.run(texts), []);
  await page.run(`${ROWS}[2].cells[5].click()`);
  const { metadata, explain } = result.flows[2]!;
  const [text] = await page.run<string[]>(texts);
  for (const part of [metadata.destinationIP, metadata.host, metadata.processPath, ...explain!.map(({ why }) => why)]) {
    assert(text!.includes(part), part);
  }
  assertEquals(await page.run(`document.activeElement.getAttribute("aria-expanded")`), "true");
  await page.press("Enter"); // the row's button has the focus
  assertEquals(await page.run(texts), []);
  await page.press("Enter");
  assertEquals(await page.run(`document.querySelectorAll("tr.details ol li").length`), explain!.length);
});

browserTest("renderReport() shows hostile texts as they are and runs none of them", async ({ page, open }) => {
  await open(makeHostileResult(), HOSTILE_TEXTS[1]!);
  // Opening a row draws the table anew, so the buttons are asked for again until none is closed.
  await page.run(`(() => { let next;
    while ((next = document.querySelector('button.open[aria-expanded="false"]')) !== null) next.click(); })()`);
  assertEquals(await page.run(`document.querySelectorAll("tr.details").length`), HOSTILE_TEXTS.length);
  assertEquals(await page.run(`[typeof window.pwned, document.scripts.length, document.title]`), [
    "undefined",
    2,
    `${visible(HOSTILE_TEXTS[1]!)} · weir replay`,
  ]);
  assertEquals(
    await page.run(`document.querySelectorAll("main img, main script, main iframe, main a, main style").length`),
    0,
  );
  assertEquals(
    await page.run(`[...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames())
    .filter((name) => name.startsWith("on") || name === "style").length`),
    0,
  );
  const rules = await page.run<string[]>(
    `[...document.querySelectorAll(".rules tbody th code")].map((each) => each.textContent)`,
  );
  assertEquals(rules, HOSTILE_TEXTS.map((text) => `${visible(text)}(${visible(text)})`));
  const cells = await page.run<string[][]>(CELLS);
  assertEquals(cells.map((row) => row[5]), rules);
});

/** Texts whose contrast with what is behind them is below what WCAG 2.2 asks for (success criterion 1.4.3). */
const FAINT_TEXTS = `(() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
  const light = ({ rgb }) => rgb.map((value) => value / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => { for (let at = element; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor); if (color.a === 1) return color; } };
  const faint = [];
  for (const element of document.querySelectorAll("h1, h2, p, dt, dd b, dd span, th, td, caption, button:not(:disabled), li, code, text")) {
    if (element.textContent.trim() === "" || element.getClientRects().length === 0 || element.closest("[hidden]")) continue;
    const style = getComputedStyle(element);
    const front = light(parse(element instanceof SVGElement ? style.fill : style.color));
    const back = light(behind(element));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) faint.push(element.tagName + "." + element.className + " " + element.textContent.slice(0, 30) + " " + ratio.toFixed(2));
  }
  return faint;
})()`;

browserTest("renderReport() is readable in light and in dark", async ({ page, open }) => {
  const backgrounds: string[] = [];
  for (const scheme of ["light", "dark"] as const) {
    await page.colorScheme(scheme);
    await open(makeResult({ seed: 7, flows: 60, explain: true }));
    await page.run(`document.querySelector("button.open").click()`);
    await page.run(`document.querySelector('[data-verdict="direct"]').click()`);
    assertEquals(await page.run<string[]>(FAINT_TEXTS), [], scheme);
    backgrounds.push(await page.run(`getComputedStyle(document.body).backgroundColor`));
    const screenshot = await page.screenshot();
    const { colours, commonest } = await looksAt(page, screenshot);
    assertGreater(colours, 200);
    assert(commonest < 0.9, `${scheme} is nearly blank: ${commonest}`);
  }
  assert(backgrounds[0] !== backgrounds[1], "dark looks like light");
});

browserTest("renderReport() fits a phone, a tablet and a desk", async ({ page, open }) => {
  for (
    const [width, result] of [[360, makeResult({ seed: 8, flows: 40 })], [390, makeHostileResult()], [
      820,
      makeHostileResult(),
    ], [1360, makeResult({ seed: 8, flows: 40, explain: true })]] as const
  ) {
    await page.resize(width, 900, width < 500);
    await open(result);
    await page.run(`document.querySelector("button.open").click()`);
    assertEquals(
      await page.run(`document.documentElement.scrollWidth`),
      width,
      `the page scrolls sideways at ${width}`,
    );
    if (width === 820) continue; // there the table scrolls within its frame
    assertEquals(
      await page.run(
        `(() => { const frame = document.querySelector("#flows .scroll"); return frame.scrollWidth - frame.clientWidth; })()`,
      ),
      0,
      `the flow table is cut off at ${width}`,
    );
  }
});

browserTest("renderReport() prints on paper, all flows included", async ({ page, open }) => {
  await open(makeResult({ seed: 9, flows: 300 }));
  const pdf = await page.print();
  assertEquals(new TextDecoder().decode(pdf.subarray(0, 5)), "%PDF-");
  await page.run(`dispatchEvent(new Event("beforeprint"))`);
  assertEquals(await page.run(`${ROWS}.length`), 300);
  await page.run(`dispatchEvent(new Event("afterprint"))`);
  assertEquals(await page.run(`${ROWS}.length`), 100);
});

browserTest("renderReport() stays quick with 20,000 flows", async ({ page, open }) => {
  await open(makeResult({ seed: 10, flows: 20_000, explain: true }));
  const spent = await page.run<number>(`(() => {
    const begun = performance.now();
    ${clickHead("Destination")};
    ${clickHead("Down")};
    ${search("example.org tcp")};
    return performance.now() - begun;
  })()`);
  console.log(`two sorts and one search over 20,000 flows: ${spent.toFixed(0)} ms`);
  assert(spent < 5000, `${spent} ms`);
  assertMatch(await page.run<string>(SHOWN), /^[\d,]+ of 20,000 flows$/);
});

browserTest("weir replay --report writes a page that a browser shows", async ({ page, folder }) => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ..."run -A main.ts replay test/captures/demo.pcapng --config scripts/policies/demo.yaml".split(" "),
      ...`--policy scripts/policies/demo.ts --explain --report ${folder}/demo.html`.split(" "),
    ],
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  await page.open(`file://${folder}/demo.html`);
  const rows = await page.run<string[][]>(CELLS);
  assertGreater(rows.length, 0);
  assertGreater(await page.run<number>(`document.querySelectorAll("#flows-over-time rect").length`), 1);
  await page.run(`document.querySelector("button.open").click()`);
  assertGreater(await page.run<number>(`document.querySelectorAll("tr.details li").length`), 0);
});
