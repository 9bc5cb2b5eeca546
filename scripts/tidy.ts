/**
 * What the house style says about files as a whole: their names, their length, their tests, their first words, and the ledger's own health.
 * What it says about code inside a file is in `lint_plugin.ts`.
 */
import { type Excuse, LEDGER } from "./ledger.ts";
import { LINT_RULES } from "./lint_plugin.ts";
import { projectFiles, readProjectFile } from "./project.ts";

const FILE_LINES_MAX = 500;
const SNAKE_CASE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.d)?\.ts$/;
const EMPTY_NAMES = /^(utils?|helpers?|common|index|misc|shared)(_test)?\.ts$/;
const TIDY_RULES = ["file-name", "file-lines", "read-first", "tested"];

/** A file as the checks see it. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** One thing out of place; `file` and `rule` are what a ledger entry would name. */
export interface Finding {
  readonly rule: string;
  readonly file: string;
  readonly message: string;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function checkName({ path }: ProjectFile): string | undefined {
  const name = baseName(path);
  if (!SNAKE_CASE.test(name)) return "the name is not in snake_case";
  if (EMPTY_NAMES.test(name)) return "the name says nothing: name the file after its main export";
  return undefined;
}

function checkLength({ text }: ProjectFile): string | undefined {
  const lines = text.split("\n").length - 1;
  return lines <= FILE_LINES_MAX ? undefined : `${lines} lines, ${FILE_LINES_MAX} are allowed: split it by idea`;
}

function checkReadFirst({ path, text }: ProjectFile): string | undefined {
  if (!/^core\/(wire|outbound)\//.test(path) || /\/(mod|layout)\.ts$/.test(path)) return undefined;
  const head = text.slice(0, text.indexOf("*/"));
  return /Read first:/.test(head)
    ? undefined
    : 'the head comment does not begin with what to read: "Read first: RFC …"';
}

const EXPORTS_CODE = /^export (async )?(function|class|abstract class)\b/m;
const PRODUCT = /^(core|sim|ffi)\//;

const IMPORT = /(?:\bfrom|\bimport\(?)\s*"(\.[^"]+)"/g;

/** The project files that a file imports by relative path. */
function importsOf({ path, text }: ProjectFile): string[] {
  return [...text.matchAll(IMPORT)].map((hit) => new URL(hit[1]!, `file:///${path}`).pathname.slice(1));
}

/**
 * The product files that tests speak for. A test speaks for what it imports, and a test in the mirror of a folder (test/filter/ for
 * core/filter/) also for what those files need of the same folder: a folder may be tested through its door, by way of test/support/ too.
 */
export function findTested(files: readonly ProjectFile[]): Set<string> {
  const imports = new Map(files.map((file) => [file.path, importsOf(file)]));
  const folderOf = (path: string) => path.replace(/^core\//, "").split("/")[0]!;
  const tested = new Set<string>();
  const follow = (path: string, mirrored: string): void => {
    if (tested.has(path)) return;
    tested.add(path);
    for (const next of imports.get(path) ?? []) if (folderOf(next) === mirrored) follow(next, mirrored);
  };
  // What several tests share lies in test/support/, and speaks in their name.
  const withSupport = (path: string): string[] =>
    imports.get(path)!.flatMap((next) =>
      next.startsWith("test/support/") ? [next, ...(imports.get(next) ?? [])] : [next]
    );
  for (const { path } of files) {
    if (!path.startsWith("test/")) continue;
    const mirrored = path.split("/")[1]!;
    for (const next of withSupport(path)) {
      if (folderOf(next) === mirrored) follow(next, mirrored);
    }
  }
  for (const { path } of files) if (path.startsWith("test/")) imports.get(path)!.forEach((next) => tested.add(next));
  return tested;
}

/** Everything out of place in `files`, before the ledger is asked. */
export function findUntidy(files: readonly ProjectFile[]): Finding[] {
  const findings: Finding[] = [];
  const tested = findTested(files);
  for (const file of files) {
    if (!file.path.endsWith(".ts")) continue;
    const add = (rule: string, message: string | undefined) => {
      if (message !== undefined) findings.push({ rule, file: file.path, message });
    };
    add("file-name", checkName(file));
    add("file-lines", checkLength(file));
    add("read-first", checkReadFirst(file));
    if (
      PRODUCT.test(file.path) && !file.path.endsWith(".d.ts") && EXPORTS_CODE.test(file.text) && !tested.has(file.path)
    ) {
      add("tested", "no test imports it, or reaches it from the mirror of its folder");
    }
  }
  return findings;
}

/** Lays the ledger over the findings. Shape: one sentence a problem, stale and malformed entries included. */
export function settle(findings: readonly Finding[], ledger: readonly Excuse[], files: readonly string[]): string[] {
  const excuses = (entry: Excuse, finding: Finding) => entry.rule === finding.rule && entry.file === finding.file;
  const problems = findings
    .filter((finding) => !ledger.some((entry) => excuses(entry, finding)))
    .map(({ rule, file, message }) => `${file}: ${message} (${rule})`);
  for (const entry of ledger) {
    const where = `scripts/ledger.json: ${entry.rule} ${entry.file}`;
    if (entry.reason.trim().length < 10) problems.push(`${where}: give the reason`);
    if (!files.includes(entry.file)) problems.push(`${where}: there is no such file`);
    else if (TIDY_RULES.includes(entry.rule)) {
      if (!findings.some((finding) => excuses(entry, finding))) problems.push(`${where}: stale, it needs no excuse`);
    } else if (!LINT_RULES.includes(entry.rule)) problems.push(`${where}: there is no such rule`);
  }
  return problems;
}

/** Runs the check over the whole project. Shape: one sentence a problem; empty when all is well. */
export function checkTidy(): string[] {
  const paths = projectFiles();
  const files = paths.filter((path) => path.endsWith(".ts")).map((path) => ({ path, text: readProjectFile(path) }));
  return settle(findUntidy(files), LEDGER, paths);
}

if (import.meta.main) {
  const problems = checkTidy();
  for (const problem of problems) console.error(problem);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
