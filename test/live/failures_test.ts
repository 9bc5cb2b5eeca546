/** What an application sees when the far side is not there, or goes away. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, NOWHERE_V4, SERVER_V4, SERVER_V6, SILENT_V4 } from "./lab.ts";
import { download, liveTest, STACKS, startWebServer, startWeir, WEB_PORT } from "./live_test_case.ts";

const WITNESS_SERVER = new URL("./programs/witness_server.ts", import.meta.url);

async function curl(lab: Lab, ...args: string[]): Promise<{ code: number; stderr: string; ms: number }> {
  const start = performance.now();
  const { code, stderr } = await lab.exec("client", ["curl", "-v", "-o", "/dev/null", ...args]);
  return { code, stderr, ms: performance.now() - start };
}

/** curl: failed to connect, and: ran out of time. */
const CURL_NOT_CONNECTED = 7;
const CURL_TIMED_OUT = 28;

for (const stack of STACKS) {
  liveTest(
    `weir run shows a reset to the application when the server refuses and the stack is ${stack}`,
    async (lab) => {
      const weir = await startWeir(lab, [`--stack=${stack}`]);
      for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
        const { code, stderr, ms } = await curl(lab, `http://${host}:9/`);
        assertEquals(code, CURL_NOT_CONNECTED);
        assertStringIncludes(stderr, "Connection refused");
        assert(ms < 2_000, `it took ${ms} ms`);
      }
      assertEquals(await weir.stop(), 0);
    },
  );
}

for (const stack of STACKS) {
  liveTest(
    `weir run shows an ICMP error to the application when there is no route and the stack is ${stack}`,
    async (lab) => {
      const weir = await startWeir(lab, [`--stack=${stack}`]);
      const told: string[] = [];
      for (let attempt = 0; attempt < 5 && !told.join().includes("Network is unreachable"); attempt++) {
        const { code, stderr, ms } = await curl(lab, `http://${NOWHERE_V4}/`);
        assertEquals(code, CURL_NOT_CONNECTED);
        assert(ms < 2_000, `it took ${ms} ms`);
        // Now and then curl says that it failed and leaves out why.
        told.push(stderr);
      }
      assertStringIncludes(told.join("\n"), "Network is unreachable");
      assertEquals(await weir.stop(), 0);
    },
  );
}

for (const stack of STACKS) {
  liveTest(`weir run answers no SYN when the server answers none and the stack is ${stack}`, async (lab) => {
    const weir = await startWeir(lab, [`--stack=${stack}`]);
    const { code, stderr } = await curl(lab, "--connect-timeout", "2", `http://${SILENT_V4}/`);
    assertEquals(code, CURL_TIMED_OUT);
    assert(!stderr.includes("* Connected to"), stderr);
    assertEquals(await weir.stop(), 0);
  });
}

for (const stack of ["netstack", "system"]) {
  liveTest(`weir run goes on when clients abort and servers fall silent and the stack is ${stack}`, async (lab) => {
    await startWebServer(lab);
    const weir = await startWeir(lab, [`--stack=${stack}`, "--log=debug"]);
    const silent = await curl(lab, "--max-time", "1", `http://${SERVER_V4}:${WEB_PORT}/silent`);
    assertEquals(silent.code, CURL_TIMED_OUT);
    const stalled = await curl(lab, "--max-time", "1", `http://${SERVER_V4}:${WEB_PORT}/stall/100000`);
    assertEquals(stalled.code, CURL_TIMED_OUT);
    // Killed in the middle of a download: the kernel resets the connection.
    const url = `http://${SERVER_V4}:${WEB_PORT}/bytes/50000000/1`;
    for (let i = 0; i < 5; i++) {
      const killed = lab.start("client", ["curl", "-sS", "--limit-rate", "1M", "-o", "/dev/null", url]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await killed.stop("SIGKILL");
    }
    await weir.wrote("broken: ");
    await download(lab, SERVER_V4, 5_000_000, 9);
    assertEquals(await weir.stop(), 0);
  });
}

for (const stack of STACKS) {
  liveTest(
    `weir run shows the server an end as an end and a reset as a reset when the stack is ${stack}`,
    async (lab) => {
      const witness = lab.startDeno("server", WITNESS_SERVER, ["90"]);
      await witness.wrote("witness listens");
      const weir = await startWeir(lab, [`--stack=${stack}`]);
      const say = (script: string) => lab.exec("client", ["bash", "-c", `exec 3<>/dev/tcp/${SERVER_V4}/90; ${script}`]);
      await say("head -c 100000 <&3 >/dev/null; echo bye >&3");
      await witness.wrote("ended");
      // Closing a socket with unread bytes resets its connection. Source: RFC 2525 section 2.17.
      await say("head -c 1 <&3 >/dev/null; sleep 0.5");
      await witness.wrote("reset");
      assertEquals(await weir.stop(), 0);
    },
  );
}

for (const stack of ["netstack", "system"]) {
  liveTest(`weir run ends connections when the server dies and the stack is ${stack}`, async (lab) => {
    const server = lab.start("server", ["iperf3", "-s", "--forceflush"]);
    await server.wrote("Server listening");
    const weir = await startWeir(lab, [`--stack=${stack}`]);
    const client = lab.start("client", ["iperf3", "-c", SERVER_V4, "-t", "30", "--forceflush"]);
    await client.wrote("Interval");
    await server.stop("SIGKILL");
    const { code } = await client.child.status;
    assert(code !== 0);
    assertEquals(await weir.stop(), 0);
  });
}

liveTest("weir run undoes everything when it is stopped, and says what is wrong when it cannot start", async (lab) => {
  const look = async () => {
    const parts = [["link"], ["rule"], ["-6", "rule"], ["route", "show", "table", "all"], [
      "-6",
      "route",
      "show",
      "table",
      "all",
    ]];
    return await Promise.all(parts.map(async (args) => (await lab.exec("client", ["ip", ...args])).stdout));
  };
  const before = await look();
  const weir = await startWeir(lab, []);
  assert((await look())[0]!.includes("weir0"));
  const second = await startWeir(lab, []).then(() => "it started", (error: Error) => error.message);
  assertStringIncludes(second, "Cannot make the device weir0: there is one of this name");
  assertEquals(await weir.stop("SIGINT"), 0);
  assertEquals(await look(), before);
  const nowhere = await startWeir(lab, ["--device=a/b"]).then(() => "it started", (error: Error) => error.message);
  assertStringIncludes(nowhere, 'Cannot name a device "a/b"');
  assertEquals(await look(), before);
});
