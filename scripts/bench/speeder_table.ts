/**
 * What the speeder is worth, and what it costs: a TCP transfer in the virtual world over paths that lose packets.
 *
 * `deno run -A scripts/bench/speeder_table.ts [FILE.svg]` prints Markdown tables and, with a name, writes the picture. The same code gives the
 * same numbers on every machine: time is virtual, losses come from seeds.
 */
import { runTransfer, type TransferPlan, type TransferResult } from "../../sim/speeder/transfer.ts";
import { speederPlot } from "./speeder_plot.ts";

const LOSS_PERCENTS = [0, 5, 10, 20, 30] as const;
const SEEDS = [1, 2, 3, 4, 5, 6, 7];
const PATH = {
  bytes: 4_000_000,
  rateBps: 100_000_000,
  oneWayUs: 25_000,
  queuePackets: 400,
  timeLimitUs: 300_000_000,
};
const MODES = [
  { label: "plain", multiplicity: 1, isAdaptive: false },
  { label: "×2", multiplicity: 2, isAdaptive: false },
  { label: "×3", multiplicity: 3, isAdaptive: false },
  { label: "×2, adaptive", multiplicity: 2, isAdaptive: true },
] as const;
const PATHS = [
  { title: "Each packet lost by itself", isBursty: false },
  { title: "Lost in bursts of four on average", isBursty: true },
] as const;

interface Cell {
  readonly goodputBps: number;
  readonly seconds: number;
  readonly completed: number;
  /** Bytes on the wire for each byte that arrived. */
  readonly wire: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function measure(plan: Omit<TransferPlan, "seed">): Cell {
  const results: TransferResult[] = SEEDS.map((seed) => runTransfer({ ...plan, seed }));
  return {
    goodputBps: median(results.map(({ goodputBps }) => goodputBps)),
    seconds: median(results.map(({ elapsedUs }) => elapsedUs / 1e6)),
    completed: results.filter(({ isComplete }) => isComplete).length,
    wire: median(results.map(({ wireBytes, receivedBytes }) => wireBytes / Math.max(1, receivedBytes))),
  };
}

function rate(bps: number): string {
  return bps >= 1e6 ? `${(bps / 1e6).toPrecision(3)} Mbit/s` : `${(bps / 1e3).toPrecision(3)} kbit/s`;
}

function time({ seconds, completed }: Cell): string {
  if (completed <= SEEDS.length >> 1) return `not in ${PATH.timeLimitUs / 1e6} s`;
  return seconds >= 100 ? `${seconds.toFixed(0)} s` : `${seconds.toPrecision(3)} s`;
}

function tableOf(title: string, cells: readonly (readonly Cell[])[]): string {
  const head = ["loss", ...MODES.map(({ label }) => label)];
  const rows = LOSS_PERCENTS.map((loss, i) => [
    `${loss} %`,
    ...cells[i]!.map((cell) => `${rate(cell.goodputBps)}, ${time(cell)}, ${cell.wire.toFixed(2)}×`),
  ]);
  const line = (parts: readonly string[]) => `| ${parts.join(" | ")} |`;
  return [`${title}:`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n");
}

const panels = PATHS.map(({ title, isBursty }) => {
  const cells = LOSS_PERCENTS.map((percent) =>
    MODES.map(({ multiplicity, isAdaptive }) =>
      measure({ ...PATH, lossPpm: percent * 10_000, isBursty, multiplicity, isAdaptive })
    )
  );
  console.log(tableOf(title, cells));
  return {
    title,
    lines: MODES.map(({ label }, mode) => ({ label, goodputBps: cells.map((row) => row[mode]!.goodputBps) })),
  };
});
if (Deno.args[0] !== undefined) Deno.writeTextFileSync(Deno.args[0], speederPlot(panels, LOSS_PERCENTS));
