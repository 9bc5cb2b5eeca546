/** The syntax tree of a script, as far as linking looks at it. */
import { type Node as AcornNode, parse } from "acorn";

/** A node of the tree (ESTree), with its other fields untyped: they differ from type to type. */
export interface Syntax {
  readonly type: string;
  /** Units: UTF-16 code units from the start of the file. */
  readonly start: number;
  readonly end: number;
  // deno-lint-ignore no-explicit-any
  readonly [field: string]: any;
}

/** A place in a file. Units: both count from 1, columns in UTF-16 code units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A mistake in a script, and where it is. */
export class ScriptSyntaxError extends SyntaxError {
  readonly place: Place;
  constructor(message: string, place: Place) {
    super(message);
    this.name = "ScriptSyntaxError";
    this.place = place;
  }
}

/** Line and column of an offset. */
export function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset).split(/\r\n|[\n\r\u2028\u2029]/);
  return { line: before.length, column: before[before.length - 1]!.length + 1 };
}

/**
 * Parses a module.
 * Errors: `ScriptSyntaxError`.
 */
export function parseScript(text: string): Syntax {
  try {
    return parse(text, {
      ecmaVersion: "latest",
      sourceType: "module",
      allowHashBang: true,
    }) satisfies AcornNode as unknown as Syntax;
  } catch (error) {
    if (error instanceof RangeError) throw new ScriptSyntaxError("it nests too deeply", { line: 1, column: 1 });
    const { message, loc } = error as { message: string; loc?: { line: number; column: number } };
    const place = { line: loc?.line ?? 1, column: (loc?.column ?? 0) + 1 };
    throw new ScriptSyntaxError(message.replace(/ \(\d+:\d+\)$/, ""), place);
  }
}

/** The nodes right below a node. */
export function childrenOf(node: Syntax): Syntax[] {
  const found: Syntax[] = [];
  for (const key of Object.keys(node)) {
    const value: unknown = node[key];
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each === "object" && each !== null && typeof (each as Syntax).type === "string") {
        found.push(each as Syntax);
      }
    }
  }
  return found;
}
