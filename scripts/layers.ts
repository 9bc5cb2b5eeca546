/**
 * The import order of the project, checked over `deno info --json`.
 *
 * base → wire → adapter → parse → classify → filter → decide → stack → act → engine → outbound, dns, config, policy → host → cli →
 * (ffi | sim) → main.ts: what stands left may not import what stands right, and nothing imports in a circle, files or folders.
 */
import { projectFiles, ROOT } from "./project.ts";

/** Layers from the ground up. Layers of one line may import each other, unless `APART` names them. */
const ORDER: readonly (readonly string[])[] = [
  ["core/base"],
  ["core/wire"],
  ["core/adapter"],
  ["core/parse"],
  ["core/classify"],
  ["core/filter"],
  ["core/decide"],
  ["core/stack"],
  ["core/act"],
  ["core/engine"],
  ["core/outbound", "core/dns", "core/config", "core/policy"],
  ["core/host"],
  ["core/cli"],
  ["ffi", "sim"],
  ["main"],
  // Benchmarks use what tests build.
  ["scripts", "test"],
];
const APART: ReadonlySet<string> = new Set(["ffi", "sim"]);

/** One import between two files of the project, as paths from its root. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/** The layer that a file belongs to: `core/wire/tcp.ts` → `core/wire`, `core/engine.ts` → `core/engine`, `main.ts` → `main`. */
export function layerOf(path: string): string {
  const parts = path.replace(/\.d\.ts$|\.ts$/, "").split("/");
  return parts[0] === "core" ? `core/${parts[1] ?? ""}` : parts[0]!;
}

function rankOf(layer: string): number {
  return ORDER.findIndex((line) => line.includes(layer));
}

/** Every import that goes against the order, as sentences. */
export function findUphill(imports: readonly Import[]): string[] {
  const found: string[] = [];
  for (const { from, to, line } of imports) {
    const low = layerOf(from);
    const high = layerOf(to);
    if (rankOf(low) < 0) found.push(`${from}: folder ${low} has no place in ORDER of scripts/layers.ts`);
    else if (rankOf(high) < 0) found.push(`${to}: folder ${high} has no place in ORDER of scripts/layers.ts`);
    else if (rankOf(low) < rankOf(high)) found.push(`${from}:${line} imports ${to}, but ${low} comes before ${high}`);
    else if (low !== high && APART.has(low) && APART.has(high)) {
      found.push(`${from}:${line} imports ${to}, but ${low} and ${high} do not know each other`);
    }
  }
  return [...new Set(found)];
}

/** Every circle in a graph, one sentence each: the first way back to a node that is still being walked. */
export function findCycles(edges: readonly { readonly from: string; readonly to: string }[]): string[] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) {
    if (!next.has(from)) next.set(from, new Set());
    next.get(from)!.add(to);
  }
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (node: string): void => {
    const at = path.indexOf(node);
    if (at >= 0) found.push(`a circle of imports: ${[...path.slice(at), node].join(" → ")}`);
    if (at >= 0 || done.has(node)) return;
    path.push(node);
    for (const each of next.get(node) ?? []) walk(each);
    path.pop();
    done.add(node);
  };
  for (const node of next.keys()) walk(node);
  return found;
}

interface Dependency {
  readonly code?: { specifier?: string; span: { start: { line: number } } };
  readonly type?: { specifier?: string; span: { start: { line: number } } };
}

interface Graph {
  readonly modules: readonly { specifier: string; error?: string; dependencies?: readonly Dependency[] }[];
}

/** Reads the graph that `deno info --json` printed. Errors: an import that leads nowhere is returned as a sentence. */
export function readGraph(graph: Graph, root: string): { imports: Import[]; errors: string[] } {
  const imports: Import[] = [];
  const errors: string[] = [];
  for (const { specifier, error, dependencies } of graph.modules) {
    if (error !== undefined) errors.push(error);
    if (!specifier.startsWith(root)) continue;
    const from = specifier.slice(root.length);
    for (const { code, type } of dependencies ?? []) {
      for (const target of [code, type]) {
        if (target?.specifier === undefined || !target.specifier.startsWith(root)) continue;
        imports.push({ from, to: target.specifier.slice(root.length), line: target.span.start.line + 1 });
      }
    }
  }
  return { imports, errors };
}

/** Runs the check over the whole project. Shape: one sentence a problem; empty when all is well. */
export async function checkLayers(): Promise<string[]> {
  const files = projectFiles().filter((file) => file.endsWith(".ts"));
  const all = files.map((file) => `import ${JSON.stringify(new URL(file, ROOT).href)};`).join("\n");
  const info = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `data:application/typescript,${encodeURIComponent(all)}`],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await info.output();
  if (code !== 0) return [`deno info failed: ${new TextDecoder().decode(stderr).trim()}`];
  const { imports, errors } = readGraph(JSON.parse(new TextDecoder().decode(stdout)), ROOT.href);
  const product = imports.filter(({ from }) => !from.startsWith("test/"));
  const folders = product.map(({ from, to }) => ({ from: layerOf(from), to: layerOf(to) }));
  return [
    ...errors,
    ...findUphill(imports),
    ...findCycles(imports.filter(({ from, to }) => from !== to)),
    ...findCycles(folders.filter(({ from, to }) => from !== to)),
  ];
}

if (import.meta.main) {
  const problems = await checkLayers();
  for (const problem of problems) console.error(problem);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
