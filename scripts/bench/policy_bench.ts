/** How long a policy takes to load and to answer. */
import { emptyFacts, type Metadata, toMetadata } from "../../core/classify/facts.ts";
import { PolicyHost } from "../../core/host/policy_host.ts";
import type { BenchRow } from "./row.ts";

const SCRIPT = `import { definePolicy } from "weir";
const names: readonly string[] = ["a.example", "b.example"];
export default definePolicy({
  rules: (r) => [r.domainSuffix("example.org").via("office")],
  onConnection(meta) {
    for (const name of names) if (meta.host === name) return { via: "DIRECT", duplicate: 2 };
    return undefined;
  },
});
`;

const ROUND_TRIPS = 2_000;
const CALLS = 50_000;
const IN_FLIGHT = 1_000;

async function oneByOne(host: PolicyHost, meta: Metadata): Promise<number> {
  const start = performance.now();
  for (let n = 0; n < ROUND_TRIPS; n++) await host.ask(meta);
  return (performance.now() - start) / ROUND_TRIPS * 1_000;
}

async function pipelined(host: PolicyHost, meta: Metadata): Promise<number> {
  const start = performance.now();
  for (let done = 0; done < CALLS; done += IN_FLIGHT) {
    await Promise.all(Array.from({ length: IN_FLIGHT }, () => host.ask(meta)));
  }
  return CALLS / (performance.now() - start) * 1_000;
}

/** Loads a small policy and asks it, one flow after the other and many at once. */
export async function benchPolicy(): Promise<BenchRow[]> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, SCRIPT);
  const loads: number[] = [];
  try {
    for (let n = 0; n < 3; n++) {
      const start = performance.now();
      const { host } = await PolicyHost.load(file);
      loads.push(performance.now() - start);
      await host?.close();
    }
    const { host, issues } = await PolicyHost.load(file, { deadlineMs: 10_000 });
    if (host === undefined) throw new Error(`Cannot load the policy: ${issues[0]?.message}`);
    const meta = toMetadata({ ...emptyFacts("tcp"), host: "b.example" });
    await pipelined(host, meta);
    const roundTripUs = await oneByOne(host, meta);
    const callsPerSecond = await pipelined(host, meta);
    await host.close();
    return [
      { what: "policy: load, best of 3", value: Math.min(...loads), unit: "ms" },
      { what: "policy: one question there and back", value: roundTripUs, unit: "µs" },
      { what: `policy: questions, ${IN_FLIGHT} in flight`, value: callsPerSecond, unit: "calls/s" },
    ];
  } finally {
    await Deno.remove(file);
  }
}

/** What `deno task bench` runs. */
export const bench = benchPolicy;
