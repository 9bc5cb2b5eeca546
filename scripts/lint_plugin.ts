/**
 * The house style, as far as a syntax tree shows it. `deno lint` loads this file; exceptions are named in `ledger.json`.
 *
 * Each rule looks at some folders only. An exception that excuses nothing is itself reported, so that the ledger never rots.
 */
import { type Excuse, LEDGER } from "./ledger.ts";
import { FUNCTIONS, isLocal, nameAround, nameOf, parentOf, runsOnce } from "./lint_scope.ts";

type Node = Deno.lint.Node;
type Report = (node: Node, message: string, name?: string) => void;
type Look = (report: Report, context: Deno.lint.RuleContext) => Deno.lint.LintVisitor;

/** A rule before the ledger is laid over it: the paths it looks at, and how it looks. */
interface House {
  readonly scope: RegExp;
  readonly look: Look;
}

const ROOT = new URL("../", import.meta.url).pathname;
const PRODUCT = /^(core|sim|ffi|scripts)\/|^main\.ts$/;
const PURE = /^core\/(?!host\/|cli\/)|^sim\//;
const DATA_PLANE = /^core\/(wire|parse|classify|act|stack)\/|^core\/engine\b|^core\/decide\/match/;

const FUNCTION_LINES_MAX = 70;
const CLOCKS_AND_DOORS = new Set(
  ("Date performance crypto console Deno fetch WebSocket Worker setTimeout setInterval clearTimeout clearInterval " +
    "setImmediate queueMicrotask requestAnimationFrame").split(" "),
);
const PURE_MODULES = new Set(["node:crypto", "node:zlib", "node:buffer"]);
const RANDOM_IMPORT = /^(random|getRandomValues|webcrypto)/;
const PER_PACKET_METHODS = new Set(["map", "filter", "forEach", "subarray"]);

const functionLines: House = {
  scope: PRODUCT,
  look: (report, context) => ({
    [FUNCTIONS](node: Node) {
      const lines = context.sourceCode.getText(node).split("\n").length;
      if (lines <= FUNCTION_LINES_MAX) return;
      const name = nameOf(node);
      report(node, `Function ${name || "without a name"} has ${lines} lines, ${FUNCTION_LINES_MAX} are allowed`, name);
    },
  }),
};

const pure: House = {
  scope: PURE,
  look: (report) => ({
    Identifier(node) {
      if (!CLOCKS_AND_DOORS.has(node.name)) return;
      const parent = parentOf(node);
      if (parent?.type === "MemberExpression" && parent.property === node && !parent.computed) return;
      if (parent !== undefined && (parent as { key?: Node }).key === node) return;
      if (isLocal(node, node.name)) return;
      report(
        node,
        `${node.name} is out of reach here: time, randomness and the outside come in as arguments`,
        node.name,
      );
    },
    MemberExpression(node) {
      if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return;
      if (node.object.name === "Math" && node.property.name === "random") report(node, "Math.random: draw from a Prng");
    },
    ImportDeclaration(node) {
      const from = node.source.value;
      if (!from.startsWith("node:")) return;
      if (!PURE_MODULES.has(from)) report(node, `${from} reaches outside, which only core/host/ and ffi/ may`, from);
      for (const each of node.specifiers) {
        if (
          each.type === "ImportSpecifier" && each.imported.type === "Identifier" &&
          RANDOM_IMPORT.test(each.imported.name)
        ) {
          report(each, `${each.imported.name}: randomness comes in as an argument`, each.imported.name);
        }
      }
    },
  }),
};

function dataPlaneVisitor(report: Report): Deno.lint.LintVisitor {
  const perPacket = (what: string) => (node: Node) => {
    if (runsOnce(node)) return;
    report(node, `${what} in the data plane: it costs an allocation or an unwinding per packet`, nameAround(node));
  };
  return {
    [FUNCTIONS](node: Node) {
      const it = node as Deno.lint.FunctionDeclaration;
      if (it.async) report(node, "async in the data plane: work that takes time leaves as a command", nameOf(node));
      else if (it.generator) report(node, "A generator in the data plane", nameOf(node));
      else if (node.type !== "FunctionDeclaration" && parentOf(node)?.type !== "MethodDefinition") {
        perPacket("A closure")(node);
      }
    },
    AwaitExpression: perPacket("await"),
    ThrowStatement: perPacket("throw"),
    TryStatement: perPacket("try"),
    TemplateLiteral: perPacket("A template string"),
    SpreadElement: perPacket("Spread"),
    NewExpression: perPacket("new"),
    CallExpression(node) {
      const callee = node.callee;
      if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return;
      if (PER_PACKET_METHODS.has(callee.property.name)) perPacket(`.${callee.property.name}()`)(node);
    },
  };
}

const dataPlane: House = { scope: DATA_PLANE, look: dataPlaneVisitor };

const sequenceOrder: House = {
  scope: /^(core|sim)\/(?!wire\/seq)/,
  look: (report) => ({
    BinaryExpression(node) {
      if (!/^[<>]=?$/.test(node.operator)) return;
      for (const side of [node.left, node.right]) {
        const label = side.type === "MemberExpression" ? side.property : side;
        if (label.type === "Identifier" && /Seq$/.test(label.name)) {
          report(node, `${label.name} wraps around: compare it with core/wire/seq.ts`, label.name);
        }
      }
    },
  }),
};

/** True when a `/** … *\/` comment ends on the line above `start`; line comments between the two do not matter. */
function isDocumented(text: string, start: number): boolean {
  const before = text.slice(0, start).replace(/(\n[ \t]*\/\/[^\n]*)+\n[ \t]*$/, "\n");
  if (!/\*\/[ \t]*\n?[ \t]*$/.test(before)) return false;
  return before.startsWith("/**", before.lastIndexOf("/*"));
}

const exportDoc: House = {
  scope: /^(core|sim|ffi|scripts)\/.*(?<!\.d)\.ts$/,
  look: (report, context) => {
    const text = context.sourceCode.text;
    let previousName = "";
    let runEnd = -1; // where the last documented constant ended: one comment may stand over a run of them
    return {
      ExportNamedDeclaration(node) {
        if (node.declaration === null) return;
        const declared = node.declaration as { id?: Node; declarations?: { id: Node }[] };
        const id = declared.id ?? declared.declarations?.[0]?.id;
        const name = id?.type === "Identifier" ? id.name : "";
        const overload = name !== "" && name === previousName;
        previousName = name;
        const constant = declared.declarations !== undefined;
        const inRun = constant && runEnd >= 0 && /^[ \t]*(\/\/[^\n]*)?\n$/.test(text.slice(runEnd, node.range[0]));
        const documented = overload || inRun || isDocumented(text, node.range[0]);
        runEnd = constant && documented ? node.range[1] : -1;
        if (!documented) report(node, `Exported ${name || "declaration"} has no doc comment`, name);
      },
    };
  },
};

const exportName: House = {
  scope: /^(core|sim|ffi|scripts)\/(?!policies\/|lint_plugin|.*\.d\.ts$)/,
  look: (report) => ({
    ExportDefaultDeclaration(node) {
      report(node, "No default export here: name it");
    },
    ExportNamedDeclaration(node) {
      const declared = node.declaration;
      if (declared === null) return;
      const id = (declared as { id?: Node }).id;
      if (id?.type !== "Identifier") return;
      const wanted = declared.type === "FunctionDeclaration" ? /^[a-z][A-Za-z0-9]*$/ : /^[A-Z][A-Za-z0-9]*$/;
      if (!wanted.test(id.name)) report(node, `${id.name} should read like ${wanted.source}`, id.name);
    },
  }),
};

const RULES: Readonly<Record<string, House>> = {
  "function-lines": functionLines,
  "pure": pure,
  "data-plane": dataPlane,
  "sequence-order": sequenceOrder,
  "export-doc": exportDoc,
  "export-name": exportName,
};

/** Lays the ledger over a rule: what an entry excuses is not reported, and an entry that excuses nothing is. */
function withLedger(id: string, house: House, ledger: readonly Excuse[]): Deno.lint.Rule {
  return {
    create(context) {
      const path = context.filename.replaceAll("\\", "/").replace(ROOT, "");
      const excuses = ledger.filter((excuse) => excuse.rule === id && excuse.file === path);
      const used = new Set<Excuse>();
      const report: Report = (node, message, name) => {
        const excuse = excuses.find((each) => each.name === undefined || each.name === name);
        if (excuse === undefined) context.report({ node, message });
        else used.add(excuse);
      };
      const visitor = house.scope.test(path) ? house.look(report, context) : {};
      visitor["Program:exit"] = (program: Node) => {
        for (const excuse of excuses) {
          if (used.has(excuse)) continue;
          const what = excuse.name === undefined ? path : `${path} ${excuse.name}`;
          context.report({
            node: program,
            message: `Stale entry in scripts/ledger.json: ${id} ${what} needs no excuse`,
          });
        }
      };
      return visitor;
    },
  };
}

/** The names of the rules that `ledger.json` may excuse. */
export const LINT_RULES: readonly string[] = Object.keys(RULES);

/** The rules as a plugin of `deno lint`, with the exceptions of `ledger`. */
export function createPlugin(ledger: readonly Excuse[]): Deno.lint.Plugin {
  const rules = Object.entries(RULES).map(([id, house]) => [id, withLedger(id, house, ledger)]);
  return { name: "weir", rules: Object.fromEntries(rules) };
}

export default createPlugin(LEDGER);
