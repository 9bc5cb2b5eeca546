/** `weir types`. */
import { policyTypes } from "../policy/policy_types.ts";
import type { CommandIo } from "./io.ts";

/** Prints the declarations of the module "weir", for an editor to know what a policy may do: `weir types > weir.d.ts`. */
export function typesCommand(io: CommandIo): number {
  io.out(policyTypes("module"));
  return 0;
}
