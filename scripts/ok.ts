/**
 * `deno task ok [STEP…] [--no-test]`: every check a change must pass, in the order of their cost. Without names it runs them all, and a failed
 * step does not hide the later ones.
 */
import { checkDocs } from "./docs_snippets.ts";
import { checkLayers } from "./layers.ts";
import { ROOT } from "./project.ts";
import { checkSeeds } from "./seeds.ts";
import { checkTidy } from "./tidy.ts";

/** One check. `run` answers with its problems, one sentence each; a tool that has already printed its own answers `[""]`. */
interface Step {
  readonly name: string;
  readonly mend: string;
  run(): Promise<string[]> | string[];
}

function deno(...args: string[]): () => Promise<string[]> {
  return async () => {
    const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "inherit", stderr: "inherit" });
    return (await command.spawn().status).success ? [] : [""];
  };
}

const STEPS: readonly Step[] = [
  { name: "fmt", mend: "run `deno fmt`", run: deno("fmt", "--quiet", "--check") },
  {
    name: "lint",
    mend: "mend the line, or name the exception and its reason in scripts/ledger.json",
    run: deno("lint", "--quiet"),
  },
  { name: "check", mend: "mend the types", run: deno("check", "--quiet", ".") },
  {
    name: "layers",
    mend: "move the code to the layer it belongs to; the order is in scripts/layers.ts",
    run: checkLayers,
  },
  { name: "tidy", mend: "mend the file, or name the exception and its reason in scripts/ledger.json", run: checkTidy },
  { name: "docs", mend: "mend the code block or the command in README.md", run: checkDocs },
  {
    name: "seeds",
    mend: "the input beside the message broke it once before: find out why it does again",
    run: checkSeeds,
  },
  { name: "test", mend: "run that file alone with `deno test -A FILE`", run: deno("task", "test") },
];

/** The steps that `args` ask for. Errors: throws on a name that is no step. */
export function chooseSteps(args: readonly string[]): string[] {
  const names = STEPS.map(({ name }) => name);
  const wanted = args.filter((arg) => arg !== "--no-test");
  for (const name of wanted) {
    if (!names.includes(name)) throw new Error(`Cannot run the step ${name}: the steps are ${names.join(", ")}`);
  }
  const chosen = wanted.length === 0 ? names : names.filter((name) => wanted.includes(name));
  return args.includes("--no-test") ? chosen.filter((name) => name !== "test") : chosen;
}

async function runStep({ name, mend, run }: Step): Promise<boolean> {
  const start = performance.now();
  const problems = await run();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  for (const problem of problems) if (problem !== "") console.error(`  ${problem}`);
  if (problems.length === 0) console.log(`ok      ${name} (${seconds} s)`);
  else console.error(`FAILED  ${name} (${seconds} s): ${mend}`);
  return problems.length === 0;
}

if (import.meta.main) {
  const chosen = chooseSteps(Deno.args);
  const failed: string[] = [];
  for (const step of STEPS) {
    if (chosen.includes(step.name) && !await runStep(step)) failed.push(step.name);
  }
  console.log(failed.length === 0 ? `all ${chosen.length} steps ok` : `failed: ${failed.join(", ")}`);
  Deno.exit(failed.length === 0 ? 0 : 1);
}
