/** Bytes of real programs through `weir run`, and every one of them compared. */
import { assert, assertEquals } from "@std/assert";
import { type Lab, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { download, liveTest, type StackName, startWebServer, startWeir, upload, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

/** Each stack with and without offload, and with both MTUs. */
const CHOICES: readonly (readonly [StackName, "on" | "off", number])[] = [
  ["netstack", "on", 1500],
  ["netstack", "on", 9000],
  ["netstack", "off", 1500],
  ["netstack", "off", 9000],
  ["system", "on", 1500],
  ["system", "off", 9000],
  ["mixed", "on", 9000],
  ["mixed", "off", 1500],
];

for (const [stack, offload, mtu] of CHOICES) {
  const choice = `the stack is ${stack}, offload ${offload} and the MTU ${mtu}`;
  liveTest(`weir run carries curl's bytes both ways when ${choice}`, async (lab) => {
    await startWebServer(lab);
    const weir = await startWeir(lab, [`--stack=${stack}`, `--offload=${offload}`, `--mtu=${mtu}`]);
    for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
      await download(lab, host, 1, 1);
      await download(lab, host, 30_000_000, 2);
      await upload(lab, host, 30_000_000, 3);
    }
    assertEquals(await weir.stop(), 0);
  });
}

const PARALLEL_COUNT = 1_000;
const PARALLEL_BYTES = 20_000;
/** curl opens 300 connections at once at most. */
const CURL_COUNT = 4;

/** A curl configuration that downloads its share; the server answers nobody before all have asked. */
function curlConfig(folder: string, share: number): string {
  const lines: string[] = [];
  for (let seed = share; seed < PARALLEL_COUNT; seed += CURL_COUNT) {
    lines.push(
      `url = "http://${SERVER_V4}:${WEB_PORT}/gate/${PARALLEL_BYTES + seed}/${seed}/${PARALLEL_COUNT}"`,
      `output = "${folder}/p${seed}"`,
    );
  }
  return lines.join("\n");
}

async function downloadShare(lab: Lab, share: number): Promise<void> {
  const config = `${lab.folder}/curl-${share}`;
  await Deno.writeTextFile(config, curlConfig(lab.folder, share));
  const options = ["-Z", "--parallel-immediate", "--parallel-max", "300", "--fail-early", "--max-time", "100"];
  const { code, stderr } = await lab.exec("client", ["curl", "-sS", ...options, "-K", config], 120_000);
  assertEquals([code, stderr], [0, code === 0 ? stderr : ""]);
}

async function downloadAtOnce(lab: Lab, stack: StackName): Promise<void> {
  await startWebServer(lab);
  const weir = await startWeir(lab, [`--stack=${stack}`, "--mtu=1500", "--log=info"]);
  await Promise.all(Array.from({ length: CURL_COUNT }, (_, share) => downloadShare(lab, share)));
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const bytes = await Deno.readFile(`${lab.folder}/p${seed}`);
    assertEquals([seed, sha256(bytes)], [seed, sha256(randomBytes(PARALLEL_BYTES + seed, seed))]);
  }
  assertEquals(await weir.stop(), 0);
}

for (const stack of ["netstack", "system"] as const) {
  const name = `weir run carries ${PARALLEL_COUNT} downloads when they run at once and the stack is ${stack}`;
  liveTest(name, (lab) => downloadAtOnce(lab, stack));
}

/** What iperf3 says of one run. */
interface IperfResult {
  readonly error?: string;
  readonly end: { readonly sum_sent: { readonly bytes: number }; readonly sum_received: { readonly bytes: number } };
}

async function iperf(lab: Lab, ...args: string[]): Promise<void> {
  let result: IperfResult;
  let tries = 0;
  do {
    const { stdout } = await lab.exec("client", ["iperf3", "-J", "-t", "2", ...args]);
    result = JSON.parse(stdout);
    // The server takes nobody before it has seen the client before go, which takes as long as the way to it is.
  } while (result.error?.includes("the server is busy") === true && ++tries < 5);
  assertEquals(result.error, undefined);
  assert(result.end.sum_received.bytes > 10_000_000, `only ${result.end.sum_received.bytes} bytes arrived`);
}

async function carryIperf(lab: Lab, stack: StackName): Promise<void> {
  await lab.start("server", ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
  const weir = await startWeir(lab, [`--stack=${stack}`, "--mtu=1500"]);
  await iperf(lab, "-c", SERVER_V4);
  await iperf(lab, "-c", SERVER_V4, "-R");
  await iperf(lab, "-c", SERVER_V4, "--bidir");
  await iperf(lab, "-c", SERVER_V4, "-P", "20");
  await iperf(lab, "-c", SERVER_V4, "-P", "20", "-R");
  await iperf(lab, "-c", SERVER_V6, "--bidir");
  assertEquals(await weir.stop(), 0);
}

for (const stack of ["netstack", "system"] as const) {
  const name = `weir run carries iperf3 up, down, both ways, in many streams and over IPv6 when the stack is ${stack}`;
  liveTest(name, (lab) => carryIperf(lab, stack));
}
