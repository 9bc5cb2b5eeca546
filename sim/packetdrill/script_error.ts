/** What is wrong with a script, or with what the stack did, as sentences that name a place. */

/** A script that cannot be read. `line` and `column` count from 1. */
export class ScriptSyntaxError extends Error {
  override name = "ScriptSyntaxError";
  readonly line: number;
  readonly column: number;

  constructor(line: number, column: number, message: string) {
    super(message);
    this.line = line;
    this.column = column;
  }
}

/** A script that needs what this interpreter or this stack does not have; `reason` is a short phrase to group by. */
export class UnsupportedError extends Error {
  override name = "UnsupportedError";
  readonly line: number;
  readonly reason: string;

  constructor(line: number, reason: string) {
    super(`Cannot run the script: ${reason} is not supported`);
    this.line = line;
    this.reason = reason;
  }
}

/** The stack did something else than the script expects. The message shows both. */
export class MismatchError extends Error {
  override name = "MismatchError";
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}
