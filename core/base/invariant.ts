/** Raised when weir itself is wrong; never for bad input, and never caught inside `core/`. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/**
 * Ends the program's current work when `condition` is false, because the code is wrong, not the input.
 * The message is a literal: a template here would cost 15 ns a call.
 * Errors: `InvariantError`.
 */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
