/** `@std/assert`, typed: the npm build of Deno's standard library carries no declarations. */
// @ts-types="./assert.d.ts"
export * from "deno-std/assert/mod.js";
