/** `weir check`: reads the configuration and everything that it names, and reports every mistake. */
import type { ConfigFiles } from "../config/files.ts";
import type { Issue } from "../config/issue.ts";
import type { WeirConfig } from "../config/load.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import { type Configured, loadConfigured, type LoadPolicy } from "./configured.ts";
import type { CommandIo } from "./io.ts";
import { countOf } from "./report/format.ts";
import { type Paint, painter } from "./report/paint.ts";
import { visible } from "./report/visible.ts";

/** What the command needs of the machine. */
export interface CheckDoors {
  readonly files: ConfigFiles;
  readonly loadPolicy: LoadPolicy;
}

/** Runs `weir check`. Exit status 0 when the configuration can be used, with or without warnings; 2 when it cannot. */
export async function checkCommand(args: readonly string[], io: CommandIo, doors: CheckDoors): Promise<number> {
  const line = parseCommandLine(args, { flags: ["json"], values: ["config", "policy"] });
  const paths = { config: line.value("config"), policy: line.value("policy") };
  if (line.positionals.length > 0) {
    throw new UsageError(`Cannot check ${line.positionals[0]}: expected --config FILE, --policy FILE or both`);
  }
  if (paths.config === undefined && paths.policy === undefined) {
    throw new UsageError("Cannot check nothing: expected --config FILE, --policy FILE or both");
  }
  const configured = await loadConfigured(paths, doors.files, doors.loadPolicy);
  await configured.policy?.close();
  if (line.flag("json")) io.out(`${JSON.stringify(checkResult(configured), null, 2)}\n`);
  else io.out(renderCheck(configured, painter(io.color)));
  return configured.errorCount > 0 ? 2 : 0;
}

/** The document of `weir check --json`. */
export interface CheckResult {
  schema: "weir.check/1";
  files: readonly string[];
  errors: number;
  warnings: number;
  issues: readonly Issue[];
}

function checkResult({ files, errorCount, issues }: Configured): CheckResult {
  return { schema: "weir.check/1", files, errors: errorCount, warnings: issues.length - errorCount, issues };
}

function renderCheck(configured: Configured, paint: Paint): string {
  const lines = configured.issues.map((issue) => renderIssue(issue, paint));
  lines.push(summary(configured, paint));
  return lines.join("\n") + "\n";
}

/** One issue as `file:line:column: error: message`, in colours. */
export function renderIssue({ file, line, column, severity, message }: Issue, paint: Paint): string {
  const place = paint(`${visible(file)}:${line}:${column}:`, "bold");
  return `${place} ${paint(`${severity}:`, severity === "error" ? "red" : "yellow", "bold")} ${visible(message)}`;
}

function summary({ config, errorCount, issues, files }: Configured, paint: Paint): string {
  const warnings = issues.length - errorCount;
  const counts = [
    errorCount > 0 ? paint(countOf(errorCount, "error"), "red", "bold") : "",
    warnings > 0 ? paint(countOf(warnings, "warning"), "yellow", "bold") : "",
  ].filter((count) => count !== "");
  const found = counts.length === 0 ? paint("no mistakes", "green", "bold") : counts.join(", ");
  const where = files.length === 0 ? "" : ` in ${countOf(files.length, "file")}`;
  return config === undefined ? `${found}${where}` : `${found}${where}: ${contents(config)}`;
}

function contents({ decide, proxies, groups }: WeirConfig): string {
  const entries = [...decide.providers.values()].reduce((sum, provider) => sum + provider.count, 0);
  const parts = [
    countOf(decide.rules.length, "rule"),
    countOf(proxies.length, "proxy", "proxies"),
    countOf(groups.length, "group"),
  ];
  if (decide.providers.size > 0) {
    parts.push(`${countOf(decide.providers.size, "rule-provider")} with ${countOf(entries, "entry", "entries")}`);
  }
  return parts.join(", ");
}
