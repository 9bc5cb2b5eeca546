/**
 * Turns one ES module into a function that a loader can run: imported names become reads of the other module's namespace, so that
 * bindings stay live and circles of imports work as the language says.
 *
 * The function is a generator: its first step declares (functions are hoisted, exports handed over), its second runs the module's body.
 * Lines never move; columns do, and `toOriginal` says where they were.
 */
import { findUses, type ModuleUses } from "./module_scope.ts";
import { declaredNames } from "./module_scope.ts";
import { timeChecks } from "./time_checks.ts";
import { childrenOf, parseScript, type Place, placeAt, ScriptSyntaxError, type Syntax } from "./syntax.ts";

/** Another file that a module names. */
export interface Request {
  readonly specifier: string;
  readonly place: Place;
}

/** A name that comes from another module. `name` is `*` for its namespace. */
export interface Binding {
  readonly request: number;
  readonly name: string;
  readonly place: Place;
}

/** A module after `compileModule`. */
export interface ScriptModule {
  readonly requests: readonly Request[];
  /** Imported names that the module really uses, by their local name; the others may be types. */
  readonly imports: ReadonlyMap<string, Binding>;
  /** Exported name → the key of its getter. */
  readonly locals: ReadonlyMap<string, string>;
  /** Exported name → where it comes from. */
  readonly indirect: ReadonlyMap<string, Binding>;
  readonly stars: readonly Binding[];
  /** True when the module waits at its top level. */
  readonly awaits: boolean;
  /** A generator function's source. Shape: `(function*(namespace of each request…, meta, tick, export) { … })`. */
  readonly code: string;
  /** Where the properties called `onConnection`, `onDns` and `rules` are first written. */
  readonly members: ReadonlyMap<string, Place>;
  /** Where a place in `code` is in the script. */
  toOriginal(place: Place): Place;
}

interface Edit {
  readonly at: number;
  readonly length: number;
  readonly text: string;
  /** Edits at one offset go in this order; of equal ones an insertion first. */
  readonly rank: number;
}

const MEMBERS = ["onConnection", "onDns", "rules"];
const NEWLINE = /\r\n|[\n\r\u2028\u2029]/g;

/** `;` and blanks in the place of a statement: what stood before it must not join what comes after. */
function blank(text: string): string {
  return `;${text.slice(1).replace(/[^\n\r\u2028\u2029]/g, " ")}`;
}

function nameOf(node: Syntax): string {
  return node.type === "Literal" ? String(node.value) : node.name;
}

function findMembers(program: Syntax, text: string): Map<string, Place> {
  const found = new Map<string, Place>();
  const walk = (node: Syntax): void => {
    const key = node.type === "Property" || node.type === "MethodDefinition" || node.type === "PropertyDefinition"
      ? node.key
      : undefined;
    const name = key?.type === "Identifier" && !node.computed
      ? key.name
      : key?.type === "Literal"
      ? key.value
      : undefined;
    if (MEMBERS.includes(name) && !found.has(name)) found.set(name, placeAt(text, key.start));
    for (const child of childrenOf(node)) walk(child);
  };
  walk(program);
  return found;
}

/** Reads the declarations at the top of a module and collects what must be rewritten. */
class Compiler {
  readonly requests: Request[] = [];
  readonly imports = new Map<string, Binding>();
  readonly locals = new Map<string, string>();
  readonly indirect = new Map<string, Binding>();
  readonly stars: Binding[] = [];
  readonly edits: Edit[] = [];
  readonly #text: string;
  /** What every name that linking adds begins with; the script does not hold it. */
  readonly #prefix: string;

  constructor(text: string) {
    this.#text = text;
    let prefix = "$w";
    while (text.includes(prefix)) prefix += "$";
    this.#prefix = prefix;
  }

  get #defaultName(): string {
    return `${this.#prefix}def$`;
  }

  #edit(at: number, length: number, text: string, rank = 0): void {
    this.edits.push({ at, length, text, rank });
  }

  #place(node: Syntax): Place {
    return placeAt(this.#text, node.start);
  }

  #request(source: Syntax): number {
    const known = this.requests.findIndex(({ specifier }) => specifier === source.value);
    return known >= 0 ? known : this.requests.push({ specifier: source.value, place: this.#place(source) }) - 1;
  }

  #erase(node: Syntax): void {
    this.#edit(node.start, node.end - node.start, blank(this.#text.slice(node.start, node.end)));
  }

  /** The order in which modules are named is the order in which they run. */
  readRequests(program: Syntax): void {
    for (const { source } of program.body) if (source !== undefined && source !== null) this.#request(source);
  }

  readImports(program: Syntax): void {
    for (const node of program.body) {
      if (node.type !== "ImportDeclaration") continue;
      const request = this.#request(node.source);
      for (const each of node.specifiers) {
        const name = each.type === "ImportNamespaceSpecifier"
          ? "*"
          : each.type === "ImportDefaultSpecifier"
          ? "default"
          : nameOf(each.imported);
        this.imports.set(each.local.name, { request, name, place: this.#place(each) });
      }
      this.#erase(node);
    }
  }

  readExports(program: Syntax): void {
    for (const node of program.body) {
      if (node.type === "ExportAllDeclaration") {
        const binding = { request: this.#request(node.source), name: "*", place: this.#place(node.source) };
        if (node.exported === null) this.stars.push(binding);
        else this.indirect.set(nameOf(node.exported), binding);
        this.#erase(node);
      } else if (node.type === "ExportNamedDeclaration") this.#named(node);
      else if (node.type === "ExportDefaultDeclaration") this.#default(node);
    }
  }

  #named(node: Syntax): void {
    if (node.declaration !== null) {
      for (const name of declaredNames(node.declaration)) this.locals.set(name, name);
      return this.#edit(node.start, "export".length, "      ");
    }
    const request = node.source === null ? undefined : this.#request(node.source);
    for (const each of node.specifiers) {
      const exported = nameOf(each.exported);
      const local = nameOf(each.local);
      const imported = request === undefined ? this.imports.get(local) : { request, name: local };
      if (imported === undefined) this.locals.set(exported, local);
      else this.indirect.set(exported, { ...imported, place: this.#place(each) });
    }
    this.#erase(node);
  }

  #default(node: Syntax): void {
    const head = /^export(\s|\/\/.*|\/\*[^]*?\*\/)*/.exec(this.#text.slice(node.start))![0];
    const at = node.start + head.length;
    const { declaration } = node;
    const hoisted = declaration.type === "FunctionDeclaration";
    if (hoisted || (declaration.type === "ClassDeclaration" && declaration.id !== null)) {
      this.locals.set("default", declaration.id?.name ?? this.#defaultName);
      this.#edit(node.start, "export".length, "      ");
      this.#edit(at, "default".length, "       ");
      if (declaration.id !== null) return;
      const opening = /^(async(\s|\/\*[^]*?\*\/)+)?function(\s|\/\/.*|\/\*[^]*?\*\/)*\*?/.exec(
        this.#text.slice(declaration.start),
      )![0];
      return this.#edit(declaration.start + opening.length, 0, ` ${this.#defaultName}`);
    }
    this.locals.set("default", this.#defaultName);
    this.#edit(node.start, "export".length, "const ");
    this.#edit(at, "default".length, `${this.#defaultName}=`);
    this.#edit(node.end, 0, ";");
  }

  rewriteUses({ uses, importMetas, dynamicImports }: ModuleUses): void {
    for (const node of dynamicImports) {
      throw new ScriptSyntaxError(
        "import() is not possible in a policy; write an import at the top",
        this.#place(node),
      );
    }
    for (const { name, node, kind, opensStatement } of uses) {
      const { request, name: imported } = this.imports.get(name)!;
      const member = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(imported)
        ? `.${imported}`
        : `[${JSON.stringify(imported)}]`;
      const read = `${this.#prefix}${request}${imported === "*" ? "" : member}`;
      const safe = kind === "call"
        ? `${opensStatement ? ";" : ""}(0,${read})`
        : kind === "shorthand"
        ? `${name}:${read}`
        : read;
      this.#edit(node.start, node.end - node.start, safe);
    }
    for (const node of importMetas) this.#edit(node.start, node.end - node.start, `${this.#prefix}meta`);
  }

  checkTimes(program: Syntax): void {
    for (const { at, text, rank } of timeChecks(program, `${this.#prefix}tick()`)) this.#edit(at, 0, text, rank);
  }

  /** The head that goes before the script's first character. */
  open(awaits: boolean): void {
    const p = this.#prefix;
    const namespaces = this.requests.map((_, index) => `${p}${index},`).join("");
    const getters = [...this.locals.values()].map((local) => `${JSON.stringify(local)}:()=>${local}`);
    const head = `(${
      awaits ? "async " : ""
    }function*(${namespaces}${p}meta,${p}tick,${p}out){"use strict";${p}out({__proto__:null,${
      [...new Set(getters)].join(",")
    }});yield;`;
    const bang = this.#text.startsWith("#!") ? "//" : "";
    this.#edit(0, bang.length, head + bang);
  }
}

function apply(text: string, edits: readonly Edit[]): string {
  let code = "";
  let at = 0;
  for (const edit of edits) {
    code += text.slice(at, edit.at) + edit.text;
    at = edit.at + edit.length;
  }
  return code + text.slice(at);
}

function offsetOf(text: string, { line, column }: Place): number {
  let start = 0;
  NEWLINE.lastIndex = 0;
  for (let at = 1; at < line; at++) {
    const end = NEWLINE.exec(text);
    if (end === null) return text.length;
    start = end.index + end[0].length;
  }
  return Math.min(start + column - 1, text.length);
}

function originalOffset(edits: readonly Edit[], offset: number): number {
  let moved = 0;
  for (const { at, length, text } of edits) {
    if (offset < at + moved) break;
    if (offset < at + moved + text.length) return at;
    // A call of an import is told at the parenthesis after it, a call of a name at the name.
    if (offset === at + moved + text.length && text.endsWith(")") && length > 0) return at;
    moved += text.length - length;
  }
  return offset - moved;
}

/**
 * Compiles a module whose types are gone already. `timed` puts checks of the time into its loops and functions.
 * Errors: `ScriptSyntaxError`.
 */
export function compileModule(text: string, timed = true): ScriptModule {
  const program = parseScript(text);
  const compiler = new Compiler(text);
  let uses: ModuleUses;
  let members: Map<string, Place>;
  try {
    compiler.readRequests(program);
    compiler.readImports(program);
    compiler.readExports(program);
    uses = findUses(program, new Set(compiler.imports.keys()));
    members = findMembers(program, text);
    if (timed) compiler.checkTimes(program);
  } catch (error) {
    if (error instanceof RangeError) throw new ScriptSyntaxError("it nests too deeply", { line: 1, column: 1 });
    throw error;
  }
  compiler.rewriteUses(uses);
  compiler.open(uses.awaits);
  const edits = compiler.edits.toSorted((a, b) => a.at - b.at || a.rank - b.rank || a.length - b.length);
  const code = `${apply(text, edits)}\n})`;
  const used = new Set(uses.uses.map(({ name }) => name));
  return {
    requests: compiler.requests,
    imports: new Map([...compiler.imports].filter(([local]) => used.has(local))),
    locals: compiler.locals,
    indirect: compiler.indirect,
    stars: compiler.stars,
    awaits: uses.awaits,
    code,
    members,
    toOriginal: (place) => placeAt(text, originalOffset(edits, offsetOf(code, place))),
  };
}
