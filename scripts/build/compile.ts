/**
 * `deno task compile [linux|windows…] [--denort npm|site] [--with-drivers DIR]`: makes dist/weir and dist/weir.exe, each one file that needs nothing
 * beside it but, on Windows, the drivers; with `--with-drivers` these are embedded as well.
 *
 * Without `--denort` it tries `deno compile` as it is, and when Deno's own site does not answer it takes the bare runtime from npm.
 */
import { DRIVER_MANIFEST, sha256Hex } from "../../core/host/drivers.ts";
import { DENORT_VERSION, fetchDenort, npmTool, type Target } from "./denort.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname).replace(/^\/([A-Za-z]:)/, "$1");

/** The executables that `deno task compile` makes. */
export const PROGRAMS: Readonly<Record<string, { target: Target; output: string }>> = {
  linux: { target: "x86_64-unknown-linux-gnu", output: `${ROOT}dist/weir` },
  windows: { target: "x86_64-pc-windows-msvc", output: `${ROOT}dist/weir.exe` },
};

/**
 * What the executable may do: everything. `weir run` calls into the system's libraries, and whoever may do that may do all else; to find a flow's process
 * it reads /proc, which Deno grants to nobody who has less. The policy Worker gets nothing of it.
 */
const PERMISSIONS = ["--allow-all"];

/** The drivers that Windows programs may carry. */
const DRIVERS = ["wintun.dll", "WinDivert.dll", "WinDivert64.sys"];
/** Where they lie, outside and inside the executable, relative to the project; main.ts knows this folder. */
export const DRIVER_FOLDER = "dist/drivers";

/** Copies the drivers of `from` to where they are embedded from, with their hashes. Errors: an Error when there is none. */
export async function stageDrivers(from: string, to: string): Promise<string[]> {
  await Deno.mkdir(to, { recursive: true });
  const files: Record<string, string> = {};
  for (const name of DRIVERS) {
    const bytes = await Deno.readFile(`${from}/${name}`).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (bytes === undefined) continue;
    await Deno.writeFile(`${to}/${name}`, bytes);
    files[name] = await sha256Hex(bytes);
  }
  const names = Object.keys(files);
  if (names.length === 0) throw new Error(`Cannot embed drivers: ${from} has none of ${DRIVERS.join(", ")}`);
  await Deno.writeTextFile(`${to}/${DRIVER_MANIFEST}`, `${JSON.stringify({ files }, null, 2)}\n`);
  return names;
}

/** The arguments of `deno compile` for one program, without `deno` itself. `include` names files that the code opens by name at run time. */
export function compileArguments(
  main: string,
  target: Target,
  output: string,
  includes: readonly string[] = [],
): string[] {
  const include = includes.flatMap((file) => ["--include", file]);
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
  includes: readonly string[] = [],
): Promise<"npm" | "site"> {
  const args = compileArguments(main, target, output, includes);
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

/** Compiles each named program, or both; Windows programs carry the drivers of `drivers`, if that is given. Shape: the paths made. */
export async function compileAll(
  names: readonly string[],
  denort: "npm" | "site" | "either",
  drivers?: string,
): Promise<string[]> {
  const outputs: string[] = [];
  const staged = `${ROOT}${DRIVER_FOLDER}`;
  await Deno.remove(staged, { recursive: true }).catch(() => {});
  if (drivers !== undefined) console.log(`embedding ${(await stageDrivers(drivers, staged)).join(", ")}`);
  for (const name of names.length === 0 ? Object.keys(PROGRAMS) : names) {
    const program = PROGRAMS[name];
    if (program === undefined) {
      throw new Error(`Cannot compile ${name}: choose from ${Object.keys(PROGRAMS).join(", ")}`);
    }
    const includes = drivers !== undefined && program.target.includes("windows") ? [DRIVER_FOLDER] : [];
    const from = await compile(`${ROOT}main.ts`, program.target, program.output, denort, includes);
    if (from === "npm") denort = "npm";
    const megabytes = ((await Deno.stat(program.output)).size / 1e6).toFixed(0);
    console.log(`${program.output}  ${megabytes} MB`);
    outputs.push(program.output);
  }
  return outputs;
}

/** The command line: an option and its value are taken out of `args`. */
function takeOption(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  if (at < 0) return undefined;
  const value = args.splice(at, 2)[1];
  if (value === undefined) throw new Error(`Cannot use ${name}: a value is missing`);
  return value;
}

if (import.meta.main) {
  const args = [...Deno.args];
  const choice = takeOption(args, "--denort") ?? "either";
  const drivers = takeOption(args, "--with-drivers");
  if (choice !== "npm" && choice !== "site" && choice !== "either") throw new Error("--denort takes npm or site");
  await compileAll(args, choice, drivers);
}
