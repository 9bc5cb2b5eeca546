/**
 * `deno task test`: all tests that need nothing but Deno. Those of `core/` run first and without permissions, as the design promises that they can;
 * only what reaches outside by its nature runs with them.
 */
import { projectFiles, ROOT } from "./project.ts";

/** Folders of test/ with tasks of their own. */
const OTHER_TASKS = ["corpora", "browser", "live", "windows"];
/** Folders of core/ that may touch the system. */
const OUTSIDE = ["cli", "host"];
/** The yaml package looks at these two, and cannot be told not to. */
const PURE_PERMISSIONS = ["--no-prompt", "--allow-env=LOG_STREAM,LOG_TOKENS"];

/** Sorts the test files among `files` by what they may touch. Files of other tasks are left out. */
export function sortTests(files: readonly string[]): { pure: string[]; outside: string[] } {
  const core = new Set(files.filter((file) => file.startsWith("core/")).map((file) => file.split("/")[1]!));
  const pure: string[] = [];
  const outside: string[] = [];
  for (const file of files) {
    const subject = file.split("/")[1] ?? "";
    if (!file.startsWith("test/") || !file.endsWith("_test.ts") || OTHER_TASKS.includes(subject)) continue;
    const isPure = core.has(subject.replace(/_test\.ts$/, ".ts")) && !OUTSIDE.includes(subject);
    (isPure ? pure : outside).push(file);
  }
  return { pure, outside };
}

async function runTests(permissions: readonly string[], files: readonly string[]): Promise<boolean> {
  if (files.length === 0) return true;
  const args = ["test", "--parallel", ...permissions, ...files];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "inherit", stderr: "inherit" });
  return (await command.spawn().status).success;
}

if (import.meta.main) {
  const { pure, outside } = sortTests(projectFiles());
  console.log(`${pure.length} files of tests without permissions`);
  const first = await runTests(PURE_PERMISSIONS, pure);
  console.log(`\n${outside.length} files of tests that touch the system`);
  const second = await runTests(["-A"], outside);
  if (!first || !second) console.error("\nsome tests failed, see above");
  Deno.exit(first && second ? 0 : 1);
}
