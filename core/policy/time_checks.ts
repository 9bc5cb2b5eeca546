/**
 * Puts a check of the time into every loop and function of a script, so that one that never ends stops at its own line and column, and the
 * worker with everything that the script remembers goes on.
 */
import { childrenOf, type Syntax } from "./syntax.ts";

/** A text that goes into the script at an offset. */
export interface Insertion {
  readonly at: number;
  readonly text: string;
  /** Insertions at one offset go in this order: what was opened last is closed first. */
  readonly rank: number;
}

const LOOPS = ["ForStatement", "ForInStatement", "ForOfStatement", "WhileStatement", "DoWhileStatement"];
const FUNCTIONS = ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"];

/** Where calls of `check` (`"$t()"`, say) go. Errors: `RangeError` when the tree is too deep. */
export function timeChecks(program: Syntax, check: string): Insertion[] {
  const found: Insertion[] = [];
  const walk = (node: Syntax): void => {
    const isLoop = LOOPS.includes(node.type);
    if (isLoop || FUNCTIONS.includes(node.type)) {
      const body: Syntax = node.body;
      const [open, close] = body.type === "BlockStatement"
        ? [`${check};`, ""]
        : isLoop
        ? [`{${check};`, "}"]
        : [`(${check},`, ")"];
      found.push({ at: body.type === "BlockStatement" ? body.start + 1 : body.start, text: open, rank: 0 });
      if (close !== "") found.push({ at: body.end, text: close, rank: -found.length });
    }
    for (const child of childrenOf(node)) walk(child);
  };
  walk(program);
  return found;
}
