/**
 * A packet program: what is done to a flow's packets on their way, step by step.
 *
 * A packet goes through the steps in order; a copy that one step makes goes through those that follow by itself. Within a step the order is:
 * condition, drop, corrupt, throttle, delay and jitter, reorder, duplicate. All flows with one program share its throttles, ceilings and
 * queues, each direction for itself, as if they shared one link.
 */
import { compileFilter, type Filter, FilterSyntaxError } from "../filter/mod.ts";
import type { StepFault, StepFields } from "./program_steps.ts";

/** One step, ready to run; `filter` is its condition. */
export interface ProgramStep extends Readonly<StepFields> {
  readonly filter: Filter | undefined;
}

/** A whole program. Two with the same `key` are the same, and share what they hold. */
export interface PacketProgram {
  /** The name under `weir.programs`; "" for steps that a policy spelled out. */
  readonly name: string;
  readonly key: string;
  readonly steps: readonly ProgramStep[];
}

/** A fault in a filter: `offset` is where in its text. Units: UTF-16 code units. */
export interface FilterFault extends StepFault {
  readonly offset: number;
}

/** Makes steps ready to run. Errors: returned, for a filter that does not compile. */
export function createProgram(name: string, steps: readonly StepFields[]): PacketProgram | FilterFault {
  const ready: ProgramStep[] = [];
  for (const [index, step] of steps.entries()) {
    try {
      ready.push({ ...step, filter: step.when === undefined ? undefined : compileFilter(step.when, "network") });
    } catch (error) {
      if (!(error instanceof FilterSyntaxError)) throw error;
      return {
        path: [index, "when"],
        message: `${error.message}, expected a WinDivert filter`,
        offset: error.position,
      };
    }
  }
  return { name, key: JSON.stringify([name, steps]), steps: ready };
}

/** A program for people: its name, or what its steps do. */
export function programText(program: PacketProgram): string {
  if (program.name !== "") return `program ${program.name}`;
  const words = program.steps.map(stepText).filter((text) => text !== "");
  return words.length === 0 ? "a program that does nothing" : words.join(", then ");
}

function ms(us: number): string {
  return `${us / 1000} ms`;
}

function stepText(step: ProgramStep): string {
  const odds = step.oddsPpm === undefined ? "" : ` with a probability of ${step.oddsPpm / 1_000_000}`;
  const when = step.when === undefined ? "" : ` where ${step.when}`;
  const parts = [
    step.drop === true ? "dropped" : "",
    step.corrupt === true ? "corrupted" : "",
    step.throttle === undefined ? "" : `throttled to ${step.throttle.bytesPerSecond} bytes/s`,
    step.delayUs === undefined ? "" : `delayed ${ms(step.delayUs)}`,
    step.jitterUs === undefined ? "" : `delayed up to ${ms(step.jitterUs)} more`,
    step.reorderUs === undefined ? "" : `held back up to ${ms(step.reorderUs)}`,
    step.reorderDistance === undefined ? "" : `overtaken by ${step.reorderDistance}`,
    step.duplicate === undefined ? "" : `sent ${step.duplicate} times`,
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : `each packet ${parts.join(", ")}${odds}${when}`;
}
