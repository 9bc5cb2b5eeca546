import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { parseCommandLine, UsageError } from "../../core/cli/arguments.ts";
import { terminalIo } from "../../core/cli/terminal_io.ts";
import { typesCommand } from "../../core/cli/types.ts";
import { VERSION, versionCommand } from "../../core/cli/version.ts";
import { KeptIo } from "../support/io.ts";

const NAMES = { flags: ["json"], values: ["seed", "mode"] };

Deno.test("parseCommandLine() takes flags, values and the rest apart, in any order", () => {
  for (const args of [["a", "--json", "--seed", "5", "b"], ["--seed=5", "a", "b", "--json"]]) {
    const line = parseCommandLine(args, NAMES);
    assertEquals([line.positionals, line.flag("json"), line.value("seed")], [["a", "b"], true, "5"]);
    assertEquals([line.wholeNumber("seed", 9, 1), line.choice("mode", ["x", "y"], "x")], [5, "x"]);
  }
  assertEquals(parseCommandLine(["007", "1e3", "--", "--json"], NAMES).positionals, ["007", "1e3", "--json"]);
});

Deno.test("parseCommandLine() gives a line or a UsageError for any words", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom("--json", "--seed", "--", "-x", "--no-json", "--seed="))),
      (args) => {
        try {
          const line = parseCommandLine(args, NAMES);
          line.wholeNumber("seed", 100, 1);
          line.choice("mode", ["x"], "x");
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      },
    ),
    { seed: 3, numRuns: 3_000 },
  );
  assertThrows(() => parseCommandLine(["--sed", "1"], NAMES), UsageError, "did you mean --seed");
});

Deno.test("versionCommand() tells weir's, Deno's and V8's versions and the target", () => {
  const io = new KeptIo();
  assertEquals(versionCommand(io), 0);
  assertEquals(io.output.split("\n").map((line) => line.split(" ")[0]), ["weir", "deno", "v8", "target", ""]);
  assertMatch(VERSION, /^\d+\.\d+\.\d+$/);
});

Deno.test("typesCommand() prints declarations that name the whole border of a policy", () => {
  const io = new KeptIo();
  assertEquals(typesCommand(io), 0);
  for (const name of ["definePolicy", "RuleBuilder", "ConnectionAnswer", "Metadata"]) {
    assertMatch(io.output, new RegExp(name));
  }
});

Deno.test("terminalIo() has no colour when the output is no terminal", () => {
  const io = terminalIo();
  if (!Deno.stdout.isTerminal()) assertEquals([io.color, io.columns], [false, 120]);
  else assertEquals(io.color, !Deno.noColor);
});
