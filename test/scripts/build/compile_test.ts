import { assert, assertEquals, assertFalse } from "@std/assert";
import { compileArguments, isDownloadFailure } from "../../../scripts/build/compile.ts";

Deno.test("compileArguments() grants no permission wholesale", () => {
  const args = compileArguments("main.ts", "x86_64-unknown-linux-gnu", "dist/weir");
  assertFalse(args.includes("-A") || args.includes("--allow-all") || args.includes("--allow-run"));
  assertEquals(args.slice(-5), ["--target", "x86_64-unknown-linux-gnu", "--output", "dist/weir", "main.ts"]);
});

Deno.test("isDownloadFailure() tells a lost connection from a broken program", () => {
  assert(
    isDownloadFailure("error sending request for url (https://dl.deno.land/release/v2.9.6/denort.zip): dns error"),
  );
  assertFalse(isDownloadFailure('error: Module not found "file:///main.ts".'));
  assertFalse(isDownloadFailure("error: TS2304 [ERROR]: Cannot find name 'http'."));
});
