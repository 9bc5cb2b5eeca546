/** Command lines become typed values, or say what is wrong with them. */
import { parseArgs } from "@std/cli/parse-args";
import { nearestName } from "../base/nearest.ts";

/** The command line cannot be used; the message says why and what would be right. Exit status 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Which options a command knows. */
export interface OptionNames {
  readonly flags: readonly string[];
  readonly values: readonly string[];
}

/** A command line taken apart. */
export class CommandLine {
  readonly positionals: readonly string[];
  readonly #values: Record<string, unknown>;

  constructor(positionals: readonly string[], values: Record<string, unknown>) {
    this.positionals = positionals;
    this.#values = values;
  }

  /** True when the flag is given. */
  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** An option's value. Errors: `UsageError` when it has none, or is given twice. */
  value(name: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    if (Array.isArray(value)) throw new UsageError(`Cannot use --${name}: it is given ${value.length} times`);
    if (typeof value !== "string" || value === "") throw new UsageError(`Cannot use --${name}: a value is missing`);
    return value;
  }

  /** An option's value that must be one of a few words. Errors: `UsageError`. */
  choice<T extends string>(name: string, choices: readonly T[], otherwise: T): T {
    const value = this.value(name);
    if (value === undefined) return otherwise;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw new UsageError(`Cannot use --${name} ${value}: expected ${choices.join(", ")}`);
    return found;
  }

  /** An option's value as a whole number. Errors: `UsageError`. */
  wholeNumber(name: string, max: number, otherwise: number): number {
    const value = this.value(name);
    if (value === undefined) return otherwise;
    const number = /^[0-9]{1,16}$/.test(value) ? Number(value) : NaN;
    if (!(number <= max)) throw new UsageError(`Cannot use --${name} ${value}: expected a whole number up to ${max}`);
    return number;
  }
}

/** Takes a command's arguments apart. Errors: `UsageError` for an unknown option, with the nearest known one. */
export function parseCommandLine(args: readonly string[], names: OptionNames): CommandLine {
  const known = [...names.flags, ...names.values];
  // Repeated options are kept apart from single ones, so that the second cannot silently win.
  const parsed = parseArgs(args, {
    boolean: names.flags,
    string: [...names.values, "_"],
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const nearest = nearestName(key, known);
      throw new UsageError(
        `Cannot use option ${arg}: it is unknown` + (nearest === undefined ? "" : `; did you mean --${nearest}?`),
      );
    },
  });
  const { _: positionals, ...values } = parsed;
  for (const name of names.values) {
    const count = args.filter((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`)).length;
    if (count > 1) throw new UsageError(`Cannot use --${name}: it is given ${count} times`);
  }
  return new CommandLine(positionals.map(String), values);
}
