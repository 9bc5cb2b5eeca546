/** Bytes of real programs through weir.exe and Wintun, and every one of them compared. */
import { assert, assertEquals } from "@std/assert";
import { SERVER_V4, SERVER_V6, type WindowsLab } from "./lab.ts";
import { downloadAtOnce, PARALLEL_COUNT, sendDatagrams } from "./transfers.ts";
import { download, startWebServer, startWeir, upload, windowsTest } from "./windows_test_case.ts";

const HUNDRED_MB = 100_000_000;
/** What iperf3 says of one run. */
interface IperfResult {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number } };
}

async function iperf(lab: WindowsLab, ...args: string[]): Promise<void> {
  let result: IperfResult;
  // The server may still be ending the run before.
  for (let tries = 0;; tries++) {
    result = JSON.parse((await lab.exec(lab.host, ["iperf3", "-J", "-t", "3", ...args])).stdout);
    if (tries === 10 || !result.error?.includes("busy")) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assertEquals(result.error, undefined);
  // What is under way when the time is over is not counted, and weir holds some MB.
  assert(result.end.sum_received.bytes > 1_000_000, `only ${result.end.sum_received.bytes} bytes arrived`);
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
