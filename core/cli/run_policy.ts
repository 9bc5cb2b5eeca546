/** A loaded policy as the engine asks it. */
import type { PolicyVerdict } from "../act/command.ts";
import { POLICY_ISSUES_MAX } from "../base/limits.ts";
import { type FlowFacts, toMetadata } from "../classify/facts.ts";
import type { PacketProgram } from "../decide/packet_program.ts";
import type { LoadedPolicy } from "./configured.ts";

/** The packet programs that a policy may name. */
export type NamedPrograms = ReadonlyMap<string, PacketProgram>;

/** The program of an answer: one that it spelled out, or one of the configuration; undefined for none, and for a name that nobody has. */
export function programOf(
  program: string | PacketProgram | undefined,
  named: NamedPrograms | undefined,
): PacketProgram | undefined {
  return typeof program === "string" ? named?.get(program) : program;
}

/** How the engine asks; undefined when there is nobody to ask. `onUnknown` hears once of each program that the configuration does not have. */
export function askPolicyOf(
  policy: LoadedPolicy | undefined,
  named: NamedPrograms | undefined,
  onUnknown: (message: string) => void,
): ((facts: FlowFacts) => Promise<PolicyVerdict | undefined>) | undefined {
  if (policy === undefined || !policy.hasOnConnection) return undefined;
  const told = new Set<string>();
  return async (facts) => {
    const answer = await policy.ask(toMetadata(facts));
    if (answer.kind !== "verdict") return undefined;
    const program = programOf(answer.program, named);
    if (
      program === undefined && typeof answer.program === "string" && !told.has(answer.program) &&
      told.size < POLICY_ISSUES_MAX
    ) {
      told.add(answer.program);
      onUnknown(unknownProgram(answer.program));
    }
    return { via: answer.via, effects: program === undefined ? undefined : { program } };
  };
}

/** What to say of a program that the configuration does not have. */
export function unknownProgram(name: string): string {
  return `the policy asks for the packet program ${
    JSON.stringify(name)
  }, which weir.programs does not have: packets go on as they are`;
}
