/** Joins compiled modules: which module each exported name comes from, and in which order they run. Source: ECMA-262 §16.2.1.7. */
import type { Binding, ScriptModule } from "./script_module.ts";
import type { Place } from "./syntax.ts";

/** A module and the modules that its requests lead to. `dependencies[i]` belongs to `module.requests[i]`. */
export interface GraphNode {
  readonly name: string;
  readonly module: ScriptModule;
  readonly dependencies: readonly number[];
}

/** An exported name, where it is found, and its getter there; `null` for the whole namespace of that module. */
export type LinkedExport = readonly [name: string, module: number, getter: string | null];

/** A mistake between two modules. */
export interface LinkProblem {
  readonly module: number;
  readonly place: Place;
  readonly message: string;
}

/** What linking brings. */
export interface LinkedGraph {
  /** For each module its exports, sorted by name. */
  readonly exports: readonly (readonly LinkedExport[])[];
  /** The order in which the modules run. */
  readonly order: readonly number[];
  readonly problems: readonly LinkProblem[];
}

type Found = { readonly module: number; readonly getter: string | null };

class Linker {
  readonly #nodes: readonly GraphNode[];
  readonly problems: LinkProblem[] = [];

  constructor(nodes: readonly GraphNode[]) {
    this.#nodes = nodes;
  }

  /** Where an exported name is found; `undefined` when nowhere, `"ambiguous"` when two `export *` differ. */
  resolve(index: number, name: string, seen: Set<string> = new Set()): Found | "ambiguous" | undefined {
    const key = `${index} ${name}`;
    if (seen.has(key)) return undefined;
    seen.add(key);
    const { module, dependencies } = this.#nodes[index]!;
    const getter = module.locals.get(name);
    if (getter !== undefined) return { module: index, getter };
    const indirect = module.indirect.get(name);
    if (indirect !== undefined) {
      const target = dependencies[indirect.request]!;
      return indirect.name === "*" ? { module: target, getter: null } : this.resolve(target, indirect.name, seen);
    }
    if (name === "default") return undefined;
    let found: Found | undefined;
    for (const star of module.stars) {
      const next = this.resolve(dependencies[star.request]!, name, seen);
      if (next === "ambiguous") return next;
      if (next === undefined) continue;
      if (found !== undefined && (found.module !== next.module || found.getter !== next.getter)) return "ambiguous";
      found = next;
    }
    return found;
  }

  /** Every name that a module exports, those of its `export *` included. */
  names(index: number, seen: Set<number> = new Set()): Set<string> {
    if (seen.has(index)) return new Set();
    seen.add(index);
    const { module, dependencies } = this.#nodes[index]!;
    const names = new Set([...module.locals.keys(), ...module.indirect.keys()]);
    for (const star of module.stars) {
      for (const name of this.names(dependencies[star.request]!, seen)) if (name !== "default") names.add(name);
    }
    return names;
  }

  check(index: number): void {
    const { module, dependencies } = this.#nodes[index]!;
    const look = ({ request, name, place }: Binding, hint: string): void => {
      if (name === "*") return;
      const target = dependencies[request]!;
      const found = this.resolve(target, name);
      if (found !== undefined && found !== "ambiguous") return;
      const there = [...this.names(target)].toSorted().slice(0, 12).join(", ") || "nothing";
      const why = found === "ambiguous" ? "two of its `export *` have that name" : `it exports ${there}${hint}`;
      this.problems.push({
        module: index,
        place,
        message: `Cannot import ${name} from ${this.#nodes[target]!.name}: ${why}`,
      });
    };
    for (const binding of module.imports.values()) look(binding, "");
    for (const binding of module.indirect.values()) look(binding, "; a type is passed on with `export type`");
  }

  exportsOf(index: number): LinkedExport[] {
    const found: LinkedExport[] = [];
    for (const name of [...this.names(index)].toSorted()) {
      const target = this.resolve(index, name);
      if (target !== undefined && target !== "ambiguous") found.push([name, target.module, target.getter]);
    }
    return found;
  }

  order(roots: readonly number[]): number[] {
    const order: number[] = [];
    const seen = new Set<number>();
    const walk = (index: number): void => {
      if (seen.has(index)) return;
      seen.add(index);
      for (const dependency of this.#nodes[index]!.dependencies) walk(dependency);
      order.push(index);
    };
    for (const root of roots) walk(root);
    return order;
  }
}

/** Links modules that run from `roots`, one root after the other. */
export function linkGraph(nodes: readonly GraphNode[], roots: readonly number[]): LinkedGraph {
  const linker = new Linker(nodes);
  nodes.forEach((_, index) => linker.check(index));
  return {
    exports: nodes.map((_, index) => linker.exportsOf(index)),
    order: linker.order(roots),
    problems: linker.problems,
  };
}
