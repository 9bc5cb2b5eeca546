/**
 * Packets through the stand-in WinDivert.dll of the Wine lab, and what untouched traffic costs weir.exe with and without the derived filter.
 *
 * The stand-in's driver is a program behind a socket, so that only the differences between the rows say something about Windows.
 */
import { startDivert } from "../../test/windows/divert_case.ts";
import { SERVER_V4, whyNotWindows, WindowsLab } from "../../test/windows/lab.ts";
import { startWebServer, WEB_PORT } from "../../test/windows/windows_test_case.ts";
import type { BenchRow } from "./row.ts";

const SECONDS = 3;
/** More than the stand-in can, and not so much that the sender takes a whole processor. Units: packets/s. */
const FLOOD_RATE = 40_000;
const DATAGRAM_BYTES = 64;
/** A rate that nobody on the way has to drop at. Units: packets/s. */
const QUIET_RATE = 5_000;
const DOWNLOAD_BYTES = 50_000_000;
const TICKS_PER_SECOND = 100;
/** What each way of untouched traffic is called, and its rules; the first needs the process of every flow, so that everything is diverted. */
const WAYS: readonly (readonly [string, readonly string[] | undefined])[] = [
  ["everything diverted", ["PROCESS-NAME,nobody.exe,REJECT", "MATCH,DIRECT"]],
  ["the derived filter", ["DST-PORT,25,REJECT", "MATCH,DIRECT"]],
  ["without weir", undefined],
];

async function flood(lab: WindowsLab, rate: number, seconds: number): Promise<void> {
  const bits = String(rate * DATAGRAM_BYTES * 8);
  const args = ["iperf3", "-u", "-b", bits, "-l", String(DATAGRAM_BYTES), "-t", String(seconds), "-c", SERVER_V4];
  await lab.exec(lab.host, args, 60_000);
}

async function speedOf(lab: WindowsLab, batch: number): Promise<BenchRow> {
  const args = [`${lab.home.programs}\\WinDivert.dll`, "outbound and udp", String(batch), String(SECONDS)];
  const program = lab.startProgram("windivert_speed.ts", args);
  await program.wrote("diverting");
  await Promise.all([flood(lab, FLOOD_RATE, SECONDS + 1), program.wrote("speed ", 60_000)]);
  const { packets, seconds } = JSON.parse(/speed (.*)/.exec(program.text)![1]!);
  return {
    what: `WinDivert stand-in, read and sent back, batches of ${batch}`,
    value: packets / seconds,
    unit: "packets/s",
  };
}

/** Processor time of a process' first thread, where weir's own code runs. Units: µs. */
async function timeOf(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/task/${pid}/stat`)).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1e6 / TICKS_PER_SECOND;
}

async function untouched(lab: WindowsLab, what: string, rules: readonly string[] | undefined): Promise<BenchRow[]> {
  const weir = rules && await startDivert(lab, { mode: "netstack", rules, level: "info" });
  const rows: BenchRow[] = [];
  if (weir !== undefined) {
    const before = await timeOf(weir.child.pid);
    await flood(lab, QUIET_RATE, SECONDS);
    const value = (await timeOf(weir.child.pid) - before) / (QUIET_RATE * SECONDS);
    rows.push({ what: `untouched datagrams, ${what}: weir's own thread`, value, unit: "µs/packet" });
  }
  const begin = performance.now();
  const url = `http://${SERVER_V4}:${WEB_PORT}/bytes/${DOWNLOAD_BYTES}/1`;
  await lab.exec(lab.host, ["curl", "-sS", "--max-time", "60", "-o", "/dev/null", url]);
  const value = DOWNLOAD_BYTES / 1000 / (performance.now() - begin);
  rows.push({ what: `untouched download, ${what}`, value, unit: "MB/s" });
  await weir?.stop("SIGINT");
  return rows;
}

/** Measures in a lab of its own; nothing where there can be none. */
export async function bench(): Promise<BenchRow[]> {
  const reason = whyNotWindows();
  if (reason !== undefined) {
    console.log(`the WinDivert stand-in is not measured: ${reason}`);
    return [];
  }
  await using lab = await WindowsLab.make();
  await startWebServer(lab);
  await lab.start(lab.world, ["iperf3", "-s", "--forceflush", "-B", SERVER_V4]).wrote("Server listening");
  const rows: BenchRow[] = [];
  for (const batch of [1, 32, 255]) rows.push(await speedOf(lab, batch));
  for (const [what, rules] of WAYS) rows.push(...await untouched(lab, what, rules));
  return rows;
}
