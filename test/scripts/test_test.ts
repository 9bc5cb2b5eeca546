import { assertEquals } from "@std/assert";
import { sortTests } from "../../scripts/test.ts";

Deno.test("sortTests() gives permissions only to tests of what touches the system", () => {
  const files = [
    "core/engine.ts",
    "core/cli/replay.ts",
    "core/filter/syntax.ts",
    "core/host/policy.ts",
    "core/stack/tcp/state.ts",
    "main.ts",
    "test/browser/report_test.ts",
    "test/cli/report/table_test.ts",
    "test/corpora/names_test.ts",
    "test/engine_test.ts",
    "test/filter/syntax_test.ts",
    "test/filter/generate.ts",
    "test/host/policy_test.ts",
    "test/main_test.ts",
    "test/stack/tcp/state_test.ts",
  ];
  assertEquals(sortTests(files), {
    pure: ["test/engine_test.ts", "test/filter/syntax_test.ts", "test/stack/tcp/state_test.ts"],
    outside: ["test/cli/report/table_test.ts", "test/host/policy_test.ts", "test/main_test.ts"],
  });
});
