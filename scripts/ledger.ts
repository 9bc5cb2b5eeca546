/** The named exceptions to the rules that `lint_plugin.ts` and `tidy.ts` check. */
import entries from "./ledger.json" with { type: "json" };

/** One exception. `name` narrows it to one function or export of the file; without it the whole file is excused. */
export interface Excuse {
  readonly rule: string;
  readonly file: string;
  readonly name?: string;
  readonly reason: string;
}

/** Every exception there is. An entry that excuses nothing any more makes `deno task ok` fail. */
export const LEDGER: readonly Excuse[] = entries;
