import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DEMO, runWeir } from "./support/weir.ts";

Deno.test("main() shows what it can do when asked for nothing", async () => {
  assertEquals((await runWeir()).status, 2);
  const help = await runWeir("help");
  assertEquals(help.status, 0);
  for (const command of ["replay", "check", "explain", "filter", "version"]) assertStringIncludes(help.output, command);
  assertStringIncludes((await runWeir("types")).output, "export declare function definePolicy");
  assertMatch((await runWeir("version")).output, /^weir \d+\.\d+\.\d+\ndeno \S+\nv8 \S+\ntarget \S+\n$/);
});

Deno.test("main() refuses unknown commands, options and values with status 2 and a remedy", async () => {
  const cases: [string[], string][] = [
    [["fly"], "weir has no such command"],
    [["replay"], "name at least one capture"],
    [["replay", DEMO, "--confg", "x"], "did you mean --config"],
    [["replay", DEMO, "--mode", "tap"], "expected tun, divert"],
    [["replay", DEMO, "--seed", "1.5"], "expected a whole number"],
    [["replay", DEMO, "--seed", "4294967296"], "expected a whole number"],
    [["replay", DEMO, "--config", "a", "--config", "b"], "it is given 2 times"],
    [["replay", DEMO, "--out"], "a value is missing"],
    [["replay", DEMO, "--out", DEMO], "it is one of the captures"],
    [["replay", DEMO, "--config", "no-such.yaml"], "no-such.yaml:1:1: error"],
    [["replay", DEMO, "--policy", "no-such.ts"], "no-such.ts:1:1: error"],
    [["replay", DEMO, "--processes", "no-such.yaml"], "no-such.yaml:1:1: error"],
  ];
  for (const [args, message] of cases) {
    const { status, errors, output } = await runWeir(...args);
    assertEquals([status, output], [2, ""], args.join(" "));
    assertStringIncludes(errors, message);
  }
});
