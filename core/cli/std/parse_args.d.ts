/** Declarations of the part of `@std/cli/parse-args` that weir uses. Source: https://jsr.io/@std/cli/doc/parse-args */
export interface ParseOptions {
  boolean?: readonly string[];
  string?: readonly string[];
  collect?: readonly string[];
  alias?: Record<string, string>;
  default?: Record<string, unknown>;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
export interface Args extends Record<string, unknown> {
  _: (string | number)[];
}
export function parseArgs(args: readonly string[], options?: ParseOptions): Args;
