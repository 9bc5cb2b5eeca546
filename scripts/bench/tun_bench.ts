/** What `weir run` carries between programs of a real kernel, with the kernel's own loopback and veth beside it. */
import { Lab, type Place, type Running, SERVER_V4, whyNotLive } from "../../test/live/lab.ts";
import { startWeir } from "../../test/live/live_test_case.ts";
import type { BenchRow } from "./row.ts";

const SECONDS = 3;
const PINGS = 3_000;
const ECHO_PORT = 7;
const GIGABIT = 1e9;
/** Ticks of the CPU times in /proc. Source: proc(5), sysconf(_SC_CLK_TCK), 100 on all of Linux's ABIs. */
const TICKS_PER_SECOND = 100;

const ECHO_SERVER = new URL("../../test/live/programs/echo_server.ts", import.meta.url);
const PING_PONG = new URL("../../test/live/programs/ping_pong.ts", import.meta.url);

interface IperfEnd {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
}

async function iperf(
  lab: Lab,
  from: Place,
  address: string,
  isDown: boolean,
): Promise<IperfEnd["end"]["sum_received"]> {
  const args = ["iperf3", "-J", "-c", address, "-t", String(SECONDS), ...(isDown ? ["-R"] : [])];
  const result: IperfEnd = JSON.parse((await lab.exec(from, args)).stdout);
  if (result.error !== undefined) throw new Error(`iperf3: ${result.error}`);
  return result.end.sum_received;
}

/** User and system time that a process has used. Units: seconds. */
function cpuSeconds(running: Running): number {
  const stat = Deno.readTextFileSync(`/proc/${running.child.pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function pingPong(lab: Lab, from: Place): Promise<{ p50: number; p99: number }> {
  const running = lab.startDeno(from, PING_PONG, [SERVER_V4, String(ECHO_PORT), String(PINGS)]);
  await running.wrote("p99");
  const [, p50, p99] = /p50 (\d+) p99 (\d+)/.exec(running.text)!;
  return { p50: Number(p50), p99: Number(p99) };
}

/** The kernel alone. */
async function benchKernel(lab: Lab): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const [what, from] of [["loopback", "server"], ["veth pair", "middle"]] as const) {
    const { bits_per_second } = await iperf(lab, from, SERVER_V4, false);
    rows.push({ what: `iperf3 over ${what}`, value: bits_per_second / GIGABIT, unit: "Gbit/s" });
  }
  return rows;
}

const AIMS: Readonly<Record<string, number>> = { "1500 off": 2, "9000 on": 5, "9000 off": 5 };

async function benchWeir(lab: Lab, mtu: number, offload: "on" | "off"): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const weir = await startWeir(lab, [`--mtu=${mtu}`, `--offload=${offload}`]);
  const setting = `MTU ${mtu}, offloads ${offload}`;
  const aim = AIMS[`${mtu} ${offload}`];
  for (const [direction, isDown] of [["up", false], ["down", true]] as const) {
    const before = cpuSeconds(weir);
    const { bytes, bits_per_second } = await iperf(lab, "client", SERVER_V4, isDown);
    const value = bits_per_second / GIGABIT;
    rows.push({
      what: `iperf3 ${direction} through weir, ${setting}`,
      value,
      unit: "Gbit/s",
      ...(aim === undefined ? {} : { aim: `≥ ${aim}`, met: value >= aim }),
    });
    rows.push({ what: `CPU of the same`, value: (cpuSeconds(weir) - before) / (bytes / 1e9), unit: "s/GB" });
  }
  await weir.stop();
  return rows;
}

async function benchLatency(lab: Lab): Promise<BenchRow[]> {
  await lab.startDeno("server", ECHO_SERVER, [String(ECHO_PORT)]).wrote("listens");
  const rows: BenchRow[] = [];
  const add = (what: string, { p50, p99 }: { p50: number; p99: number }) => {
    rows.push({ what: `one byte and back ${what}, p50`, value: p50, unit: "µs" });
    rows.push({ what: `one byte and back ${what}, p99`, value: p99, unit: "µs" });
  };
  add("over the veth pair", await pingPong(lab, "middle"));
  const weir = await startWeir(lab, []);
  add("through weir", await pingPong(lab, "client"));
  await weir.stop();
  return rows;
}

/** Throughput, CPU and latency through a TUN device. Needs root. */
export async function bench(): Promise<BenchRow[]> {
  const reason = whyNotLive();
  if (reason !== undefined) throw new Error(reason);
  await using lab = await Lab.make(9000);
  await lab.start("server", ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
  const rows = await benchKernel(lab);
  for (const mtu of [1500, 9000]) {
    for (const offload of ["off", "on"] as const) rows.push(...await benchWeir(lab, mtu, offload));
  }
  rows.push(...await benchLatency(lab));
  return rows;
}
