/** Flows that wait for their names, each with its deadline. */
import { NAME_WAIT_CLIENT_FIRST_US, NAME_WAIT_US } from "../base/limits.ts";
import { addMicros, type Micros, micros, NEVER } from "../base/micros.ts";
import { type FlowIndex, NO_FLOW } from "../classify/flow_table.ts";

/** Ports on which the client speaks first by custom, so that waiting for its first bytes costs nothing. */
function isClientFirst(port: number): boolean {
  return port === 443 || port === 80 || port === 8080 || port === 8443 || port === 853;
}

function firstDeadline(waits: ReadonlyMap<FlowIndex, Micros>): Micros {
  if (waits.size === 0) return NEVER;
  for (const deadline of waits.values()) return deadline;
  return NEVER;
}

function firstFlow(waits: ReadonlyMap<FlowIndex, Micros>): FlowIndex {
  for (const flow of waits.keys()) return flow;
  return NO_FLOW;
}

/** Two maps, in each of which all waits are equally long, so that deadlines ascend. */
export class NameWaits {
  readonly #short = new Map<FlowIndex, Micros>();
  readonly #long = new Map<FlowIndex, Micros>();

  /** Lets a flow wait from now on; how long its destination's port says. */
  start(flow: FlowIndex, destinationPort: number, now: Micros): void {
    if (isClientFirst(destinationPort)) this.#long.set(flow, addMicros(now, NAME_WAIT_CLIENT_FIRST_US));
    else this.#short.set(flow, addMicros(now, NAME_WAIT_US));
  }

  stop(flow: FlowIndex): void {
    this.#short.delete(flow);
    this.#long.delete(flow);
  }

  /** When the first wait is over; `NEVER` when nobody waits. */
  nextDeadline(): Micros {
    return micros(Math.min(firstDeadline(this.#short), firstDeadline(this.#long)));
  }

  /** The flow whose wait is over at `now`, or `NO_FLOW`; it stays until it is stopped. */
  expired(now: Micros): FlowIndex {
    if (this.#short.size > 0 && firstDeadline(this.#short) <= now) return firstFlow(this.#short);
    return firstDeadline(this.#long) <= now ? firstFlow(this.#long) : NO_FLOW;
  }

  /** The flow that has waited longest, or `NO_FLOW`. */
  longest(): FlowIndex {
    const short = firstDeadline(this.#short) - NAME_WAIT_US;
    const long = firstDeadline(this.#long) - NAME_WAIT_CLIENT_FIRST_US;
    return firstFlow(short < long ? this.#short : this.#long);
  }
}
