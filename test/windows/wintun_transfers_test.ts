/** Bytes of real programs through weir.exe and Wintun, and every one of them compared. */
import { assert, assertEquals } from "@std/assert";
import { SERVER_V4, SERVER_V6, type WindowsLab } from "./lab.ts";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { download, startWebServer, startWeir, upload, WEB_PORT, windowsTest } from "./windows_test_case.ts";

const UDP_SERVER = new URL("../live/programs/udp_server.ts", import.meta.url);
const UDP_CLIENT = new URL("../live/programs/udp_client.ts", import.meta.url);
const HUNDRED_MB = 100_000_000;
const PARALLEL_COUNT = 200;
const PARALLEL_BYTES = 20_000;

/** The flows all wait until the last of them has come. */
async function downloadAtOnce(lab: WindowsLab): Promise<void> {
  const lines: string[] = [];
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const path = `gate/${PARALLEL_BYTES + seed}/${seed}/${PARALLEL_COUNT}`;
    lines.push(`url = "http://${SERVER_V4}:${WEB_PORT}/${path}"`, `output = "${lab.folder}/p${seed}"`);
  }
  await Deno.writeTextFile(`${lab.folder}/curl`, lines.join("\n"));
  const options = ["-Z", "--parallel-immediate", "--parallel-max", "300", "--fail-early", "--max-time", "60"];
  const { code, stderr } = await lab.exec(lab.host, ["curl", "-sS", ...options, "-K", `${lab.folder}/curl`], 90_000);
  assertEquals([code, stderr], [0, code === 0 ? stderr : ""]);
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const bytes = await Deno.readFile(`${lab.folder}/p${seed}`);
    assertEquals([seed, sha256(bytes)], [seed, sha256(randomBytes(PARALLEL_BYTES + seed, seed))]);
  }
}

/** What iperf3 says of one run. */
interface IperfResult {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number } };
}

async function iperf(lab: WindowsLab, ...args: string[]): Promise<void> {
  let result: IperfResult;
  // The server may still be ending the run before.
  for (let tries = 0;; tries++) {
    result = JSON.parse((await lab.exec(lab.host, ["iperf3", "-J", "-t", "1", ...args])).stdout);
    if (tries === 10 || !result.error?.includes("busy")) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assertEquals(result.error, undefined);
  assert(result.end.sum_received.bytes > 1_000_000, `only ${result.end.sum_received.bytes} bytes arrived`);
}

async function sendDatagrams(lab: WindowsLab): Promise<void> {
  await lab.startDeno(lab.world, UDP_SERVER, ["700"]).wrote("udp server listens");
  for (const address of [SERVER_V4, SERVER_V6]) {
    const client = lab.startDeno(lab.host, UDP_CLIENT, [address, "700"]);
    await client.wrote("answers 700 701");
    assertEquals((await client.child.status).code, 0);
  }
}

for (const stack of ["netstack", "system", "mixed"]) {
  windowsTest(
    `weir.exe carries real programs' bytes through Wintun when the stack is ${stack}`,
    async (lab, context) => {
      await startWebServer(lab);
      await lab.start(lab.world, ["iperf3", "-s", "--forceflush"]).wrote("Server listening");
      const before = await lab.network();
      const weir = await startWeir(lab, [`--stack=${stack}`]);
      await context.step("100 MB down and up", async () => {
        await download(lab, SERVER_V4, HUNDRED_MB, 1);
        await upload(lab, SERVER_V4, HUNDRED_MB, 2);
      });
      await context.step("20 MB down and up over IPv6", async () => {
        await download(lab, `[${SERVER_V6}]`, 20_000_000, 3);
        await upload(lab, `[${SERVER_V6}]`, 20_000_000, 4);
      });
      await context.step(`${PARALLEL_COUNT} flows at once`, () => downloadAtOnce(lab));
      await context.step("iperf3, up, down, both ways and in many streams", async () => {
        for (const args of [[], ["-R"], ["--bidir"], ["-P", "20"]]) await iperf(lab, "-c", SERVER_V4, ...args);
        await iperf(lab, "-c", SERVER_V6, "--bidir");
      });
      await context.step("datagrams of all sizes, from any peer", () => sendDatagrams(lab));
      await context.step("all of it went through the adapter, and nothing is left when it ends", async () => {
        const [adapter] = (await lab.state()).adapters;
        assert(adapter !== undefined && adapter.toDevice > 10_000 && adapter.toProgram > 10_000);
        assertEquals(adapter.discarded, 0);
        assertEquals([await weir.stop("SIGINT"), weir.text], [0, weir.text]);
        assertEquals(await lab.network(), before);
      });
    },
  );
}
