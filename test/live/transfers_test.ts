/** Bytes of real programs through `weir run`, and every one of them compared. */
import { assert, assertEquals } from "@std/assert";
import { type Lab, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { download, liveTest, startWebServer, startWeir, upload, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

for (const offload of ["on", "off"]) {
  for (const mtu of [1500, 9000]) {
    liveTest(`weir run carries curl's bytes both ways when offload is ${offload} and the MTU ${mtu}`, async (lab) => {
      await startWebServer(lab);
      const weir = await startWeir(lab, [`--offload=${offload}`, `--mtu=${mtu}`]);
      for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
        await download(lab, host, 1, 1);
        await download(lab, host, 30_000_000, 2);
        await upload(lab, host, 30_000_000, 3);
      }
      assertEquals(await weir.stop(), 0);
    });
  }
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

liveTest(`weir run carries ${PARALLEL_COUNT} downloads when they run at once`, async (lab) => {
  await startWebServer(lab);
  const weir = await startWeir(lab, ["--mtu=1500", "--log=info"]);
  await Promise.all(Array.from({ length: CURL_COUNT }, (_, share) => downloadShare(lab, share)));
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const bytes = await Deno.readFile(`${lab.folder}/p${seed}`);
    assertEquals([seed, sha256(bytes)], [seed, sha256(randomBytes(PARALLEL_BYTES + seed, seed))]);
  }
  assertEquals(await weir.stop(), 0);
});

/** What iperf3 says of one run. */
interface IperfResult {
  readonly error?: string;
  readonly end: { readonly sum_sent: { readonly bytes: number }; readonly sum_received: { readonly bytes: number } };
}

async function iperf(lab: Lab, ...args: string[]): Promise<void> {
  const { stdout } = await lab.exec("client", ["iperf3", "-J", "-t", "2", ...args]);
  const result: IperfResult = JSON.parse(stdout);
  assertEquals(result.error, undefined);
  assert(result.end.sum_received.bytes > 10_000_000, `only ${result.end.sum_received.bytes} bytes arrived`);
}

liveTest("weir run carries iperf3 when it goes up, down, both ways, in many streams and over IPv6", async (lab) => {
  await lab.start("server", ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
  const weir = await startWeir(lab, ["--mtu=1500"]);
  await iperf(lab, "-c", SERVER_V4);
  await iperf(lab, "-c", SERVER_V4, "-R");
  await iperf(lab, "-c", SERVER_V4, "--bidir");
  await iperf(lab, "-c", SERVER_V4, "-P", "20");
  await iperf(lab, "-c", SERVER_V4, "-P", "20", "-R");
  await iperf(lab, "-c", SERVER_V6, "--bidir");
  assertEquals(await weir.stop(), 0);
});
