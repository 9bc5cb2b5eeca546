/** What a benchmark hands to `deno task bench`: rows of one table. A file `NAME_bench.ts` in this folder exports `bench`. */

/** One measured number. */
export interface BenchRow {
  /** What was measured: "replay, 1,500-byte packets, one core". */
  readonly what: string;
  /** Units: as `unit` says. */
  readonly value: number;
  /** "packets/s", "ms", "MB", … */
  readonly unit: string;
  /** What the design aims at, as people write it: "≥ 1,000,000". */
  readonly aim?: string;
  /** True when the aim is met; a benchmark reports and never gates. */
  readonly met?: boolean;
}

/** Measures; it may take some seconds. */
export type Bench = () => BenchRow[] | Promise<BenchRow[]>;

/** A number as people read it: 1,234,567 or 12.3 or 0.0123. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value === 0 ? "0" : String(Number(value.toPrecision(3)));
}

/** The rows as a table of aligned columns, one line a row. */
export function formatRows(rows: readonly BenchRow[]): string[] {
  const cells = rows.map(({ what, value, unit, aim, met }) => {
    const verdict = aim === undefined
      ? ""
      : met === undefined
      ? `aim ${aim}`
      : `aim ${aim}: ${met ? "met" : "not met"}`;
    return [what, formatValue(value), unit, verdict];
  });
  const widths = [0, 1, 2].map((column) => Math.max(0, ...cells.map((cell) => cell[column]!.length)));
  return cells.map(([what, value, unit, verdict]) =>
    `${what!.padEnd(widths[0]!)}  ${value!.padStart(widths[1]!)} ${unit!.padEnd(widths[2]!)}  ${verdict}`.trimEnd()
  );
}
