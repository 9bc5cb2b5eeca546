/**
 * Compiles what the Wine lab has instead of Windows' kernel: the stand-in DLLs with mingw, and lab_helper, their "kernel", with the system's compiler.
 *
 * `deno run -A scripts/build/wine_stand_ins.ts` compiles what has changed.
 */
import { hasTool, WINE_ROOT } from "./wine_lab.ts";

const SOURCES = decodeURIComponent(new URL("stand_ins/", import.meta.url).pathname);
/** Where the results are. */
export const STAND_INS = decodeURIComponent(new URL("../../.cache/wine-lab/stand_ins/", import.meta.url).pathname);

const MINGW = "x86_64-w64-mingw32-gcc";
const OBJDUMP = "x86_64-w64-mingw32-objdump";
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
/** Wine's own library, most of whose exports ours passes on. */
const WINE_IPHLPAPI = `${WINE_ROOT}/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/iphlpapi.dll`;

/** One result and what it is made of. Shape: a star stands for the rest of a name. */
interface Product {
  readonly output: string;
  readonly compiler: string;
  readonly sources: readonly string[];
  readonly libraries: readonly string[];
}

const WINDOWS = ["-shared", "-static-libgcc"];
const PRODUCTS: readonly Product[] = [
  {
    output: "wintun.dll",
    compiler: MINGW,
    sources: ["wintun.c", "wintun_ring.c", "lab_link.c"],
    libraries: [...WINDOWS, "-lws2_32", "-liphlpapi"],
  },
  {
    output: "weir-iphlpapi.dll",
    compiler: MINGW,
    sources: ["iphlpapi.c", "lab_link.c", "iphlpapi.def"],
    libraries: [...WINDOWS, "-lws2_32", "-liphlpapi"],
  },
  {
    output: "WinDivert.dll",
    compiler: MINGW,
    sources: ["windivert*.c", "lab_link.c"],
    libraries: [...WINDOWS, "-lws2_32", "-liphlpapi"],
  },
  { output: "weir-last-error.dll", compiler: MINGW, sources: ["last_error.c"], libraries: WINDOWS },
  {
    output: "lab_helper",
    compiler: "gcc",
    sources: ["lab_helper.c", "lab_tun.c", "lab_net.c", "lab_divert.c", "lab_nfqueue.c", "lab_control.c"],
    libraries: ["-pthread"],
  },
];

/** Why nothing can be compiled here, with what to do about it; undefined when it can. */
export function whyNoCompiler(): string | undefined {
  if (!hasTool(MINGW)) return `${MINGW} is not installed: apt-get install gcc-mingw-w64-x86-64`;
  return hasTool("gcc") ? undefined : "gcc is not installed: apt-get install gcc libc6-dev";
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd: SOURCES }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot compile a stand-in: ${command} ${args.join(" ")}\n${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** The names that a DLL exports, as objdump prints them. */
export function exportsOf(objdump: string): string[] {
  const table = objdump.slice(objdump.indexOf("Ordinal/Name Pointer] Table")).split(/\n\s*\n/)[0]!;
  return [...table.matchAll(/^\s+\[\s*\d+\](?:\s+\+base\[\s*\d+\]\s+[0-9a-f]+)?\s+(\S+)\s*$/gm)].map((hit) => hit[1]!);
}

/** Writes the list of exports that go to Wine's own library: all but those that our source has. */
async function writeForwards(path: string): Promise<void> {
  const ours = await Deno.readTextFile(`${SOURCES}iphlpapi.c`);
  const names = exportsOf(await run(OBJDUMP, ["-p", WINE_IPHLPAPI]))
    .filter((name) => /^[A-Za-z]\w*$/.test(name) && !ours.includes(` WINAPI ${name}(`));
  if (names.length < 100) {
    throw new Error(`Cannot read the exports of ${WINE_IPHLPAPI}: only ${names.length} are found`);
  }
  await Deno.writeTextFile(path, `EXPORTS\n${names.map((name) => `${name}=iphlpapi.${name}\n`).join("")}`);
}

async function changedAt(path: string): Promise<number> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info?.mtime?.getTime() ?? 0;
}

/** The sources of that name. */
function named(name: string): string[] {
  const [start, end] = name.split("*");
  if (end === undefined) return [name];
  const files = [...Deno.readDirSync(SOURCES)].map((file) => file.name);
  return files.filter((file) => file.startsWith(start!) && file.endsWith(end)).sort();
}

async function newestSource(): Promise<number> {
  let newest = await changedAt(decodeURIComponent(new URL(import.meta.url).pathname));
  for await (const { name } of Deno.readDir(SOURCES)) newest = Math.max(newest, await changedAt(`${SOURCES}${name}`));
  return newest;
}

/** Compiles whatever is older than the newest source. Errors: an Error with what the compiler said. */
export async function buildStandIns(): Promise<void> {
  const reason = whyNoCompiler();
  if (reason !== undefined) throw new Error(`Cannot compile the stand-ins: ${reason}`);
  const newest = await newestSource();
  await Deno.mkdir(STAND_INS, { recursive: true });
  for (const { output, compiler, sources, libraries } of PRODUCTS) {
    if (await changedAt(STAND_INS + output) > newest) continue;
    if (sources.includes("iphlpapi.def")) await writeForwards(`${STAND_INS}iphlpapi.def`);
    const files = sources.flatMap((file) => file.endsWith(".def") ? STAND_INS + file : named(file));
    await run(compiler, [...FLAGS, "-o", `${STAND_INS}${output}.part`, ...files, ...libraries]);
    await Deno.rename(`${STAND_INS}${output}.part`, STAND_INS + output);
  }
}

if (import.meta.main) await buildStandIns();
