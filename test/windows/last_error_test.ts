/** The last error of a Windows thread is read where it is valid. */
import { assertEquals } from "@std/assert";
import { windowsTest } from "./windows_test_case.ts";

const PAIRS = 100_000;

windowsTest(
  `the last error is right after each of ${PAIRS} plain and overlapped calls, and lost after those that run aside`,
  async (lab) => {
    const dll = `${lab.home.programs}\\weir-last-error.dll`;
    const { code, stdout, stderr } = await lab.runProgram("last_error.ts", [dll, String(PAIRS)], {}, 120_000);
    assertEquals([code, stderr], [0, code === 0 ? stderr : ""]);
    const all = `plain ${PAIRS} begun ${PAIRS} completed ${PAIRS}`;
    assertEquals(stdout.trim().split(/\r?\n/), [all, "lost aside 100"]);
  },
);
