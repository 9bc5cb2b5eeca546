/** Of what was diverted, only flows that a local program opens now can be proxied. */
import { type Arena, Direction, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { type FlowIndex, type FlowTable, Seen } from "../classify/flow_table.ts";
import type { Deliberation } from "../decide/deliberation.ts";
import * as tcp from "../wire/tcp.ts";

/** True for a TCP flow whose beginning was not seen. */
export function isMidway(table: FlowTable, flow: FlowIndex): boolean {
  return table.protocol(flow) === tcp.PROTOCOL && (table.seen[flow]! & Seen.Syn) === 0;
}

/** Takes a proxied flow's verdict back when it comes from outside or was there before; `first` is its first packet, or `NO_SLOT`. */
export function leaveAlone(
  deliberation: Deliberation,
  arena: Arena,
  first: Slot,
  table: FlowTable,
  flow: FlowIndex,
): void {
  if (deliberation.verdict.action !== "proxy") return;
  if (first !== NO_SLOT && arena.direction[first] === Direction.Inbound) {
    deliberation.decideUntouched("Inbound", "the flow comes from outside: only flows of local programs are proxied");
  } else if (isMidway(table, flow)) {
    deliberation.decideUntouched("Existing", "the connection was there before weir: it goes on as it is");
  }
}
