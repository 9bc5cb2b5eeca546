/** Packet programs that a policy's answers spell out: each is made once, and there are only so many. */
import { POLICY_PROGRAMS_MAX } from "../base/limits.ts";
import { createProgram, type PacketProgram } from "../decide/packet_program.ts";
import { pathText, type PlainStep, readSteps } from "../decide/program_steps.ts";

/** The programs of one policy. */
export class PolicyPrograms {
  readonly #made = new Map<string, PacketProgram>();

  /** The program of some steps. Errors: one sentence about steps that cannot be used. */
  find(given: readonly PlainStep[]): PacketProgram | { readonly message: string } {
    const key = JSON.stringify(given);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    if (this.#made.size >= POLICY_PROGRAMS_MAX) {
      return {
        message:
          `it has spelled out ${POLICY_PROGRAMS_MAX} different packet programs; give them names under weir.programs`,
      };
    }
    const steps = readSteps(given);
    const made = Array.isArray(steps) ? createProgram("", steps) : steps;
    if ("message" in made) return { message: `program${pathText(made.path)}: ${made.message}` };
    this.#made.set(key, made);
    return made;
  }
}
