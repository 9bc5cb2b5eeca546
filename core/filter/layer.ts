/** The five WinDivert layers, by the name that users write and the number that the driver uses. */

/** A layer's name. Source: WinDivert 2.2 `WINDIVERT_LAYER`. */
export type LayerName = "network" | "network_forward" | "flow" | "socket" | "reflect";

/** A layer by name or by WinDivert's number (0 … 4). */
export type FilterLayer = LayerName | 0 | 1 | 2 | 3 | 4;

/** The layers' names in the order of their numbers. */
export const LAYER_NAMES: readonly LayerName[] = ["network", "network_forward", "flow", "socket", "reflect"];

/** Packets that leave or reach this machine. */
export const LAYER_NETWORK = 0;
/** Packets that this machine forwards. */
export const LAYER_NETWORK_FORWARD = 1;
/** Flows being established and deleted. */
export const LAYER_FLOW = 2;
/** Socket operations. */
export const LAYER_SOCKET = 3;
/** Other WinDivert handles being opened and closed. */
export const LAYER_REFLECT = 4;

/**
 * The number of a layer given by name or number.
 * Errors: `RangeError` when there is no such layer.
 */
export function layerNumber(layer: FilterLayer): number {
  const number = typeof layer === "number" ? layer : LAYER_NAMES.indexOf(layer);
  if (LAYER_NAMES[number] === undefined) {
    throw new RangeError(`Cannot use filter layer ${JSON.stringify(layer)}: expected one of ${LAYER_NAMES.join(", ")}`);
  }
  return number;
}
