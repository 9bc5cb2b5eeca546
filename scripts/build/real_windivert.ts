/**
 * The real WinDivert library of version 2.2, whose helpers work without its driver: the stand-in asks it whether filters match, and a test compares its
 * answers with ours. It is none of ours to hand on, so that it is fetched: it lies in the Python package pydivert.
 */
import { STAND_INS } from "./wine_stand_ins.ts";

/** What it is called beside the stand-in, which looks for it there. */
export const REAL_WINDIVERT = "WinDivert64-real.dll";
/** A version that carries WinDivert 2.2. */
const PACKAGE = "pydivert==3.1.3";
const MEMBER = "pydivert/windivert_dll/WinDivert64.dll";

async function run(command: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(command, { args, stdout: "null", stderr: "piped" }).output();
    return success ? undefined : new TextDecoder().decode(stderr).trim().split("\n").at(-1)!;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `${command} is not installed`;
    throw error;
  }
}

/** Puts the library beside the stand-ins, unless it is there: the one that WEIR_WINDIVERT_DLL names, or by pip. Shape: why there is none. */
export async function fetchRealWinDivert(): Promise<string | undefined> {
  const path = STAND_INS + REAL_WINDIVERT;
  const given = Deno.env.get("WEIR_WINDIVERT_DLL") ?? "";
  if (given !== "") await Deno.copyFile(given, path);
  if (await Deno.stat(path).then(() => true, () => false)) return undefined;
  const folder = await Deno.makeTempDir({ prefix: "weir-windivert-" });
  try {
    const options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--dest", folder];
    const failure = await run("pip", "download", ...options, PACKAGE) ??
      await run("python3", "-m", "zipfile", "-e", `${folder}/pydivert-3.1.3-py3-none-any.whl`, folder);
    if (failure !== undefined) {
      return `${PACKAGE} cannot be had (${failure}); name WinDivert64.dll in WEIR_WINDIVERT_DLL`;
    }
    await Deno.mkdir(STAND_INS, { recursive: true });
    await Deno.copyFile(`${folder}/${MEMBER}`, path);
    return undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) console.log(await fetchRealWinDivert() ?? `${STAND_INS}${REAL_WINDIVERT} is there`);
