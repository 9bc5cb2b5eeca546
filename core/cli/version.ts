/** `weir version`. */
import type { CommandIo } from "./io.ts";

/** weir's own version. Source: semantic versioning 2.0. */
export const VERSION = "0.1.0";

/** Prints the versions of weir, Deno and V8, and the target that this program was made for. */
export function versionCommand(io: CommandIo): number {
  io.out(`weir ${VERSION}\ndeno ${Deno.version.deno}\nv8 ${Deno.version.v8}\ntarget ${Deno.build.target}\n`);
  return 0;
}
