/** `weir filter`: checks and normalises a WinDivert filter and, with a capture, counts what it matches. */
import {
  compileFilter,
  type Filter,
  type FilterAddress,
  filterObject,
  FilterSyntaxError,
  formatFilter,
  LAYER_NAMES,
  type LayerName,
} from "../filter/mod.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import { visible } from "./report/visible.ts";

/** One IP packet for a filter to judge; both parts may be overwritten when the next one is asked for. */
export interface FilterPacket {
  readonly data: Uint8Array;
  readonly address: FilterAddress;
}

/** A capture's IP packets in order. `error` is known once the packets have been read: what ended the reading early, or null. */
export interface FilterPackets extends AsyncIterable<FilterPacket> {
  readonly error: { readonly message: string; readonly offset: number } | null;
}

/** Opens a capture; handed in by whoever can read one. Errors: thrown with a sentence that names the file. */
export type OpenFilterPackets = (path: string) => Promise<FilterPackets>;

/** What a filter did to a capture. `packets` counts the IP packets that were judged. */
export interface FilterCapture {
  readonly file: string;
  readonly packets: number;
  readonly matched: number;
  readonly error: { readonly message: string; readonly offset: number } | null;
}

/** The command's JSON: schema `weir.filter/1`. A filter that is none has an `error` and nothing made from it. */
export interface FilterResult {
  readonly schema: "weir.filter/1";
  readonly filter: string;
  readonly layer: LayerName;
  readonly normalized: string | null;
  /** WinDivert's object text of the filter, which WinDivertOpen takes in its place. */
  readonly object: string | null;
  readonly error: { readonly message: string; readonly position: number } | null;
  readonly capture: FilterCapture | null;
}

const OPTIONS = { flags: ["json"], values: ["layer"] } as const;

/** Longest part of a filter that is shown around a mistake. Units: characters. */
const SHOWN_CHARS_MAX = 100;

/** The filter with a caret under the mistake; only the surroundings of a long one. */
function pointAt(source: string, position: number): string {
  // WinDivert may name a place before the first character (as the largest number) or behind the last one.
  const at = position > source.length + 1 ? 0 : position;
  const from = Math.max(0, at - SHOWN_CHARS_MAX / 2);
  const before = visible(source.slice(from, at).replaceAll(/\s/g, " "));
  const after = visible(source.slice(at, from + SHOWN_CHARS_MAX).replaceAll(/\s/g, " "));
  return `  ${before}${after}\n  ${" ".repeat([...before].length)}^\n`;
}

async function countMatches(filter: Filter, file: string, open: OpenFilterPackets): Promise<FilterCapture> {
  const source = await open(file);
  let packets = 0;
  let matched = 0;
  for await (const { data, address } of source) {
    packets++;
    if (filter.matches(data, address)) matched++;
  }
  return { file, packets, matched, error: source.error };
}

/** What the filter is, before it judges anything. */
function describe(source: string, layer: LayerName): FilterResult {
  const base = { schema: "weir.filter/1", filter: source, layer } as const;
  try {
    const made = { normalized: formatFilter(source, layer), object: filterObject(source, layer) };
    return { ...base, ...made, error: null, capture: null };
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    const { message, position } = error;
    return { ...base, normalized: null, object: null, error: { message, position }, capture: null };
  }
}

function textOf(result: FilterResult): string {
  const { normalized, capture } = result;
  let text = normalized === null ? "" : `${normalized}\n`;
  if (capture !== null) text += `${capture.matched} of ${capture.packets} packets match\n`;
  return text;
}

/**
 * Runs `weir filter`. Exit status: 0; 1 when the capture is damaged; 2 when the filter or the arguments are unusable.
 * Errors: `UsageError`; whatever `open` throws.
 */
export async function filterCommand(
  args: readonly string[],
  io: CommandIo,
  open: OpenFilterPackets,
): Promise<number> {
  const line = parseCommandLine(args, OPTIONS);
  const [source, file, ...more] = line.positionals;
  if (source === undefined) throw new UsageError("Cannot check a filter: none is given");
  if (more.length > 0) {
    throw new UsageError(`Cannot use ${more[0]}: one filter and one capture is all; quote a filter with spaces`);
  }
  const layer = line.choice("layer", LAYER_NAMES, "network");
  if (file !== undefined && layer !== "network" && layer !== "network_forward") {
    throw new UsageError(`Cannot judge ${file} on layer ${layer}: a capture holds packets, and that layer has none`);
  }
  let result = describe(source, layer);
  if (file !== undefined && result.error === null) {
    result = { ...result, capture: await countMatches(compileFilter(source, layer), file, open) };
  }
  io.out(line.flag("json") ? `${JSON.stringify(result, null, 2)}\n` : textOf(result));
  if (result.error !== null) {
    const { message, position } = result.error;
    io.err(`weir: Cannot use filter: ${message} (position ${position})\n${pointAt(source, position)}`);
    return 2;
  }
  const damage = result.capture?.error ?? null;
  if (damage !== null) io.err(`weir: ${visible(damage.message)}\n`);
  return damage === null ? 0 : 1;
}
