/**
 * `deno task compile [linux|windows…] [--denort npm|site]`: makes dist/weir and dist/weir.exe, each one file that needs nothing beside it.
 *
 * Without `--denort` it tries `deno compile` as it is, and when Deno's own site does not answer it takes the bare runtime from npm.
 */
import { DENORT_VERSION, fetchDenort, npmTool, type Target } from "./denort.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname).replace(/^\/([A-Za-z]:)/, "$1");

/** The executables that `deno task compile` makes. */
export const PROGRAMS: Readonly<Record<string, { target: Target; output: string }>> = {
  linux: { target: "x86_64-unknown-linux-gnu", output: `${ROOT}dist/weir` },
  windows: { target: "x86_64-pc-windows-msvc", output: `${ROOT}dist/weir.exe` },
};

/**
 * What the executable may do, and why. Nothing else is granted, and nothing is asked for at run time: `--no-prompt`.
 * The policy Worker gets none of it.
 */
const PERMISSIONS = [
  "--allow-read", // captures, configuration, providers, policies: any path the user names
  "--allow-write", // --out, --report, record: any path the user names
  "--allow-net", // `weir run` carries flows on, `weir explain` looks names up
  "--allow-ffi", // `weir run` opens its device
  "--allow-env=LOG_STREAM,LOG_TOKENS", // the yaml package looks at these two; NO_COLOR needs no permission
  "--no-prompt",
];

/** Files that the code opens by name at run time, so that `deno compile` cannot see them. */
const INCLUDE: readonly string[] = [];

/** The arguments of `deno compile` for one program, without `deno` itself. */
export function compileArguments(main: string, target: Target, output: string): string[] {
  const include = INCLUDE.flatMap((file) => ["--include", file]);
  return ["compile", "--quiet", "--no-check", ...PERMISSIONS, ...include, "--target", target, "--output", output, main];
}

/** True when `deno compile` failed because it could not download the bare runtime, rather than because of the program. */
export function isDownloadFailure(message: string): boolean {
  return /denort|dl\.deno\.land/.test(message) &&
    /download|send|connect|resolve|dns|certificate|tunnel|status|http/i.test(message);
}

async function runCompile(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<string | undefined> {
  const command = new Deno.Command(program, { args: [...args], cwd: ROOT, env, stdout: "inherit", stderr: "piped" });
  const { success, stderr } = await command.output();
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}

/** Compiles `main` into `output`. Errors: throws with what `deno compile` said. */
export async function compile(
  main: string,
  target: Target,
  output: string,
  denort: "npm" | "site" | "either",
): Promise<"npm" | "site"> {
  const args = compileArguments(main, target, output);
  if (denort !== "npm") {
    const failure = await runCompile(Deno.execPath(), args, {});
    if (failure === undefined) return "site";
    if (denort === "site" || !isDownloadFailure(failure)) throw new Error(`Cannot compile ${output}: ${failure}`);
    console.error(`Deno's site does not answer; taking the runtime of Deno ${DENORT_VERSION} from npm.`);
  }
  const bare = await fetchDenort(target, `${ROOT}.cache/denort`);
  const env = { DENORT_BIN: bare, DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system" };
  const failure = await runCompile(npmTool("npx"), ["-y", `deno@${DENORT_VERSION}`, ...args], env);
  if (failure !== undefined) throw new Error(`Cannot compile ${output}: ${failure}`);
  return "npm";
}

/** Compiles each named program, or both. Shape: the paths made. */
export async function compileAll(names: readonly string[], denort: "npm" | "site" | "either"): Promise<string[]> {
  const outputs: string[] = [];
  for (const name of names.length === 0 ? Object.keys(PROGRAMS) : names) {
    const program = PROGRAMS[name];
    if (program === undefined) {
      throw new Error(`Cannot compile ${name}: choose from ${Object.keys(PROGRAMS).join(", ")}`);
    }
    const from = await compile(`${ROOT}main.ts`, program.target, program.output, denort);
    if (from === "npm") denort = "npm";
    const megabytes = ((await Deno.stat(program.output)).size / 1e6).toFixed(0);
    console.log(`${program.output}  ${megabytes} MB`);
    outputs.push(program.output);
  }
  return outputs;
}

if (import.meta.main) {
  const at = Deno.args.indexOf("--denort");
  const choice = at < 0 ? "either" : Deno.args[at + 1];
  if (choice !== "npm" && choice !== "site" && choice !== "either") throw new Error("--denort takes npm or site");
  await compileAll(Deno.args.filter((_, index) => at < 0 || (index !== at && index !== at + 1)), choice);
}
