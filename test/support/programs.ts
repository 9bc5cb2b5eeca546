/** Packet programs for tests. */
import { createProgram, type PacketProgram } from "../../core/decide/packet_program.ts";
import { readSteps } from "../../core/decide/program_steps.ts";

/** A program of steps as they are written. */
export function programOf(steps: unknown, name = ""): PacketProgram {
  const read = readSteps(steps);
  if (!Array.isArray(read)) throw new TypeError(`${read.path.join(".")}: ${read.message}`);
  const program = createProgram(name, read);
  if ("message" in program) throw new TypeError(program.message);
  return program;
}

/** A program that sends each packet `count` times. */
export function duplicating(count: number): PacketProgram {
  return programOf({ duplicate: count });
}
