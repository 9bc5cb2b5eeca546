import { assertEquals, assertThrows } from "@std/assert";
import { chooseSteps } from "../../scripts/ok.ts";
import { findForgotten } from "../../scripts/seeds.ts";

const ALL = ["fmt", "lint", "check", "layers", "tidy", "docs", "seeds", "test"];

Deno.test("chooseSteps() takes all steps when none is named", () => {
  assertEquals(chooseSteps([]), ALL);
  assertEquals(chooseSteps(["--no-test"]), ALL.slice(0, -1));
});

Deno.test("chooseSteps() keeps the order of cost when steps are named", () => {
  assertEquals(chooseSteps(["tidy", "fmt"]), ["fmt", "tidy"]);
});

Deno.test("chooseSteps() throws when a step does not exist", () => {
  assertThrows(() => chooseSteps(["tydi"]), Error, "Cannot run the step tydi: the steps are fmt, lint");
});

Deno.test("findForgotten() names a folder of seeds when no test reads it", () => {
  const files = ["test/seeds/dns/1.bin", "test/seeds/tls/1.bin", "test/seeds/dns_test.ts"];
  assertEquals(findForgotten(files, () => 'replay("seeds/dns")'), [
    "test/seeds/tls: no test names this folder of seeds",
  ]);
});
