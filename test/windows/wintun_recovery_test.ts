/** What weir.exe leaves behind when it ends, however it ends, and what it says when it cannot begin. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SERVER_V4, type WindowsLab } from "./lab.ts";
import { download, runArguments, startWebServer, startWeir, windowsTest } from "./windows_test_case.ts";

const MANY_CONNECTIONS = new URL("./programs/many_connections.ts", import.meta.url);

/** The journal of the adapter weir0. */
function journalOf(lab: WindowsLab): string {
  return `${lab.home.folder}/prefix/drive_c/ProgramData/weir/weir0.journal`;
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}

/** Runs `weir run` where it cannot run, and answers with what it says. */
async function runInVain(lab: WindowsLab, options: readonly string[] = []): Promise<string> {
  const weir = lab.startWeir(runArguments(lab, options));
  const { code } = await weir.child.status;
  await weir.stop();
  assertEquals([code, weir.text], [1, weir.text]);
  return weir.text;
}

windowsTest(
  "weir.exe restores the network on Ctrl-C, after kill -9 and when its adapter goes",
  async (lab, context) => {
    await startWebServer(lab);
    const before = await lab.network();
    await context.step("on Ctrl-C everything is restored and the journal is gone", async () => {
      const weir = await startWeir(lab);
      assert(await exists(journalOf(lab)));
      assert(await lab.network() !== before);
      await download(lab, SERVER_V4, 1_000_000, 1);
      assertEquals(await weir.stop("SIGINT"), 0);
      assertEquals([await lab.network(), await exists(journalOf(lab))], [before, false]);
    });
    await context.step("after kill -9 the next start restores what was left, and runs", async () => {
      const killed = await startWeir(lab);
      await killed.stop("SIGKILL");
      assert(await exists(journalOf(lab)));
      const weir = await startWeir(lab);
      await download(lab, SERVER_V4, 1_000_000, 2);
      assertEquals(await weir.stop("SIGINT"), 0);
      assertEquals([await lab.network(), await exists(journalOf(lab))], [before, false]);
    });
    await context.step("when the adapter goes weir says so and restores, and a new start recovers", async () => {
      const weir = await startWeir(lab);
      await download(lab, SERVER_V4, 1_000_000, 3);
      assertEquals(await lab.control("vanish weir0"), "ok");
      const { code } = await weir.child.status;
      await weir.stop();
      assertEquals([code, weir.text], [1, weir.text]);
      assertStringIncludes(weir.text, "weir0");
      assertEquals([await lab.network(), await exists(journalOf(lab))], [before, false]);
      const again = await startWeir(lab);
      await download(lab, SERVER_V4, 1_000_000, 4);
      assertEquals(await again.stop("SIGINT"), 0);
      assertEquals([await lab.network(), await exists(journalOf(lab))], [before, false]);
    });
  },
);

windowsTest("weir.exe says why it cannot begin and leaves the machine as it was", async (lab, context) => {
  const before = await lab.network();
  await context.step("another weir has the adapter", async () => {
    const first = await startWeir(lab);
    assertStringIncludes(await runInVain(lab), "another");
    await startWebServer(lab);
    await download(lab, SERVER_V4, 1_000_000, 1);
    assertEquals(await first.stop("SIGINT"), 0);
  });
  await context.step("somebody else's adapter has the name", async () => {
    await lab.exec(lab.host, ["ip", "tuntap", "add", "dev", "weir0", "mode", "tun"]);
    assertStringIncludes(await runInVain(lab), "there is an adapter of this name");
    await lab.exec(lab.host, ["ip", "link", "delete", "weir0"]);
  });
  await context.step("without administrator rights", async () => {
    assertEquals(await lab.control("fail wintun 5"), "ok");
    assertStringIncludes(await runInVain(lab), "run as administrator");
  });
  await context.step("a setting fails half-way", async () => {
    assertEquals(await lab.control("fail route 5"), "ok");
    assertStringIncludes(await runInVain(lab), "error 5");
  });
  await context.step("with a wrong DLL", async () => {
    await Deno.rename(`${lab.programFolder}/wintun.dll`, `${lab.programFolder}/kept.dll`);
    await Deno.writeTextFile(`${lab.programFolder}/wintun.dll`, "no library");
    assertStringIncludes(await runInVain(lab), "wintun.dll");
  });
  await context.step("without the DLL", async () => {
    await Deno.remove(`${lab.programFolder}/wintun.dll`);
    assertStringIncludes(await runInVain(lab), "put the wintun.dll");
    await Deno.rename(`${lab.programFolder}/kept.dll`, `${lab.programFolder}/wintun.dll`);
  });
  assertEquals([await lab.network(), await exists(journalOf(lab))], [before, false]);
});

const CONNECTIONS = 10_000;

/** Memory of a process of this machine. Units: bytes. */
async function memoryOf(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await Deno.readTextFile(`/proc/${pid}/status`))![1]) * 1024;
}

/** Open files of a process of this machine; sockets of Windows programs are files of theirs while they are used. */
async function filesOf(pid: number): Promise<number> {
  let count = 0;
  for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) count++;
  return count;
}

windowsTest(`weir.exe keeps its memory and handles over ${CONNECTIONS} connections`, async (lab) => {
  await startWebServer(lab);
  const weir = await startWeir(lab, ["--log=info"]);
  const { pid } = weir.child;
  const connect = async (count: number) => {
    const client = lab.startDeno(lab.host, MANY_CONNECTIONS, [SERVER_V4, "8080", String(count)]);
    await client.wrote(`good ${count}`, 180_000);
  };
  await connect(CONNECTIONS);
  const [memory, files] = [await memoryOf(pid), await filesOf(pid)];
  await connect(CONNECTIONS);
  const grown = await memoryOf(pid) - memory;
  console.log(`after ${CONNECTIONS} connections more: ${grown} bytes`);
  // Connections of the last minutes are still remembered, each in some KiB.
  assert(grown < CONNECTIONS * 16_384, `memory has grown by ${grown} bytes`);
  const more = await filesOf(pid) - files;
  assert(more < 50, `there are ${more} more files`);
  assertEquals(await weir.stop("SIGINT"), 0);
});
