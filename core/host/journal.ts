/**
 * A journal of what weir has changed in the system, so that it can be undone after a crash.
 *
 * A step is on disk before its deed is done, and out of the file only after it is undone. A deed may so never have been done, or be undone
 * already: undoing has to be idempotent.
 *
 * ```
 * {"weir":1}                      the first line
 * {"kind":"route", …}             one line a step, in the order of the deeds; a torn last line was never done
 * ```
 */
import { JOURNAL_BYTES_MAX, JOURNAL_STEPS_MAX } from "../base/limits.ts";

/** One change, with all that undoing it needs. */
export interface JournalStep {
  readonly kind: string;
  readonly [key: string]: string | number | boolean;
}

/** Takes a step back. Errors: throws when it could not; a step whose object is gone counts as undone. */
export type UndoStep = (step: JournalStep) => void;

const HEAD = { weir: 1 };

function isStep(value: unknown): value is JournalStep {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  if (typeof (value as Record<string, unknown>)["kind"] !== "string") return false;
  return Object.values(value).every((each) => ["string", "number", "boolean"].includes(typeof each));
}

/** The steps in a journal's text. Errors: an Error when it is no journal of ours. Lines that are not whole are left out. */
export function parseJournal(text: string): JournalStep[] {
  const lines = text.split("\n");
  // Whole lines end; what stands behind the last end was being written.
  lines.pop();
  const head = lines.shift();
  if (head === undefined) return [];
  if (head !== JSON.stringify(HEAD)) throw new Error("it is not a journal of this version of weir");
  const steps: JournalStep[] = [];
  for (const line of lines) {
    try {
      const step: unknown = JSON.parse(line);
      if (isStep(step) && steps.length < JOURNAL_STEPS_MAX) steps.push(step);
    } catch {
      // A line that the machine lost with its power was not on disk whole, so that its deed was not done.
    }
  }
  return steps;
}

/** The journal that this process writes. */
export class Journal {
  readonly path: string;
  readonly #undo: UndoStep;
  readonly #steps: JournalStep[] = [];
  #file: Deno.FsFile | undefined = undefined;

  /** Opens nothing: the file is made with the first step. `left` are steps of before that could not be undone; they are tried again at the end. */
  constructor(path: string, undo: UndoStep, left: readonly JournalStep[] = []) {
    this.path = path;
    this.#undo = undo;
    this.#steps.push(...left);
  }

  /** Steps that are not undone. */
  get steps(): readonly JournalStep[] {
    return this.#steps;
  }

  /** Writes the step down, then does the deed. Errors: the deed's; its step stays, for some of it may be done. */
  record(step: JournalStep, deed: () => void): void {
    this.recordAll([{ step, deed }]);
  }

  /** Writes all steps down at once, then does their deeds in order. Errors: that of the first deed that fails; all steps stay. */
  recordAll(changes: readonly { readonly step: JournalStep; readonly deed: () => void }[]): void {
    if (this.#steps.length + changes.length > JOURNAL_STEPS_MAX) {
      throw new Error(`Cannot change more than ${JOURNAL_STEPS_MAX} things of the system at a time`);
    }
    if (this.#file === undefined) {
      const folder = this.path.slice(0, Math.max(this.path.lastIndexOf("/"), this.path.lastIndexOf("\\")));
      if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
      rewrite(this.path, this.#steps);
      this.#file = Deno.openSync(this.path, { append: true });
    }
    for (const { step } of changes) {
      writeLine(this.#file, step);
      this.#steps.push(step);
    }
    this.#file.syncSync();
    for (const { deed } of changes) deed();
  }

  /** Undoes every step, the last first, and removes the file. Shape: what could not be undone, in words; the file keeps those steps then. */
  undoAll(): string[] {
    this.#file?.close();
    this.#file = undefined;
    const { failures, left } = undoSteps(this.#steps, this.#undo);
    this.#steps.length = 0;
    settle(this.path, left);
    return failures;
  }
}

function writeLine(file: Deno.FsFile, value: unknown): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

function undoSteps(steps: readonly JournalStep[], undo: UndoStep): { failures: string[]; left: JournalStep[] } {
  const failures: string[] = [];
  const left: JournalStep[] = [];
  for (const step of steps.toReversed()) {
    try {
      undo(step);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      left.unshift(step);
    }
  }
  return { failures, left };
}

/** Leaves a file with the steps that are left, or none. */
function settle(path: string, left: readonly JournalStep[]): void {
  if (left.length === 0) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return;
  }
  rewrite(path, left);
}

/** Makes the file hold these steps and no others. */
function rewrite(path: string, steps: readonly JournalStep[]): void {
  // Beside it first: a crash in between leaves the old file, whose steps may be undone twice.
  const beside = `${path}.new`;
  const file = Deno.openSync(beside, { create: true, write: true, truncate: true });
  try {
    for (const line of [HEAD, ...steps]) writeLine(file, line);
    file.syncSync();
  } finally {
    file.close();
  }
  Deno.renameSync(beside, path);
}

/** What a journal of before held. */
export interface UndoneJournal {
  /** Steps that were undone. */
  readonly undone: number;
  /** What could not be undone, in words; it is tried again at the next start. */
  readonly failures: readonly string[];
  /** Those steps themselves. */
  readonly left: readonly JournalStep[];
}

/** Undoes what a weir that crashed has left. Nothing is there in most cases. Errors: an Error when the file cannot be read, or is no journal. */
export function undoJournal(path: string, undo: UndoStep): UndoneJournal {
  const remedy = "remove it when no weir runs and the network works";
  let text: string;
  try {
    if (Deno.statSync(path).size > JOURNAL_BYTES_MAX) {
      throw new Error(`Cannot undo what ${path} says: it is larger than a journal can be; ${remedy}`);
    }
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { undone: 0, failures: [], left: [] };
    throw error;
  }
  let steps: JournalStep[];
  try {
    steps = parseJournal(text);
  } catch (error) {
    throw new Error(`Cannot undo what ${path} says: ${(error as Error).message}; ${remedy}`);
  }
  const { failures, left } = undoSteps(steps, undo);
  settle(path, left);
  return { undone: steps.length - left.length, failures, left };
}
