/** Filter text to something that judges packets. */
import type { FilterAddress } from "./address.ts";
import { flatten, type Step } from "./flatten.ts";
import { formatNormalForm } from "./format.ts";
import {
  type FilterLayer,
  LAYER_FLOW,
  LAYER_NAMES,
  LAYER_NETWORK,
  LAYER_NETWORK_FORWARD,
  LAYER_REFLECT,
  type LayerName,
  layerNumber,
} from "./layer.ts";
import { normalize } from "./normal_form.ts";
import { formatObject, isObjectText, parseObject } from "./object_text.ts";
import { HEADER } from "./fields.ts";
import { PacketView } from "./packet_view.ts";
import { parseTokens } from "./parser.ts";
import { createProgram, type Program, runProgram } from "./program.ts";
import { FilterSyntaxError } from "./syntax_error.ts";
import { tokenize } from "./tokens.ts";

/** A compiled filter. It keeps state only for the duration of a call, and no call allocates. */
export interface Filter {
  readonly source: string;
  readonly layer: LayerName;
  /**
   * True when the packet, or with no bytes the event, passes the filter. A packet that is no IP packet, or whose version contradicts
   * `address.ipv6`, passes none.
   */
  matches(packet: Uint8Array, address: FilterAddress): boolean;
  /** The same for a packet that lies inside a larger array. Units: bytes. */
  matchesAt(bytes: Uint8Array, start: number, length: number, address: FilterAddress): boolean;
}

/**
 * The program of a filter for a layer, before it is made runnable.
 * Errors: `FilterSyntaxError`.
 */
export function compileSteps(source: string, layer: number): Step[] {
  return isObjectText(source) ? parseObject(source) : flatten(parseTokens(tokenize(source, layer)));
}

/** The one view all filters share: nothing else runs while a filter does. */
const view = new PacketView();

function tryProgram(source: string, layer: number): Program | null {
  try {
    return createProgram(compileSteps(source, layer), layer);
  } catch (error) {
    if (error instanceof FilterSyntaxError) return null;
    throw error;
  }
}

class CompiledFilter implements Filter {
  readonly source: string;
  readonly layer: LayerName;
  readonly #layer: number;
  /** By layer number. Like WinDivert's, a filter is read anew for the layer of the address it judges; null where it is no filter. */
  readonly #programs: (Program | null | undefined)[] = new Array(LAYER_NAMES.length).fill(undefined);

  constructor(source: string, layer: number) {
    this.source = source;
    this.layer = LAYER_NAMES[layer]!;
    this.#layer = layer;
    this.#programs[layer] = createProgram(compileSteps(source, layer), layer);
  }

  matches(packet: Uint8Array, address: FilterAddress): boolean {
    return this.matchesAt(packet, 0, packet.length, address);
  }

  matchesAt(bytes: Uint8Array, start: number, length: number, address: FilterAddress): boolean {
    const layer = this.#addressLayer(address, length);
    let program = this.#programs[layer];
    if (program === undefined) {
      program = tryProgram(this.source, layer);
      this.#programs[layer] = program;
    }
    if (program === null) return false;
    if (layer >= LAYER_FLOW) {
      if (length !== 0 && layer !== LAYER_REFLECT) return false; // WinDivert refuses bytes where there can be none
      view.clear();
      return runProgram(program, view, address);
    }
    if (!view.parse(bytes, start, length)) return false;
    const ipv6 = address.ipv6;
    if (ipv6 !== undefined && ipv6 !== (view.at[HEADER.ipv6]! >= 0)) return false;
    return runProgram(program, view, address);
  }

  #addressLayer(address: FilterAddress, length: number): number {
    const layer = address.layer;
    if (layer !== undefined) {
      const number = typeof layer === "number" ? layer : LAYER_NAMES.indexOf(layer);
      return number >= 0 && number < LAYER_NAMES.length ? number : LAYER_NETWORK;
    }
    if (length === 0) return this.#layer;
    return this.#layer === LAYER_NETWORK_FORWARD ? LAYER_NETWORK_FORWARD : LAYER_NETWORK;
  }
}

/**
 * Compiles a WinDivert filter, or WinDivert's own object text.
 * Errors: `FilterSyntaxError` with WinDivert's message and position; `RangeError` for an unknown layer.
 */
export function compileFilter(source: string, layer: FilterLayer = "network"): Filter {
  return new CompiledFilter(source, layerNumber(layer));
}

/**
 * A filter's normal form: what WinDivert makes of it, in words.
 * Errors: as `compileFilter`.
 */
export function formatFilter(source: string, layer: FilterLayer = "network"): string {
  const number = layerNumber(layer);
  return formatNormalForm(normalize(compileSteps(source, number)), number);
}

/**
 * A filter as WinDivert's object text, which WinDivertOpen takes without compiling.
 * Errors: as `compileFilter`.
 */
export function filterObject(source: string, layer: FilterLayer = "network"): string {
  return formatObject(compileSteps(source, layerNumber(layer)));
}
