/** `deno task bench [NAME…]`: runs the benchmarks of this folder and prints one table. It reports and never gates: its exit status is always 0. */
import { type Bench, type BenchRow, formatRows } from "./row.ts";

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

if (import.meta.main) {
  const files = [...Deno.readDirSync(HERE)].map(({ name }) => name);
  const cores = navigator.hardwareConcurrency;
  console.log(`Deno ${Deno.version.deno}, V8 ${Deno.version.v8}, ${Deno.build.os}, ${cores} cores`);
  for (const file of chooseBenches(files, Deno.args)) {
    console.log(`\n${file.replace("_bench.ts", "")}`);
    try {
      for (const line of formatRows(await runBench(file))) console.log(`  ${line}`);
    } catch (error) {
      console.log(`  not measured: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
