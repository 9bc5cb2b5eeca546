/** Colours of the terminal, or none. Source: ECMA-48, section 8.3.117 (select graphic rendition). */
import type { VerdictAction } from "../../decide/verdict.ts";

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, magenta: 35, cyan: 36 } as const;

/** A colour or weight. */
export type Tint = keyof typeof CODES;

/** Puts text into a tint; without colours it gives the text back. */
export type Paint = (text: string, ...tints: readonly Tint[]) => string;

/** The painter for a terminal with or without colours. */
export function painter(color: boolean): Paint {
  if (!color) return (text) => text;
  return (text, ...tints) =>
    tints.length === 0 || text === "" ? text : `\x1b[${tints.map((tint) => CODES[tint]).join(";")}m${text}\x1b[0m`;
}

/** The colour that stands for a verdict everywhere. */
export const VERDICT_TINTS: Readonly<Record<VerdictAction, Tint>> = {
  direct: "green",
  proxy: "cyan",
  reject: "red",
  drop: "magenta",
};
