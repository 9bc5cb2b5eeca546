/** `deno task bench [NAME…]`: runs the benchmarks of this folder and prints one table. It reports and never gates: its exit status is always 0. */
import { type Bench, type BenchRow, formatRows } from "./row.ts";

/** A large heap for large rule lists, and a way to ask for a collection before memory is measured. */
const V8_FLAGS = "--v8-flags=--max-old-space-size=4096,--expose-gc";

const HERE = new URL("./", import.meta.url);

async function runBench(file: string): Promise<BenchRow[]> {
  const module: { bench?: Bench } = await import(new URL(file, HERE).href);
  if (module.bench === undefined) throw new Error("it exports no function called bench");
  return await module.bench();
}

/** The benchmarks that `names` ask for, or all. Shape: file names in this folder, sorted. */
export function chooseBenches(files: readonly string[], names: readonly string[]): string[] {
  const benches = files.filter((file) => file.endsWith("_bench.ts")).sort();
  return names.length === 0 ? benches : benches.filter((file) => names.some((name) => file.startsWith(name)));
}

/** Runs one benchmark and prints its table. */
async function printBench(file: string): Promise<void> {
  try {
    for (const line of formatRows(await runBench(file))) console.log(`  ${line}`);
  } catch (error) {
    console.log(`  not measured: ${error instanceof Error ? error.message : String(error)}`);
  }
}

if (import.meta.main) {
  if (Deno.args[0] === "--one") {
    await printBench(Deno.args[1]!);
    Deno.exit(0);
  }
  const files = [...Deno.readDirSync(HERE)].map(({ name }) => name);
  const cores = navigator.hardwareConcurrency;
  console.log(`Deno ${Deno.version.deno}, V8 ${Deno.version.v8}, ${Deno.build.os}, ${cores} cores`);
  for (const file of chooseBenches(files, Deno.args)) {
    console.log(`\n${file.replace("_bench.ts", "")}`);
    // Each in a process of its own: neither the heap nor what the compiler has learned comes from another one.
    const args = ["run", "-A", "--no-check", V8_FLAGS, import.meta.filename!, "--one", file];
    await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).spawn().status;
  }
}
