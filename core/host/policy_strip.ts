/** Takes the types off TypeScript, so that every line and column stays where it is. */
import { transformSync } from "amaro";
import { createRequire } from "node:module";
import { type Place, ScriptSyntaxError } from "../policy/syntax.ts";

type Strip = (source: string) => string;

/** What amaro throws. `startColumn` counts display cells, from 0. */
interface AmaroError {
  readonly code?: string;
  readonly message?: string;
  readonly startLine?: number;
  readonly startColumn?: number;
}

const OPTIONS = { mode: "strip-only" } as const;

const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/enum/, "write `const Name = { … } as const`"],
  [/parameter property/, "declare the field and assign it in the constructor"],
  [/namespace|module/, "use a file of its own, or an object"],
  [/import equals|export assignment/, "write `import … from` and `export`"],
  [/angle-bracket/, "write `value as Type`"],
];

let strip: Strip = (source) => transformSync(source, OPTIONS).code;

/** amaro's WebAssembly cannot go on after its stack ran over: take a new instance. */
function renew(): void {
  const require = createRequire(import.meta.url);
  const files = Object.keys(require.cache).filter((file) => /[\\/]amaro[\\/]/.test(file));
  const main = files.find((file) => /[\\/]index\.js$/.test(file));
  if (main === undefined) return;
  for (const file of files) delete require.cache[file];
  const fresh = require(main) as { transformSync: typeof transformSync };
  strip = (source) => fresh.transformSync(source, OPTIONS).code;
}

/** The same text in ASCII, so that display cells are columns. */
function plain(text: string): string {
  return text.replace(
    /[^\u0000-\u007f]/g,
    (unit) => /\s/.test(unit) ? (/[\u2028\u2029]/.test(unit) ? unit : " ") : "a",
  );
}

function placeOf(text: string, error: AmaroError): Place {
  let at = error;
  try {
    const ascii = plain(text);
    if (ascii !== text) strip(ascii);
  } catch (again) {
    const second = again as AmaroError;
    if (second.code === error.code && second.startLine === error.startLine) at = second;
  }
  return { line: at.startLine ?? 1, column: (at.startColumn ?? 0) + 1 };
}

/**
 * Takes the types off. The result has the length of `text` and the same lines.
 * Errors: `ScriptSyntaxError` for bad syntax, and for the TypeScript that is more than types (enum, namespace, parameter properties).
 */
export function stripTypes(text: string): string {
  let stripped: string;
  try {
    stripped = strip(text);
  } catch (thrown) {
    if (thrown instanceof RangeError || thrown instanceof WebAssembly.RuntimeError) {
      renew();
      throw new ScriptSyntaxError("it nests too deeply", { line: 1, column: 1 });
    }
    const error = thrown as AmaroError;
    const message = (error.message ?? String(thrown)).replace(/ in strip-only mode$/, "");
    const remedy = error.code === "UnsupportedSyntax"
      ? REMEDIES.find(([pattern]) => pattern.test(message))?.[1]
      : undefined;
    throw new ScriptSyntaxError(remedy === undefined ? message : `${message}; ${remedy}`, placeOf(text, error));
  }
  return stripped;
}
