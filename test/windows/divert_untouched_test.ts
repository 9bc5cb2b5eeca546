/** What no rule touches comes out as it went in, byte for byte, however strange it is. */
import { assertEquals } from "@std/assert";
import { openCapture } from "../../sim/capture/open.ts";
import { startDivert, tablesOf } from "./divert_case.ts";
import { HOST_V4, SERVER_V4 } from "./lab.ts";
import { windowsTest } from "./windows_test_case.ts";

const MAIN = new URL("../../main.ts", import.meta.url);
const RAW_PACKETS = new URL("./programs/raw_packets.ts", import.meta.url);
const COUNT = 2_000;
const HOST_V6 = "fd77:0:0:0:0:0:0:1";
const SERVER_V6 = "2001:db8:0:0:0:0:0:10";
/** Everything is diverted, for any flow may be that program's; and nothing is touched. */
const RULES = ["PROCESS-NAME,nobody.exe,REJECT", "MATCH,DIRECT"];

async function packetsOf(path: string): Promise<string[]> {
  const packets: string[] = [];
  using capture = await openCapture(path);
  for (let record = await capture.next(); record !== undefined; record = await capture.next()) {
    packets.push(record.data.toHex());
  }
  return packets;
}

/** Packets of each flow in their order; those of different flows may overtake each other, for a decision takes its time. */
function byFlow(packets: readonly string[]): Record<string, string[]> {
  const flows: Record<string, string[]> = {};
  for (const packet of packets.toSorted()) flows[flowOf(packet)] = [];
  for (const packet of packets) flows[flowOf(packet)]!.push(packet);
  return flows;
}

/** Version, protocol and source port. */
function flowOf(packet: string): string {
  const bytes = Uint8Array.fromHex(packet);
  const isV6 = bytes[0]! >> 4 === 6;
  const at = isV6 ? 40 : (bytes[0]! & 15) * 4;
  return `${isV6 ? 6 : 4} ${bytes[isV6 ? 6 : 9]} ${bytes[at]! * 256 + bytes[at + 1]!}`;
}

windowsTest("packets that no rule touches leave weir.exe byte for byte as they came", async (lab) => {
  const weir = await startDivert(lab, { mode: "netstack", rules: RULES, level: "warning" });
  const out = `${lab.folder}/world.pcapng`;
  const filter = "inbound and (tcp.DstPort == 9 or udp.DstPort == 9)";
  const record = lab.startHere([
    ...[Deno.execPath(), "run", "-A", "--no-check", MAIN.pathname, "record", `--netns=${lab.world}`],
    ...["--adapter=nfqueue", `--out=${out}`, `--filter=${filter}`],
  ]);
  await record.wrote("recording to");
  const sender = lab.startDeno(lab.host, RAW_PACKETS, [String(COUNT), HOST_V4, SERVER_V4, HOST_V6, SERVER_V6]);
  await sender.wrote("END");
  await new Promise((resolve) => setTimeout(resolve, 500));
  assertEquals(await record.stop("SIGINT"), 0);
  const sent = sender.text.split("\n").filter((line) => /^[46][0-9a-f]{30}/.test(line));
  assertEquals(sent.length, COUNT);
  const arrived = await packetsOf(out);
  assertEquals(arrived.length, COUNT);
  assertEquals(byFlow(arrived), byFlow(sent));
  assertEquals(await weir.stop("SIGINT"), 0);
  assertEquals(await tablesOf(lab), "");
});
