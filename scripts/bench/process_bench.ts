/** What it costs to find the process of a flow on Linux. */
import { parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, type FlowFacts } from "../../core/classify/facts.ts";
import { ProcessLookup } from "../../core/host/process_lookup.ts";
import { LinuxProcessSource } from "../../ffi/linux/process_source.ts";
import type { BenchRow } from "./row.ts";

const CONNECTIONS = 200;
const REPEATS = 2_000;

function factsOf(local: Deno.NetAddr, remote: Deno.NetAddr): FlowFacts {
  const facts = emptyFacts("tcp");
  facts.sourceIp = parseIp(local.hostname)!;
  facts.sourcePort = local.port;
  facts.destinationIp = parseIp(remote.hostname)!;
  facts.destinationPort = remote.port;
  return facts;
}

/** Units: µs a call. */
function timeEach(count: number, call: (index: number) => void): number {
  const start = performance.now();
  for (let i = 0; i < count; i++) call(i);
  return (performance.now() - start) * 1000 / count;
}

const MICROSECONDS = (what: string, value: number): BenchRow => ({ what, value, unit: "µs" });

/** Hits and misses of a lookup, from memory and from the kernel. */
export async function bench(): Promise<BenchRow[]> {
  if (Deno.build.os !== "linux") throw new Error(`this is ${Deno.build.os}, not Linux`);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ends: Deno.Conn[] = [];
  const flows: FlowFacts[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const accepted = listener.accept();
    const near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    ends.push(near, await accepted);
    flows.push(factsOf(near.localAddr as Deno.NetAddr, near.remoteAddr as Deno.NetAddr));
  }
  try {
    return measure(flows);
  } finally {
    for (const end of ends) end.close();
  }
}

function measure(flows: readonly FlowFacts[]): BenchRow[] {
  using source = new LinuxProcessSource();
  const newLookup = () => new ProcessLookup(source, () => performance.now() * 1000);
  const warm = newLookup();
  for (const facts of flows) warm.findProcessNow(facts);
  const remembered = timeEach(REPEATS, (i) => void warm.findProcessNow(flows[i % flows.length]!));
  const again = newLookup();
  const known = timeEach(flows.length, (i) => void again.findProcessNow(flows[i]!));
  using other = new LinuxProcessSource();
  const fresh = new ProcessLookup(other, () => performance.now() * 1000);
  const first = timeEach(1, () => void fresh.findProcessNow(flows[0]!));
  const next = timeEach(flows.length - 1, (i) => void fresh.findProcessNow(flows[i + 1]!));
  const nobody = timeEach(REPEATS, (i) => {
    const facts = { ...flows[0]!, sourcePort: 1 + i % 1000 };
    warm.findProcessNow(facts);
  });
  const foreign = parseIp("192.0.2.1")!;
  const elsewhere = timeEach(REPEATS, (i) => {
    const facts = { ...flows[0]!, sourceIp: foreign, destinationIp: foreign, sourcePort: i };
    warm.findProcessNow(facts);
  });
  return [
    MICROSECONDS("process of a flow, asked again (memory)", remembered),
    MICROSECONDS("process of a new flow, socket seen before", known),
    MICROSECONDS("process of a new flow, new socket of the process that had the last one", next),
    MICROSECONDS("process of a new flow, new process: all processes are searched", first),
    MICROSECONDS("process of a new flow that nobody has", nobody),
    MICROSECONDS("process of a flow of another machine: not asked", elsewhere),
  ];
}
