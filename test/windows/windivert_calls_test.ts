/** WinDivert's calls without its driver: overlapped operations over Windows' own events, and the real library where it can be had. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { deriveDivertFilter } from "../../core/config/divert_filter.ts";
import { loadConfig } from "../../core/config/load.ts";
import { MemoryFiles } from "../config/memory_files.ts";
import { randomConfig } from "../decide/random_rules.ts";
import { REAL_WINDIVERT } from "../../scripts/build/real_windivert.ts";
import { windowsTest, writeForWindows } from "./windows_test_case.ts";

windowsTest("the WinDivert adapter works over Windows' own events, waits and error codes", async (lab) => {
  const { stdout } = await lab.runProgram("windivert_overlapped.ts", [], {}, 120_000);
  const lines = stdout.trim().split(/\r?\n/);
  assertEquals(lines.at(-1), "END", stdout);
  assertEquals(lines.filter((line) => !line.startsWith("ok: ")), ["END"]);
});

/** Filters that weir derives from random configurations. */
async function derivedFilters(count: number): Promise<string[]> {
  const { config } = await loadConfig(undefined, new MemoryFiles({}));
  const prng = new Prng(20260714);
  const derive = () => deriveDivertFilter({ ...config!, decide: randomConfig(prng).slow }, { hasPolicy: false }).filter;
  return Array.from({ length: count }, derive);
}

windowsTest(
  "filters, checksums and offsets are those of the real WinDivert.dll, which says why it does not open",
  async (lab) => {
    if (!await lab.hasRealWinDivert("the comparison with it")) return;
    const filters = await writeForWindows(lab, "filters.json", JSON.stringify(await derivedFilters(300)));
    const args = [`${lab.home.programs}\\${REAL_WINDIVERT}`, "6000", filters];
    const { code, stdout, stderr } = await lab.runProgram("windivert_real.ts", args, {}, 300_000);
    assertEquals(code, 0, stderr);
    const told = JSON.parse(stdout);
    assertEquals(told.differences, []);
    assert(told.counts.filters === 8_300 && told.counts.accepted > 5_000 && told.counts.verdicts > 40_000, stdout);
    assertEquals(told.counts.objects, told.counts.accepted);
    assertStringIncludes(told.open, "Windows itself is needed, not a stand-in for it (error 1114)");
  },
);
