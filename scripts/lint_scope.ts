/** Where a node of a syntax tree stands: its surroundings, its name, what it sees. For the rules in `lint_plugin.ts`. */

type Node = Deno.lint.Node;

/** A selector of everything that is called. */
export const FUNCTIONS = "FunctionDeclaration, FunctionExpression, ArrowFunctionExpression";

/** The node around `node`. */
export function parentOf(node: Node): Node | undefined {
  return (node as { parent?: Node | null }).parent ?? undefined;
}

/** The name a reader would use for a function: its own, or that of the variable, property or method holding it. */
export function nameOf(node: Node): string {
  const own = (node as { id?: Node | null }).id;
  if (own?.type === "Identifier") return own.name;
  const parent = parentOf(node);
  if (parent === undefined) return "";
  const holder = parent as { id?: Node; key?: Node };
  const label = holder.id ?? holder.key;
  if (label?.type === "PrivateIdentifier") return `#${label.name}`;
  if (label?.type === "Identifier") return label.name;
  return "";
}

function isFunction(node: Node): boolean {
  return FUNCTIONS.split(", ").includes(node.type);
}

/** The name of the function that `node` stands in; "" at module level. */
export function nameAround(node: Node): string {
  for (let at = parentOf(node); at !== undefined; at = parentOf(at)) {
    if (isFunction(at) && nameOf(at) !== "") return nameOf(at);
  }
  return "";
}

/** Code that runs once: module level, class fields, constructors and functions called `create…`. */
export function runsOnce(node: Node): boolean {
  for (let at = parentOf(node); at !== undefined; at = parentOf(at)) {
    if (!isFunction(at)) continue;
    const holder = parentOf(at);
    if (holder?.type === "MethodDefinition" && holder.kind === "constructor") return true;
    if (holder?.type === "CallExpression") continue; // a callback runs where it is handed over
    if (!/^create[A-Z]/.test(nameOf(at))) return false;
  }
  return true;
}

/** The names that a parameter or a variable's pattern introduces: `a`, `a = 1`, `{ a, b: c }`, `[a]`, `...a`. */
function boundNames(pattern: unknown): string[] {
  const it = pattern as { type: string; name?: string } & Record<string, unknown> | null | undefined;
  switch (it?.type) {
    case "Identifier":
      return [it.name!];
    case "AssignmentPattern":
      return boundNames(it["left"]);
    case "RestElement":
      return boundNames(it["argument"]);
    case "Property":
      return boundNames(it["value"]);
    case "ArrayPattern":
      return (it["elements"] as unknown[]).flatMap(boundNames);
    case "ObjectPattern":
      return (it["properties"] as unknown[]).flatMap(boundNames);
    default:
      return [];
  }
}

/** True when `name` is a parameter, a variable or an import that `node` sees, so that it is not the global of that name. */
export function isLocal(node: Node, name: string): boolean {
  for (let at = parentOf(node); at !== undefined; at = parentOf(at)) {
    const scope = at as { params?: unknown; body?: unknown };
    if (Array.isArray(scope.params) && scope.params.flatMap(boundNames).includes(name)) return true;
    if (!Array.isArray(scope.body)) continue;
    for (const each of scope.body as Node[]) {
      const bound = each.type === "VariableDeclaration"
        ? each.declarations.flatMap(({ id }) => boundNames(id))
        : each.type === "ImportDeclaration"
        ? each.specifiers.map(({ local }) => local.name)
        : [];
      if (bound.includes(name)) return true;
    }
  }
  return false;
}
