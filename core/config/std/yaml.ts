/** `@std/yaml`, typed: the npm build of Deno's standard library carries no declarations. */
// @ts-types="./yaml.d.ts"
export * from "deno-std/yaml/mod.js";
