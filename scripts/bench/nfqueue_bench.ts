/** What untouched traffic costs when it is diverted on Linux: all of it, what a narrow filter leaves in the kernel, and none. */
import { Lab, type Running, SERVER_V4, whyNotLive } from "../../test/live/lab.ts";
import type { BenchRow } from "./row.ts";

const MAIN = new URL("../../main.ts", import.meta.url);
const SECONDS = 3;
const GIGABIT = 1e9;
/** Ticks of the CPU times in /proc. Source: proc(5), sysconf(_SC_CLK_TCK), 100 on all of Linux's ABIs. */
const TICKS_PER_SECOND = 100;

interface IperfEnd {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
}

/** User and system time that a process has used. Units: seconds. */
function cpuSeconds({ child }: Running): number {
  const stat = Deno.readTextFileSync(`/proc/${child.pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function iperf(lab: Lab, ...options: string[]): Promise<IperfEnd["end"]["sum_received"]> {
  const args = ["iperf3", "-J", "-c", SERVER_V4, "-t", String(SECONDS), ...options];
  const result: IperfEnd = JSON.parse((await lab.exec("middle", args)).stdout);
  if (result.error !== undefined) throw new Error(`iperf3: ${result.error}`);
  return result.end.sum_received;
}

async function measure(lab: Lab, what: string, filter: string): Promise<BenchRow[]> {
  const config = `${lab.folder}/bench.yaml`;
  await Deno.writeTextFile(
    config,
    `weir:\n  divert: { enable: true, filter: "${filter}" }\nrules:\n  - MATCH,DIRECT\n`,
  );
  const args = ["run", "--adapter=nfqueue", `--netns=${lab.namespace("middle")}`, `--config=${config}`];
  const weir = lab.startDeno("server", MAIN, args);
  await weir.wrote("is up");
  const rows: BenchRow[] = [];
  for (const [way, options] of [["up", []], ["down", ["-R"]]] as const) {
    const before = cpuSeconds(weir);
    const { bytes, bits_per_second } = await iperf(lab, ...options);
    rows.push({ what: `iperf3 ${way}, ${what}`, value: bits_per_second / GIGABIT, unit: "Gbit/s" });
    rows.push({ what: "weir's CPU of the same", value: (cpuSeconds(weir) - before) / (bytes / 1e9), unit: "s/GB" });
  }
  await weir.stop();
  return rows;
}

/** Throughput and CPU of direct flows. Needs root and iptables. */
export async function bench(): Promise<BenchRow[]> {
  const reason = whyNotLive();
  if (reason !== undefined) throw new Error(reason);
  await using lab = await Lab.make();
  await lab.start("server", ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
  const { bits_per_second } = await iperf(lab);
  return [
    { what: "iperf3 up, nothing diverted", value: bits_per_second / GIGABIT, unit: "Gbit/s" },
    ...await measure(lab, "all of it diverted (filter true)", "true"),
    ...await measure(lab, "left in the kernel (filter of another port)", "tcp.DstPort == 443 or tcp.SrcPort == 443"),
  ];
}
