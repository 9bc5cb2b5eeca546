/** Reads a policy script and the files that it imports, and links them into one bundle for its worker. */
import { basename, dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { POLICY_FILE_BYTES_MAX, POLICY_FILES_MAX, POLICY_TOTAL_BYTES_MAX } from "../base/limits.ts";
import type { Issue, Place as FilePlace } from "../config/issue.ts";
import type { Bundle } from "../policy/bundle.ts";
import { type GraphNode, linkGraph } from "../policy/module_graph.ts";
import { compileModule, type ScriptModule } from "../policy/script_module.ts";
import { type Place, placeAt, ScriptSyntaxError } from "../policy/syntax.ts";
import { OWN_SOURCES, PUBLIC_MODULE, RUNTIME_MODULE } from "./policy_sources.ts";
import { stripTypes } from "./policy_strip.ts";

/** A mistake in a policy, or one that it made while it ran. */
export type PolicyIssue = Issue;

/** Where something is in the user's files. */
export type PolicyPlace = FilePlace;

/** A policy as read from its files. */
export interface PolicyFiles {
  /** `undefined` when there were errors. */
  readonly bundle: Bundle | undefined;
  readonly issues: readonly PolicyIssue[];
  /** Every file that was looked for → its text; `undefined` when it could not be read. */
  readonly looked: ReadonlyMap<string, string | undefined>;
  /** The innermost frame of the user's files in a stack, as they were written. */
  placeOf(stack: string): PolicyPlace | undefined;
  /** Where the script writes a property of its policy; its beginning when it does not. */
  memberPlace(name: "onConnection" | "onDns" | "rules"): PolicyPlace;
}

/** A module of the graph: one of weir's own, or a file of the user's. */
interface Loaded {
  readonly id: string;
  readonly own: boolean;
  readonly module: ScriptModule;
  readonly dependencies: number[];
}

const START: Place = { line: 1, column: 1 };
const FRAME = /weir-policy:\/\/\/(\d{1,4})(?:, <anonymous>)?:(\d{1,9}):(\d{1,9})/;
const OWN_MODULES = new Map<string, ScriptModule>();

function ownModule(url: string): ScriptModule {
  let module = OWN_MODULES.get(url);
  if (module === undefined) OWN_MODULES.set(url, module = compileModule(stripTypes(OWN_SOURCES.get(url)!), false));
  return module;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "no permission to read it";
  }
  return error instanceof Error ? error.message : String(error);
}

/** A JSON file as a module. Errors: `ScriptSyntaxError` with the place that the JSON parser names. */
function jsonModule(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const offset = /at position (\d+)/.exec(message);
    throw new ScriptSyntaxError(message, offset === null ? START : placeAt(text, Number(offset[1])));
  }
  return `export default JSON.parse(${JSON.stringify(text)});`;
}

class Reader {
  readonly issues: PolicyIssue[] = [];
  readonly looked = new Map<string, string | undefined>();
  readonly loaded: Loaded[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #entry: string;
  readonly #folder: string;
  #folderReal = "";
  #bytes = 0;

  constructor(entry: string) {
    this.#entry = entry;
    this.#folder = dirname(entry);
  }

  fail(file: string, place: Place, message: string): void {
    this.issues.push({ severity: "error", file, line: place.line, column: place.column, message });
  }

  /** Adds one of weir's own modules and what it imports. */
  own(url: string): number {
    const known = this.#indexes.get(url);
    if (known !== undefined) return known;
    const module = ownModule(url);
    const dependencies: number[] = [];
    const index = this.loaded.push({ id: url, own: true, module, dependencies }) - 1;
    this.#indexes.set(url, index);
    for (const { specifier } of module.requests) dependencies.push(this.own(new URL(specifier, url).href));
    return index;
  }

  /** Adds a file and what it imports. Shape: its index, or -1 after an error. */
  async file(path: string, from?: PolicyPlace, specifier?: string): Promise<number> {
    const known = this.#indexes.get(path);
    if (known !== undefined) return known;
    this.#indexes.set(path, -1);
    const text = await this.#read(path, from, specifier);
    if (text === undefined) return -1;
    let module: ScriptModule;
    try {
      module = compileModule(
        path.endsWith(".json") ? jsonModule(text) : /\.m?js$/.test(path) ? text : stripTypes(text),
      );
    } catch (error) {
      if (!(error instanceof ScriptSyntaxError)) throw error;
      this.fail(path, error.place, `Cannot read the policy: ${error.message}`);
      return -1;
    }
    const dependencies: number[] = [];
    const index = this.loaded.push({ id: path, own: false, module, dependencies }) - 1;
    this.#indexes.set(path, index);
    for (const { specifier, place } of module.requests) {
      dependencies.push(await this.#dependency(specifier, { file: path, ...place }));
    }
    return index;
  }

  async #dependency(specifier: string, from: PolicyPlace): Promise<number> {
    if (specifier === "weir") return this.own(PUBLIC_MODULE);
    const refused = this.#refusal(specifier);
    if (refused !== undefined) {
      this.fail(from.file, from, `Cannot import ${JSON.stringify(specifier)}: ${refused}`);
      return -1;
    }
    const path = join(dirname(from.file), specifier);
    const outside = relative(this.#folder, path);
    if (outside === ".." || outside.startsWith(`..${sep}`)) {
      this.fail(
        from.file,
        from,
        `Cannot import ${JSON.stringify(specifier)}: it is outside the folder of ${basename(this.#entry)}`,
      );
      return -1;
    }
    return await this.file(path, from, specifier);
  }

  #refusal(specifier: string): string | undefined {
    if (!/^\.\.?\//.test(specifier)) {
      return 'a policy imports "weir" and files in its own folder ("./name.ts"), nothing else';
    }
    if (/[?#\\\u0000-\u001f]/.test(specifier)) return "a plain path is expected";
    if (/\.(ts|mts|js|mjs|json)$/.test(specifier)) return undefined;
    const ending = /\.\w+$/.test(specifier)
      ? "files end in .ts, .js or .json"
      : `write the file's ending: "${specifier}.ts"`;
    return ending;
  }

  async #read(path: string, from?: PolicyPlace, specifier?: string): Promise<string | undefined> {
    const fail = (message: string) => {
      const verb = from === undefined ? "read the policy" : `import ${JSON.stringify(specifier)}`;
      this.fail(from?.file ?? path, from ?? START, `Cannot ${verb}: ${message}`);
      return undefined;
    };
    this.looked.set(path, undefined);
    if (this.looked.size > POLICY_FILES_MAX) return fail(`more than ${POLICY_FILES_MAX} files`);
    try {
      const real = await Deno.realPath(path);
      if (this.#folderReal === "") this.#folderReal = dirname(real);
      const inside = relative(this.#folderReal, real);
      if (inside === ".." || inside.startsWith(`..${sep}`)) return fail("it is a link out of the policy's folder");
      const { isFile, size } = await Deno.stat(path);
      if (!isFile) return fail("it is no file");
      this.#bytes += size;
      if (size > POLICY_FILE_BYTES_MAX) return fail(`it has ${size} bytes, ${POLICY_FILE_BYTES_MAX} are allowed`);
      if (this.#bytes > POLICY_TOTAL_BYTES_MAX) {
        return fail(`all files together have more than ${POLICY_TOTAL_BYTES_MAX} bytes`);
      }
      const bytes = await Deno.readFile(path);
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      this.looked.set(path, text);
      return text;
    } catch (error) {
      return fail(error instanceof TypeError ? "it is no UTF-8 text" : reasonOf(error));
    }
  }
}

function bundleOf(loaded: readonly Loaded[], runtime: number, entry: number, reader: Reader): Bundle | undefined {
  const nodes = loaded.map(({ id, module, dependencies }): GraphNode => {
    const name = id === PUBLIC_MODULE ? "weir" : basename(id);
    return { name, module, dependencies };
  });
  const { exports, order, problems } = linkGraph(nodes, [runtime, entry]);
  for (const { module, place, message } of problems) reader.fail(loaded[module]!.id, place, message);
  if (problems.length > 0) return undefined;
  const modules = loaded.map(({ id, own, module, dependencies }, index) => ({
    code: `${module.code}\n//# sourceURL=weir-${own ? "runtime" : "policy"}:///${index}`,
    url: own ? id : pathToFileURL(id).href,
    awaits: module.awaits,
    dependencies,
    exports: exports[index]!,
  }));
  return { modules, order, runtime, entry };
}

/** Reads a policy with everything that it imports. Never rejects: what is wrong is in `issues`. */
export async function readPolicyFiles(path: string): Promise<PolicyFiles> {
  const reader = new Reader(path);
  const runtime = reader.own(RUNTIME_MODULE);
  const entry = await reader.file(path);
  const { loaded, issues, looked } = reader;
  const bundle = issues.length > 0 ? undefined : bundleOf(loaded, runtime, entry, reader);
  return {
    bundle,
    issues,
    looked,
    placeOf(stack) {
      const frame = FRAME.exec(stack);
      const module = frame === null ? undefined : loaded[Number(frame[1])];
      if (frame === null || module === undefined || module.own) return undefined;
      return { file: module.id, ...module.module.toOriginal({ line: Number(frame[2]), column: Number(frame[3]) }) };
    },
    memberPlace(name) {
      const files = [...loaded.filter(({ id }) => id === path), ...loaded.filter(({ id, own }) => id !== path && !own)];
      for (const { id, module } of files) {
        const place = module.members.get(name);
        if (place !== undefined) return { file: id, ...place };
      }
      return { file: path, ...START };
    },
  };
}
