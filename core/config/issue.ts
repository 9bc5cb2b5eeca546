/** Mistakes in configuration files as data: collected all at once, each at its place. */
import { CONFIG_ISSUE_COUNT_MAX, NAME_COMPARISON_COUNT_MAX } from "../base/limits.ts";
import { nearestName } from "../base/nearest.ts";

/**
 * One mistake in a file the user wrote. `message` says what was found and what was expected, and never shows a secret.
 * Units: `line` and `column` count from 1; columns in UTF-16 code units.
 */
export interface Issue {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Where something stands in a file. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Collects issues, each place and message once, and counts on beyond the bound. */
export class IssueList {
  readonly #issues: Issue[] = [];
  readonly #seen = new Set<string>();
  readonly #files: string[] = [];
  #errorCount = 0;
  #comparisonsLeft = NAME_COMPARISON_COUNT_MAX;
  #leftOut = 0;

  /** True when anything found so far makes the configuration unusable. */
  get hasErrors(): boolean {
    return this.#errorCount > 0;
  }

  /** Mistakes found so far, however many of them are kept. */
  get errorCount(): number {
    return this.#errorCount;
  }

  error(place: Place, message: string): void {
    this.#add("error", place, message);
  }

  warning(place: Place, message: string): void {
    this.#add("warning", place, message);
  }

  /** The words "; did you mean …?" for a message, or nothing when no known name is near or too many were looked for. */
  didYouMean(name: string, known: readonly string[]): string {
    this.#comparisonsLeft -= known.length;
    const near = this.#comparisonsLeft < 0 ? undefined : nearestName(name, known);
    return near === undefined ? "" : `; did you mean "${near}"?`;
  }

  #add(severity: Issue["severity"], place: Place, message: string): void {
    const { file, line, column } = place;
    const key = JSON.stringify([file, line, column, message]);
    if (this.#seen.has(key)) return;
    if (severity === "error") this.#errorCount++;
    if (this.#issues.length >= CONFIG_ISSUE_COUNT_MAX) {
      this.#leftOut++;
      return;
    }
    this.#seen.add(key);
    if (!this.#files.includes(file)) this.#files.push(file);
    this.#issues.push({ severity, file, line, column, message });
  }

  /** Everything found: files in the order they were first named, then by line and column. */
  sorted(): Issue[] {
    const order = new Map(this.#files.map((file, index) => [file, index]));
    const rank = (issue: Issue) => order.get(issue.file) ?? 0;
    const issues = this.#issues.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column);
    const last = issues.at(-1);
    if (this.#leftOut > 0 && last !== undefined) {
      const severity = this.hasErrors ? "error" : "warning";
      issues.push({ ...last, severity, message: `and ${this.#leftOut} more issues, which are not listed` });
    }
    return issues;
  }
}

/** Writes an issue as compilers do, so that editors find the place: `file:line:column: error: message`. */
export function formatIssue(issue: Issue): string {
  return `${issue.file}:${issue.line}:${issue.column}: ${issue.severity}: ${issue.message}`;
}
