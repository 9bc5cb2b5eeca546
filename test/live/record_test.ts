/** `weir record` beside real programs, and `weir replay` of what it wrote. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openCapture } from "../../sim/capture/open.ts";
import { type Lab, type Running, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWebServer, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

const ETHERNET_BYTES = 14;
const MAIN = new URL("../../main.ts", import.meta.url);

async function startRecord(lab: Lab, ...options: string[]): Promise<Running> {
  const out = `${lab.folder}/out.pcapng`;
  const running = lab.startDeno("server", MAIN, ["record", `--out=${out}`, ...options]);
  await running.wrote(options.includes("--adapter=tun") ? "is up" : "recording to");
  return running;
}

async function download(lab: Lab, place: "middle" | "client", host: string, bytes: number): Promise<void> {
  const file = `${lab.folder}/down`;
  const url = `http://${host}:${WEB_PORT}/bytes/${bytes}/1`;
  const { code, stderr } = await lab.exec(place, ["curl", "-sS", "--max-time", "30", "-o", file, url]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, 1)));
}

/** What the replay of the recording says, as JSON. */
async function replay(lab: Lab, rule: string, mode: string): Promise<string> {
  const config = `${lab.folder}/replay.yaml`;
  await Deno.writeTextFile(config, `rules:\n  - ${rule},REJECT\n  - MATCH,DIRECT\n`);
  const args = ["run", "-A", "--no-check", MAIN.pathname, "replay", `${lab.folder}/out.pcapng`, `--config=${config}`];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, `--mode=${mode}`, "--json"],
  })
    .output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  return new TextDecoder().decode(stdout);
}

/** The targets that the flows of the recording get under one rule. */
async function rulesHit(lab: Lab, rule: string, mode: string): Promise<string[]> {
  const { flows } = JSON.parse(await replay(lab, rule, mode)) as { flows: { chains: string[] }[] };
  return flows.map(({ chains }) => chains[0]!);
}

/** Every IP packet of a capture as hexadecimal text. */
async function packetsOf(path: string, skip: number): Promise<string[]> {
  const packets: string[] = [];
  using capture = await openCapture(path);
  for (let record = await capture.next(); record !== undefined; record = await capture.next()) {
    packets.push(record.data.slice(skip).toHex());
  }
  return packets;
}

liveTest("weir record writes a curl with its process, which a replay's rules then know", async (lab) => {
  await startWebServer(lab);
  const record = await startRecord(lab, `--netns=${lab.namespace("middle")}`, "--adapter=nfqueue", "--filter=tcp");
  await download(lab, "middle", SERVER_V4, 1_000_000);
  await download(lab, "middle", `[${SERVER_V6}]`, 1_000_000);
  assertEquals(await record.stop("SIGINT"), 0);
  assertStringIncludes(record.text, "2 of 2 flows with their process");
  for (const rule of ["PROCESS-NAME,curl", "PROCESS-PATH,/usr/bin/curl", "UID,0"]) {
    assertEquals(await rulesHit(lab, rule, "divert"), ["REJECT", "REJECT"], rule);
  }
  assertEquals(await rulesHit(lab, "PROCESS-NAME,wget", "divert"), ["DIRECT", "DIRECT"]);
});

liveTest("weir record --adapter tun writes what weir run carries", async (lab) => {
  await startWebServer(lab);
  const routes = ["--address=198.18.0.1/30,fd18::1/64", "--route=0.0.0.0/0,::/0"];
  const record = await startRecord(lab, `--netns=${lab.namespace("client")}`, "--adapter=tun", ...routes);
  await download(lab, "client", SERVER_V4, 1_000_000);
  assertEquals(await record.stop("SIGINT"), 0);
  assertStringIncludes(record.text, "1 of 1 flows with their process");
  assertEquals(await rulesHit(lab, "PROCESS-NAME,curl", "tun"), ["REJECT"]);
});

liveTest("weir record ends by itself when it has what it was asked for", async (lab) => {
  await startWebServer(lab);
  const middle = `--netns=${lab.namespace("middle")}`;
  const counted = await startRecord(lab, middle, "--filter=tcp", "--count=20");
  await download(lab, "middle", SERVER_V4, 1_000_000);
  assertEquals((await counted.child.status).code, 0);
  assertEquals((await packetsOf(`${lab.folder}/out.pcapng`, 0)).length, 20);
  const timed = await startRecord(lab, middle, "--seconds=1");
  assertEquals((await timed.child.status).code, 0);
  const { stdout } = await lab.exec("middle", ["iptables", "-t", "mangle", "-S"]);
  assert(!stdout.includes("weir-"), stdout);
});

liveTest("weir record lets every packet go on byte for byte", async (lab) => {
  const path = (await lab.exec("server", ["sh", "-c", "command -v tcpdump"])).stdout.trim();
  if (path === "") return console.log("skipped: tcpdump is not installed");
  await startWebServer(lab);
  // The queue cuts super-packets before it hands them over, so that each packet there is one of ours.
  const wire = `${lab.folder}/wire.pcap`;
  const watch = lab.start("server", [
    path,
    "-i",
    "link0",
    "--immediate-mode",
    "-B",
    "65536",
    "-s",
    "0",
    "-w",
    wire,
    "tcp",
  ]);
  await watch.wrote("listening on");
  const record = await startRecord(lab, `--netns=${lab.namespace("middle")}`, "--filter=outbound and tcp");
  const file = `${lab.folder}/up`;
  await Deno.writeFile(file, randomBytes(2_000_000, 3));
  for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
    const args = ["-sS", "--max-time", "30", "--data-binary", `@${file}`, `http://${host}:${WEB_PORT}/sum`];
    assertEquals((await lab.exec("middle", ["curl", ...args])).stdout, sha256(randomBytes(2_000_000, 3)));
  }
  assertEquals(await record.stop("SIGINT"), 0);
  await watch.stop("SIGINT");
  const sent = await packetsOf(`${lab.folder}/out.pcapng`, 0);
  const arrived = new Set(await packetsOf(wire, ETHERNET_BYTES));
  assert(sent.length > 2_500, `${sent.length} packets`);
  // What tcpdump itself lost, its own words tell.
  assertEquals(sent.filter((packet) => !arrived.has(packet)).length, 0, watch.text);
});
