import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { editDistance, nearestName } from "../../core/base/nearest.ts";

/** The definition, followed to the letter. */
function slowDistance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const options = [
    slowDistance(a.slice(0, -1), b) + 1,
    slowDistance(a, b.slice(0, -1)) + 1,
    slowDistance(a.slice(0, -1), b.slice(0, -1)) + (a.at(-1) === b.at(-1) ? 0 : 1),
  ];
  if (a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)) {
    options.push(slowDistance(a.slice(0, -2), b.slice(0, -2)) + 1);
  }
  return Math.min(...options);
}

Deno.test("editDistance() agrees with the slow definition", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
  fc.assert(fc.property(word, word, (a, b) => assertEquals(editDistance(a, b), slowDistance(a, b))), {
    seed: 3,
    numRuns: 400,
  });
});

Deno.test("nearestName() finds slips of the pen and nothing far-fetched", () => {
  const known = ["rules", "proxies", "proxy-groups", "dns", "tun", "mode"];
  const cases: [string, string | undefined][] = [
    ["rulse", "rules"],
    ["Rules", "rules"],
    ["proxy_groups", "proxy-groups"],
    ["prox-groups", "proxy-groups"],
    ["dsn", "dns"],
    ["mod", "mode"],
    ["hosts", undefined],
    ["x", undefined],
    ["", undefined],
    ["r".repeat(10_000), undefined],
  ];
  for (const [name, expected] of cases) assertEquals(nearestName(name, known), expected, name);
});
