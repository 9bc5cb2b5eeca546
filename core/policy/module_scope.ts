/** Finds where a module uses the names that it imports: every identifier but those that an inner declaration hides. */
import { childrenOf, type Syntax } from "./syntax.ts";

/** One use of an imported name. */
export interface Use {
  readonly name: string;
  readonly node: Syntax;
  /** `call`: what is called, so that `this` must not become the namespace. `shorthand`: `{ name }`, whose key must stay. */
  readonly kind: "plain" | "call" | "shorthand";
  /** True when the use is the first token of a statement in a list, where a parenthesis before it would join the line above. */
  readonly opensStatement: boolean;
}

/** What one walk over a module finds. */
export interface ModuleUses {
  readonly uses: readonly Use[];
  readonly dynamicImports: readonly Syntax[];
  readonly importMetas: readonly Syntax[];
  /** True when the module waits at its top level. */
  readonly awaits: boolean;
}

const FUNCTIONS = ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"];

/** The names that a pattern binds. */
export function boundNames(pattern: Syntax | null, into: string[] = []): string[] {
  if (pattern === null) return into;
  switch (pattern.type) {
    case "Identifier":
      into.push(pattern.name);
      break;
    case "ObjectPattern":
      for (const property of pattern.properties) {
        boundNames(property.type === "Property" ? property.value : property, into);
      }
      break;
    case "ArrayPattern":
      for (const element of pattern.elements) boundNames(element, into);
      break;
    case "AssignmentPattern":
      boundNames(pattern.left, into);
      break;
    case "RestElement":
      boundNames(pattern.argument, into);
      break;
  }
  return into;
}

/** The names that a statement declares where it stands. */
export function declaredNames(statement: Syntax | null | undefined): string[] {
  if (statement?.type === "VariableDeclaration") {
    return statement.declarations.flatMap((each: Syntax) => boundNames(each.id));
  }
  if (statement?.type === "FunctionDeclaration" || statement?.type === "ClassDeclaration") {
    return boundNames(statement.id);
  }
  return [];
}

/** The names that `var` declares anywhere in a function. */
function varNames(node: Syntax, into: string[] = []): string[] {
  if (FUNCTIONS.includes(node.type) || node.type === "StaticBlock") return into;
  if (node.type === "VariableDeclaration" && node.kind === "var") into.push(...declaredNames(node));
  for (const child of childrenOf(node)) varNames(child, into);
  return into;
}

/** The names that a node declares for everything inside it. */
function scopeOf(node: Syntax): string[] {
  switch (node.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression": {
      const own = node.type === "FunctionExpression" ? boundNames(node.id) : [];
      return [...own, ...node.params.flatMap((each: Syntax) => boundNames(each)), ...varNames(node.body)];
    }
    case "ClassExpression":
    case "ClassDeclaration":
      return boundNames(node.id);
    case "BlockStatement":
      return node.body.flatMap(declaredNames);
    case "StaticBlock":
      return node.body.flatMap((each: Syntax) => [...declaredNames(each), ...varNames(each)]);
    case "SwitchStatement":
      return node.cases.flatMap((each: Syntax) => each.consequent.flatMap(declaredNames));
    case "ForStatement":
      return declaredNames(node.init);
    case "ForInStatement":
    case "ForOfStatement":
      return declaredNames(node.left);
    case "CatchClause":
      return boundNames(node.param);
  }
  return [];
}

class Walk {
  readonly uses: Use[] = [];
  readonly dynamicImports: Syntax[] = [];
  readonly importMetas: Syntax[] = [];
  awaits = false;
  readonly #imported: ReadonlySet<string>;
  /** How many open scopes hide a name. */
  readonly #hidden = new Map<string, number>();
  readonly #openings = new Set<number>();
  #depth = 0;

  constructor(imported: ReadonlySet<string>) {
    this.#imported = imported;
  }

  #use(node: Syntax, kind: Use["kind"]): void {
    if (!this.#imported.has(node.name) || (this.#hidden.get(node.name) ?? 0) > 0) return;
    this.uses.push({ name: node.name, node, kind, opensStatement: this.#openings.has(node.start) });
  }

  #children(node: Syntax, skip: readonly string[]): void {
    const kept = Object.fromEntries(Object.entries(node).filter(([key]) => !skip.includes(key)));
    for (const child of childrenOf(kept as unknown as Syntax)) this.visit(child);
  }

  visit(node: Syntax): void {
    const names = scopeOf(node).filter((name) => this.#imported.has(name));
    const inFunction = FUNCTIONS.includes(node.type) || node.type === "PropertyDefinition" ||
      node.type === "StaticBlock";
    for (const name of names) this.#hidden.set(name, (this.#hidden.get(name) ?? 0) + 1);
    if (inFunction) this.#depth++;
    this.#enter(node);
    if (inFunction) this.#depth--;
    for (const name of names) this.#hidden.set(name, this.#hidden.get(name)! - 1);
  }

  #enter(node: Syntax): void {
    switch (node.type) {
      case "Program":
      case "BlockStatement":
      case "StaticBlock":
        for (const each of node.body) if (each.type === "ExpressionStatement") this.#openings.add(each.start);
        return this.#children(node, []);
      case "SwitchCase":
        for (const each of node.consequent) if (each.type === "ExpressionStatement") this.#openings.add(each.start);
        return this.#children(node, []);
      case "Identifier":
        return this.#use(node, "plain");
      case "CallExpression":
        return this.#callee(node, "callee");
      case "TaggedTemplateExpression":
        return this.#callee(node, "tag");
      case "MemberExpression":
      case "MethodDefinition":
      case "PropertyDefinition":
        return this.#children(node, node.computed ? [] : [node.type === "MemberExpression" ? "property" : "key"]);
      case "Property":
        if (!node.shorthand) return this.#children(node, node.computed ? [] : ["key"]);
        if (node.value.type === "Identifier") return this.#use(node.value, "shorthand");
        if (node.value.left.type === "Identifier") this.#use(node.value.left, "shorthand");
        return this.visit(node.value.right);
      case "LabeledStatement":
      case "BreakStatement":
      case "ContinueStatement":
        return this.#children(node, ["label"]);
      case "MetaProperty":
        if (node.meta.name === "import") this.importMetas.push(node);
        return;
      case "ImportExpression":
        this.dynamicImports.push(node);
        return this.#children(node, []);
      case "ImportDeclaration":
      case "ExportAllDeclaration":
        return;
      case "ExportNamedDeclaration":
        if (node.declaration !== null) this.visit(node.declaration);
        return;
      case "AwaitExpression":
        if (this.#depth === 0) this.awaits = true;
        return this.#children(node, []);
      case "ForOfStatement":
        if (node.await && this.#depth === 0) this.awaits = true;
        return this.#children(node, []);
      case "VariableDeclaration":
        if (node.kind === "await using" && this.#depth === 0) this.awaits = true;
        return this.#children(node, []);
      default:
        return this.#children(node, []);
    }
  }

  #callee(node: Syntax, field: string): void {
    if (node[field].type !== "Identifier") return this.#children(node, []);
    this.#use(node[field], "call");
    this.#children(node, [field]);
  }
}

/** Walks over a module and finds every use of the names in `imported`. Errors: `RangeError` when the tree is too deep. */
export function findUses(program: Syntax, imported: ReadonlySet<string>): ModuleUses {
  const walk = new Walk(imported);
  walk.visit(program);
  return walk;
}
