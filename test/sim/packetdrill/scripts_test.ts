import { assert, assertEquals } from "@std/assert";
import { playScript } from "../../../sim/packetdrill/play_script.ts";

const FOLDER = new URL("../../scripts_tcp/", import.meta.url);

const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith(".pkt")).sort();

for (const file of files) {
  Deno.test(`stack passes test/scripts_tcp/${file}`, () => {
    const result = playScript(Deno.readTextFileSync(new URL(file, FOLDER)));
    assert(result.passed, `${file}:${result.line}: ${result.message}`);
  });
}

Deno.test("test/scripts_tcp has a script for every state and option", () => {
  assert(files.length >= 60, `there are ${files.length}`);
});

Deno.test("playScript() gives the same answer twice", () => {
  const source = "0 < S 0:0(0) win 100\n+0 > R. 0:0(0) ack 2";
  assertEquals(playScript(source), playScript(source));
});
