import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { compileArguments, isDownloadFailure, stageDrivers } from "../../../scripts/build/compile.ts";

Deno.test("compileArguments() puts the program last and embeds what is named", () => {
  const args = compileArguments("main.ts", "x86_64-unknown-linux-gnu", "dist/weir", ["dist/drivers"]);
  assertEquals(args.slice(-5), ["--target", "x86_64-unknown-linux-gnu", "--output", "dist/weir", "main.ts"]);
  assertEquals(args[args.indexOf("--include") + 1], "dist/drivers");
});

Deno.test("stageDrivers() copies what is there with its hash, and refuses a folder without drivers", async () => {
  const from = await Deno.makeTempDir();
  const to = await Deno.makeTempDir();
  try {
    await assertRejects(() => stageDrivers(from, to), Error, "has none of wintun.dll");
    await Deno.writeTextFile(`${from}/wintun.dll`, "abc");
    assertEquals(await stageDrivers(from, to), ["wintun.dll"]);
    const manifest = JSON.parse(await Deno.readTextFile(`${to}/manifest.json`));
    assertEquals(manifest.files["wintun.dll"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assertEquals(await Deno.readTextFile(`${to}/wintun.dll`), "abc");
  } finally {
    await Deno.remove(from, { recursive: true });
    await Deno.remove(to, { recursive: true });
  }
});

Deno.test("isDownloadFailure() tells a lost connection from a broken program", () => {
  assert(
    isDownloadFailure("error sending request for url (https://dl.deno.land/release/v2.9.6/denort.zip): dns error"),
  );
  assertFalse(isDownloadFailure('error: Module not found "file:///main.ts".'));
  assertFalse(isDownloadFailure("error: TS2304 [ERROR]: Cannot find name 'http'."));
});
