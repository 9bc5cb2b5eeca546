import { assertEquals } from "@std/assert";
import { type GraphNode, linkGraph } from "../../core/policy/module_graph.ts";
import { compileModule } from "../../core/policy/script_module.ts";

/** Modules by name; a specifier is `./` and the name of another. */
function graph(files: Record<string, string>): GraphNode[] {
  const names = Object.keys(files);
  return names.map((name) => {
    const module = compileModule(files[name]!);
    return { name, module, dependencies: module.requests.map(({ specifier }) => names.indexOf(specifier.slice(2))) };
  });
}

Deno.test("linkGraph() finds each exported name where it is declared", () => {
  const { exports, problems } = linkGraph(
    graph({
      main: 'export * from "./a"; export { x as y } from "./b"; export * as all from "./b"; export default 1;',
      a: 'export const own = 1; export * from "./b"; export default 2;',
      b: "export const x = 1;",
    }),
    [0],
  );
  assertEquals(problems, []);
  assertEquals(exports[0], [["all", 2, null], ["default", 0, "$wdef$"], ["own", 1, "own"], ["x", 2, "x"], [
    "y",
    2,
    "x",
  ]]);
});

Deno.test("linkGraph() runs what is imported first, in the order of the imports, each once, circles included", () => {
  const nodes = graph({
    main: 'import "./c"; import "./a"; export * from "./d";',
    a: 'import "./b"; import "./main";',
    b: 'import "./a";',
    c: 'import "./b";',
    d: "",
    root: 'import "./d";',
  });
  assertEquals(linkGraph(nodes, [5, 0]).order.map((index) => nodes[index]!.name), ["d", "root", "a", "b", "c", "main"]);
});

Deno.test("linkGraph() ends on circles of export and names what leads nowhere", () => {
  const { problems, exports } = linkGraph(
    graph({
      main: 'import { x } from "./a"; import { y } from "./a"; export const z = [x, y];',
      a: 'export * from "./b"; export { x } from "./b";',
      b: 'export * from "./a"; export { x } from "./a";',
    }),
    [0],
  );
  assertEquals(exports[1], []);
  assertEquals(problems.map(({ module, place, message }) => `${module} ${place.line}:${place.column} ${message}`), [
    "0 1:10 Cannot import x from a: it exports x",
    "0 1:35 Cannot import y from a: it exports x",
    "1 1:31 Cannot import x from b: it exports x; a type is passed on with `export type`",
    "2 1:31 Cannot import x from a: it exports x; a type is passed on with `export type`",
  ]);
});
