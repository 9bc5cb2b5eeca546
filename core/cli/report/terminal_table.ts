/**
 * A table that fits the terminal.
 *
 * Every column begins as wide as its longest cell. While the table is too wide, the widest column that may shrink (for its weight)
 * gives up one cell; when all stand at their least width, the column that matters least is left out, and the rest begins again.
 * Numbers are never cut: a column aligned to the right stays as wide as its longest cell.
 */
import { cutEnd, cutMiddle, padTo, widthOf } from "./width.ts";

/** One column. */
export interface Column {
  readonly head: string;
  readonly align: "left" | "right";
  /** Where a cell that is too long is cut. */
  readonly cut: "end" | "middle";
  /** Units: cells. A column whose cells are all shorter may still be narrower. */
  readonly widthMin: number;
  /** A column of weight 2 gives up cells only while it is more than twice as wide as one of weight 1. */
  readonly weight: number;
  /** The column with the highest number goes first when there is no room; 0 stays for ever. */
  readonly dropRank: number;
}

/** A table ready to be painted. Shape: `rows[i][j]` is exactly `widths[j]` cells wide; `columns[j]` is its place among the given columns. */
export interface TableLayout {
  readonly columns: readonly number[];
  readonly widths: readonly number[];
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Heads of columns for which there was no room. Columns without any text are left out silently. */
  readonly hidden: readonly string[];
}

/** What stands between two columns. */
export const GAP = "  ";

function fit(text: string, width: number, column: Column): string {
  const cut = column.cut === "middle" ? cutMiddle(text, width) : cutEnd(text, width);
  return padTo(cut, width, column.align);
}

/** Takes cells away, one at a time from the widest column, until the widths fit; false when they cannot. */
function shrink(widths: number[], least: readonly number[], weights: readonly number[], room: number): boolean {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - room;
  for (; excess > 0; excess--) {
    let widest = -1;
    for (let i = 0; i < widths.length; i++) {
      if (widths[i]! <= least[i]!) continue;
      if (widest < 0 || widths[i]! / weights[i]! > widths[widest]! / weights[widest]!) widest = i;
    }
    if (widest < 0) return false;
    widths[widest]!--;
  }
  return true;
}

/** Lays rows of harmless text (see `visible()`) out in `room` cells. */
export function layOut(columns: readonly Column[], rows: readonly (readonly string[])[], room: number): TableLayout {
  const ideal = columns.map((_, at) =>
    // A cell can fill the terminal at most, so that longer ones need no more steps of shrinking.
    rows.reduce((widest, row) => Math.max(widest, Math.min(room, widthOf(row[at] ?? ""))), 0)
  );
  let kept = columns.map((_, at) => at).filter((at) => ideal[at]! > 0 || rows.length === 0);
  const hidden: string[] = [];
  for (;;) {
    const widths = kept.map((at) => Math.max(ideal[at]!, widthOf(columns[at]!.head)));
    const weights = kept.map((at) => columns[at]!.weight);
    const least = kept.map((at, i) =>
      columns[at]!.align === "right" ? widths[i]! : Math.min(widths[i]!, columns[at]!.widthMin)
    );
    const last = kept.reduce(
      (worst, at) => columns[at]!.dropRank > columns[worst]!.dropRank ? at : worst,
      kept[0] ?? 0,
    );
    const fits = shrink(widths, least, weights, room);
    if (!fits && kept.length > 1 && columns[last]!.dropRank > 0) {
      hidden.push(columns[last]!.head);
      kept = kept.filter((at) => at !== last);
      continue;
    }
    // Nothing may be left out any more: below their least widths, then, down to one cell each.
    if (!fits) shrink(widths, widths.map(() => 1), weights, room);
    const cells = (row: readonly string[]) => kept.map((at, i) => fit(row[at] ?? "", widths[i]!, columns[at]!));
    return { columns: kept, widths, head: cells(columns.map(({ head }) => head)), rows: rows.map(cells), hidden };
  }
}
