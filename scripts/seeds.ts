/**
 * Inputs that once broke a parser are kept in test/seeds/ for ever. The tests beside them replay each one; this step sees to it that none of the
 * inputs is forgotten there.
 */
import { projectFiles, readProjectFile, ROOT } from "./project.ts";

/** Seeds that no test of test/seeds/ could read: a folder of inputs needs a test that names the folder. */
export function findForgotten(files: readonly string[], read: (path: string) => string): string[] {
  const inside = files.filter((file) => file.startsWith("test/seeds/"));
  const tests = files.filter((file) => file.endsWith("_test.ts"));
  const folders = new Set(
    inside.filter((file) => !file.endsWith(".ts")).map((file) => file.slice(0, file.lastIndexOf("/"))),
  );
  const named = (folder: string) => {
    const short = folder.slice("test/".length);
    return tests.some((test) => read(test).includes(short));
  };
  return [...folders].filter((folder) => !named(folder)).map((folder) =>
    `${folder}: no test names this folder of seeds`
  );
}

/** Runs the check, and the tests that live in test/seeds/. Shape: one sentence a problem; empty when all is well. */
export async function checkSeeds(): Promise<string[]> {
  const files = projectFiles();
  const problems = findForgotten(files, readProjectFile);
  if (!files.some((file) => /^test\/seeds\/.*_test\.ts$/.test(file))) return problems;
  const args = ["test", "-A", "--quiet", "test/seeds/"];
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "inherit", stderr: "inherit" })
    .output();
  return success ? problems : [...problems, "a seed broke its parser again, see above"];
}

if (import.meta.main) {
  const problems = await checkSeeds();
  for (const problem of problems) console.error(problem);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
