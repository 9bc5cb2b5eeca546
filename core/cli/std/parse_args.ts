/** `@std/cli/parse-args`, typed: the npm build of Deno's standard library carries no declarations. */
// @ts-types="./parse_args.d.ts"
export * from "deno-std/cli/parse_args.js";
