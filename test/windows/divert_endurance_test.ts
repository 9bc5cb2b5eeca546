/** weir.exe over WinDivert for long: it keeps its memory and its handles, and when it is killed the machine goes on without it. */
import { assert, assertEquals } from "@std/assert";
import { SERVER_V4, type WindowsLab } from "./lab.ts";
import { rulesOfAll, startDivert, tablesOf } from "./divert_case.ts";
import { download, startWebServer, WEB_PORT, windowsTest } from "./windows_test_case.ts";

const MANY_CONNECTIONS = new URL("./programs/many_connections.ts", import.meta.url);
const CONNECTIONS = 10_000;
const HANDLES_MORE_MAX = 50;
/** Of each connection something is remembered for some minutes. Units: bytes. */
const REMEMBERED_BYTES_MAX = 16_384;

/** Memory of a process of this machine. Units: bytes. */
async function memoryOf(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await Deno.readTextFile(`/proc/${pid}/status`))![1]) * 1024;
}

async function connect(lab: WindowsLab, count: number): Promise<void> {
  const client = lab.startDeno(lab.host, MANY_CONNECTIONS, [SERVER_V4, String(WEB_PORT), String(count)]);
  await client.wrote(`good ${count}`, 240_000);
}

/** Windows handles of weir.exe, as another program sees them. */
async function handlesOf(lab: WindowsLab): Promise<number> {
  const { stdout, stderr } = await lab.runProgram("handle_count.ts", ["weir.exe"]);
  const count = /^handles (\d+)/.exec(stdout)?.[1];
  assert(count !== undefined, stdout + stderr);
  return Number(count);
}

windowsTest(
  `weir.exe keeps its memory and handles over ${CONNECTIONS} diverted connections, and nothing hangs on its life`,
  async (lab) => {
    await startWebServer(lab);
    const weir = await startDivert(lab, { mode: "netstack", rules: rulesOfAll(lab), level: "info" });
    const { pid } = weir.child;
    await connect(lab, CONNECTIONS / 5);
    const [memory, handles] = [await memoryOf(pid), await handlesOf(lab)];
    await connect(lab, CONNECTIONS);
    const more = await handlesOf(lab) - handles;
    const grown = await memoryOf(pid) - memory;
    console.log(`after ${CONNECTIONS} connections more: ${grown} bytes, ${more} handles of ${handles}`);
    assert(more < HANDLES_MORE_MAX, `there are ${more} more handles`);
    assert(grown < CONNECTIONS * REMEMBERED_BYTES_MAX, `memory has grown by ${grown} bytes`);
    assertEquals((await lab.state()).divert.overflow, 0);

    const hanging = download(lab, SERVER_V4, 1_000_000, 1).then(() => "whole", () => "broken");
    await weir.stop("SIGKILL");
    await download(lab, SERVER_V4, 1_000_000, 2);
    assertEquals(await tablesOf(lab), "");
    await hanging;
  },
);
