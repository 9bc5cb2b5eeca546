/** What `weir run` carries between programs of a real kernel, with the kernel's own loopback and veth beside it. */
import { Lab, type Place, type Running, SERVER_V4, whyNotLive } from "../../test/live/lab.ts";
import { startWeir } from "../../test/live/live_test_case.ts";
import type { BenchRow } from "./row.ts";

const SECONDS = 2;
/** Rounds of everything, of which the best counts. */
const ROUNDS = 2;
const IDLE_MS = 3_000;
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

/** Two ways that are measured in turn, so that what else the machine does meets both: the kernel alone, and through weir. */
interface Pair {
  readonly kernel: number;
  readonly weir: number;
  /** CPU that weir used. Units: s/GB, of the round that counts. */
  readonly cpu: number;
}

/** The best of each of `ROUNDS` rounds. Units: Gbit/s. */
async function measurePair(lab: Lab, weir: Running, isDown: boolean): Promise<Pair> {
  let best: Pair = { kernel: 0, weir: 0, cpu: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const kernel = (await iperf(lab, "middle", SERVER_V4, isDown)).bits_per_second / GIGABIT;
    const before = cpuSeconds(weir);
    const { bytes, bits_per_second } = await iperf(lab, "client", SERVER_V4, isDown);
    const cpu = (cpuSeconds(weir) - before) / (bytes / 1e9);
    const rate = bits_per_second / GIGABIT;
    const isBetter = rate > best.weir;
    best = {
      kernel: Math.max(kernel, best.kernel),
      weir: isBetter ? rate : best.weir,
      cpu: isBetter ? cpu : best.cpu,
    };
  }
  return best;
}

const AIMS: Readonly<Record<string, number>> = { "1500 off": 2, "9000 on": 5, "9000 off": 5 };

async function benchWeir(lab: Lab, mtu: number, offload: "on" | "off"): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const weir = await startWeir(lab, [`--mtu=${mtu}`, `--offload=${offload}`]);
  const setting = `MTU ${mtu}, offloads ${offload}`;
  const aim = AIMS[`${mtu} ${offload}`];
  for (const [direction, isDown] of [["up", false], ["down", true]] as const) {
    const pair = await measurePair(lab, weir, isDown);
    rows.push({
      what: `iperf3 ${direction} through weir, ${setting}`,
      value: pair.weir,
      unit: "Gbit/s",
      ...(aim === undefined ? {} : { aim: `≥ ${aim}`, met: pair.weir >= aim }),
    });
    rows.push({ what: `  CPU of weir for that`, value: pair.cpu, unit: "s/GB" });
    rows.push({
      what: `  iperf3 ${direction} over the veth pair, in turn with it`,
      value: pair.kernel,
      unit: "Gbit/s",
    });
    rows.push({ what: `  weir's share of that`, value: 100 * pair.weir / pair.kernel, unit: "%" });
  }
  await weir.stop();
  return rows;
}

async function benchLatency(lab: Lab): Promise<BenchRow[]> {
  await lab.startDeno("server", ECHO_SERVER, [String(ECHO_PORT)]).wrote("listens");
  const weir = await startWeir(lab, []);
  const kernel = { p50: Infinity, p99: Infinity };
  const through = { p50: Infinity, p99: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [from, least] of [["middle", kernel], ["client", through]] as const) {
      const { p50, p99 } = await pingPong(lab, from);
      least.p50 = Math.min(least.p50, p50);
      least.p99 = Math.min(least.p99, p99);
    }
  }
  const before = cpuSeconds(weir);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const idle = (cpuSeconds(weir) - before) * 1_000 / IDLE_MS * 100;
  await weir.stop();
  const rows: BenchRow[] = [];
  for (const part of ["p50", "p99"] as const) {
    rows.push({ what: `one byte and back over the veth pair, ${part}`, value: kernel[part], unit: "µs" });
    rows.push({ what: `one byte and back through weir, ${part}`, value: through[part], unit: "µs" });
    rows.push({ what: `  added by weir, ${part}`, value: through[part] - kernel[part], unit: "µs" });
  }
  rows.push({ what: "CPU of weir while nothing happens", value: idle, unit: "%", aim: "< 1", met: idle < 1 });
  return rows;
}

/** Throughput, CPU and latency through a TUN device, the kernel's own ways beside it. Needs root. */
export async function bench(): Promise<BenchRow[]> {
  const reason = whyNotLive();
  if (reason !== undefined) throw new Error(reason);
  await using lab = await Lab.make(9000);
  await lab.start("server", ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
  const { bits_per_second } = await iperf(lab, "server", SERVER_V4, false);
  const rows: BenchRow[] = [{ what: "iperf3 over loopback", value: bits_per_second / GIGABIT, unit: "Gbit/s" }];
  for (const mtu of [1500, 9000]) {
    for (const offload of ["off", "on"] as const) rows.push(...await benchWeir(lab, mtu, offload));
  }
  rows.push(...await benchLatency(lab));
  return rows;
}
