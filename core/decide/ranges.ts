/** Ranges of numbers as rules write them: `80/443/8000-9000`. */
import { RULE_RANGE_COUNT_MAX } from "../base/limits.ts";

/** Both ends belong to the range. */
export interface NumberRange {
  readonly low: number;
  readonly high: number;
}

/** True when the number lies in one of the ranges; no range at all means every number. Source: mihomo `IntRanges.Check`. */
export function inRanges(ranges: readonly NumberRange[], value: number): boolean {
  if (ranges.length === 0) return true;
  for (let i = 0; i < ranges.length; i++) {
    const range = ranges[i]!;
    if (value >= range.low && value <= range.high) return true;
  }
  return false;
}

function readNumber(text: string, max: number): number | string {
  const digits = text.replace(/^[[\] ]+|[[\] ]+$/g, "");
  if (!/^[0-9]{1,15}$/.test(digits)) return `${JSON.stringify(text)} is not a number`;
  const value = Number(digits);
  return value > max ? `${digits} exceeds ${max}` : value;
}

/**
 * Reads ranges; `*` means every number, ends in the wrong order are swapped, empty parts skipped.
 * Errors: the reason as a string. Source: mihomo `NewUnsignedRanges`; unlike it, numbers beyond `max` are refused, not cut to 16 bits.
 */
export function parseRanges(text: string, max: number): NumberRange[] | string {
  const trimmed = text.trim();
  if (trimmed === "*") return [];
  const parts = trimmed.replaceAll(",", "/").split("/");
  if (parts.length > RULE_RANGE_COUNT_MAX) {
    return `too many ranges to use, maximum support ${RULE_RANGE_COUNT_MAX} ranges`;
  }
  const ranges: NumberRange[] = [];
  for (const part of parts) {
    if (part === "") continue;
    const ends = part.split("-");
    if (ends.length > 2) return `${JSON.stringify(part)} is not a range`;
    const first = readNumber(ends[0]!, max);
    const last = ends.length === 2 ? readNumber(ends[1]!, max) : first;
    if (typeof first === "string") return first;
    if (typeof last === "string") return last;
    ranges.push({ low: Math.min(first, last), high: Math.max(first, last) });
  }
  return ranges.length === 0 ? "no range" : ranges;
}
