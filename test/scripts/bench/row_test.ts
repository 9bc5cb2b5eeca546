import { assertEquals } from "@std/assert";
import { chooseBenches } from "../../../scripts/bench/main.ts";
import { formatRows, formatValue } from "../../../scripts/bench/row.ts";

Deno.test("formatValue() keeps three digits below 100 and whole numbers above", () => {
  const shown = [0, 0.012345, 1.5, 99.99, 123.4, 1234567, NaN].map(formatValue);
  assertEquals(shown, ["0", "0.0123", "1.5", "100", "123", "1,234,567", "NaN"]);
});

Deno.test("formatRows() aligns the columns when rows differ in length", () => {
  assertEquals(
    formatRows([
      { what: "replay", value: 1_200_000, unit: "packets/s", aim: "≥ 1,000,000", met: true },
      { what: "load 157,000 rules", value: 1.25, unit: "s", aim: "< 1", met: false },
      { what: "memory", value: 80, unit: "MB" },
    ]),
    [
      "replay              1,200,000 packets/s  aim ≥ 1,000,000: met",
      "load 157,000 rules       1.25 s          aim < 1: not met",
      "memory                     80 MB",
    ],
  );
});

Deno.test("chooseBenches() takes all benches, or those whose names begin as asked", () => {
  const files = ["row.ts", "rules_bench.ts", "main.ts", "filter_bench.ts"];
  assertEquals(chooseBenches(files, []), ["filter_bench.ts", "rules_bench.ts"]);
  assertEquals(chooseBenches(files, ["rul"]), ["rules_bench.ts"]);
});
