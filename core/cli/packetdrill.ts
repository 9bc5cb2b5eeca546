/** `weir packetdrill`: runs packetdrill scripts against the stack, in virtual time. */
import { SCRIPT_BYTES_MAX, SCRIPT_FILES_MAX } from "../base/limits.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import type { PacketdrillResult, PacketdrillRun, PacketdrillRunner } from "./packetdrill_result.ts";
import { painter } from "./report/paint.ts";
import { visible } from "./report/visible.ts";

const OPTIONS = { flags: ["json"], values: [] } as const;

/** Folders within folders that are looked into. */
const FOLDER_DEPTH_MAX = 32;

/** Shell lines that are listed as ignored; the rest is counted. */
const IGNORED_SHOWN_MAX = 10;

async function collect(path: string, files: string[], depth: number): Promise<void> {
  if (depth > FOLDER_DEPTH_MAX) {
    throw new Error(`Cannot read ${path}: folders are nested deeper than ${FOLDER_DEPTH_MAX}`);
  }
  const entries: Deno.DirEntry[] = [];
  for await (const entry of Deno.readDir(path)) entries.push(entry);
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    const child = `${path.replace(/\/$/, "")}/${entry.name}`;
    if (entry.isDirectory) await collect(child, files, depth + 1);
    else if (entry.isFile && entry.name.endsWith(".pkt")) files.push(child);
    if (files.length > SCRIPT_FILES_MAX) {
      throw new Error(`Cannot run ${path}: it has more than ${SCRIPT_FILES_MAX} scripts`);
    }
  }
}

/** The scripts that the arguments name; a folder stands for its `.pkt` files. Errors: with the path. */
async function filesOf(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    let isDirectory: boolean;
    try {
      isDirectory = (await Deno.stat(path)).isDirectory;
    } catch (error) {
      throw new UsageError(`Cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (!isDirectory) files.push(path);
    else {
      const before = files.length;
      await collect(path, files, 0);
      if (files.length === before) throw new UsageError(`Cannot run ${path}: there is no .pkt file in it`);
    }
  }
  return files;
}

async function runFile(file: string, run: PacketdrillRunner): Promise<PacketdrillRun> {
  try {
    if ((await Deno.stat(file)).size > SCRIPT_BYTES_MAX) {
      return { passed: false, message: `the script is longer than ${SCRIPT_BYTES_MAX} bytes`, ignored: [] };
    }
    return run(await Deno.readTextFile(file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.PermissionDenied)) throw error;
    return { passed: false, message: `Cannot read the script: ${error.message}`, ignored: [] };
  }
}

function failureText(file: string, { line, message }: PacketdrillRun): string {
  const where = line === undefined ? file : `${file}:${line}`;
  const lines = (message ?? "").split("\n").map((each) => visible(each));
  return `${visible(where)}: ${lines.join("\n")}\n`;
}

function ignoredText(ignored: ReadonlyMap<string, number>): string {
  if (ignored.size === 0) return "";
  const sorted = [...ignored].sort((a, b) => b[1] - a[1]);
  const shown = sorted.slice(0, IGNORED_SHOWN_MAX).map(([text, count]) => `  ${count} × ${visible(text)}\n`);
  const more = sorted.length > IGNORED_SHOWN_MAX ? `  and ${sorted.length - IGNORED_SHOWN_MAX} others\n` : "";
  return `ignored shell lines, which have no meaning here:\n${shown.join("")}${more}`;
}

/**
 * Runs `weir packetdrill`. Exit status: 0 when every script passed, 1 when one failed, 2 when the arguments are unusable.
 * Errors: `UsageError`.
 */
export async function packetdrillCommand(
  args: readonly string[],
  io: CommandIo,
  run: PacketdrillRunner,
): Promise<number> {
  const line = parseCommandLine(args, OPTIONS);
  if (line.positionals.length === 0) throw new UsageError("Cannot run packetdrill: no script is given");
  const json = line.flag("json");
  const paint = painter(io.color && !json);
  const scripts: PacketdrillResult["scripts"][number][] = [];
  const ignored = new Map<string, number>();
  let passed = 0;
  for (const file of await filesOf(line.positionals)) {
    const result = await runFile(file, run);
    for (const text of result.ignored) ignored.set(text, (ignored.get(text) ?? 0) + 1);
    if (result.passed) passed++;
    else if (!json) io.out(`${paint("failed", "red")} ${failureText(file, result)}`);
    scripts.push({
      file,
      passed: result.passed,
      ...(result.line === undefined ? {} : { line: result.line }),
      ...(result.message === undefined ? {} : { message: result.message }),
    });
  }
  const failed = scripts.length - passed;
  const result: PacketdrillResult = { schema: "weir.packetdrill/1", scripts, passed, failed };
  if (json) io.out(`${JSON.stringify(result, null, 2)}\n`);
  else io.out(`${ignoredText(ignored)}${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}
