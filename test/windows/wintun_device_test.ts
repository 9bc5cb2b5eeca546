/** A device by the project's own FFI under Wine: it carries packets, is restored after every end, and says what is wrong. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { WindowsLab } from "./lab.ts";
import { windowsTest } from "./windows_test_case.ts";

const DEVICE = "weir test";

function argumentsOf(lab: WindowsLab, dll = "wintun.dll"): string[] {
  const { programs } = lab.home;
  return [`${programs}\\${dll}`, `${programs}\\weir-iphlpapi.dll`, `${programs}\\journal`];
}

/** The lines of one case that runs to its end. */
async function linesOf(lab: WindowsLab, wanted: string, dll?: string): Promise<string[]> {
  const { code, stdout, stderr } = await lab.runProgram("wintun_device.ts", [...argumentsOf(lab, dll), wanted]);
  assertEquals([stderr, code], ["", 0]);
  return stdout.split(/\r?\n/).filter((line) => line !== "");
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

windowsTest("openWintun() carries packets and leaves the machine as it was", async (lab, context) => {
  const before = await lab.network();
  const journal = `${lab.programFolder}/journal`;
  const isRestored = async () => {
    assertEquals(await lab.network(), before);
    assertEquals((await lab.state()).dns.filter(({ servers }) => servers !== ""), []);
    assert(!await isThere(journal));
  };
  await context.step("addresses, routes, metric, MTU and name servers are set; 200 pings are answered", async () => {
    const program = lab.startProgram("wintun_device.ts", [...argumentsOf(lab), "carry"]);
    await program.wrote("READY");
    assertStringIncludes(program.text, "own 10.77.0.1");
    const { adapters, interfaces, dns } = await lab.state();
    const { index, capacity } = adapters.find((each) => each.name === DEVICE && !each.isGone)!;
    assertEquals(capacity, 8 << 20);
    for (const family of [4, 6]) {
      const found = interfaces.find((each) => each.index === index && each.family === family);
      assertEquals([found?.metric, found?.isAutomatic, found?.mtu], [0, false, 1400]);
    }
    assertEquals(dns.map(({ servers }) => servers).sort(), ["198.18.0.2", "fdfe:dcba:9876::2"]);
    const ping = await lab.exec(lab.host, ["ping", "-q", "-c", "200", "-i", "0.002", "-s", "1300", "1.2.3.4"]);
    assertStringIncludes(ping.stdout, "200 packets transmitted, 200 received");
    // What is excluded stays outside.
    const outside = await lab.exec(lab.host, ["ip", "route", "get", "192.0.2.200"]);
    assertStringIncludes(outside.stdout, "dev link0");
    await Deno.writeTextFile(`${journal}.stop`, "");
    await program.child.status;
    await program.stop();
    assertStringIncludes(program.text, "answered true");
    assertStringIncludes(program.text, "END");
    await Deno.remove(`${journal}.stop`);
    await isRestored();
  });
  await context.step("it opens and closes twenty times in one process", async () => {
    assertEquals(await linesOf(lab, "reopen"), ["reopened", "END"]);
    await isRestored();
  });
  await context.step("after kill -9 the next start undoes what was left", async () => {
    const program = lab.startProgram("wintun_device.ts", [...argumentsOf(lab), "hang"]);
    await program.wrote("READY");
    assert(await isThere(journal));
    assertEquals(await linesOf(lab, "fail"), [
      `WinError: Cannot open the device ${DEVICE}: there is one of this name; is another weir running? (error 183)`,
      "END",
    ]);
    await program.stop("SIGKILL");
    assert(await isThere(journal));
    assertEquals((await linesOf(lab, "twice")).at(-1), "END");
    await isRestored();
  });
  for (
    const [deed, words] of [
      ["vanish", "the adapter is gone: it was removed or disabled"],
      ["corrupt", "the data are damaged"],
    ] as const
  ) {
    await context.step(`an adapter that is to ${deed} ends what waits, in words`, async () => {
      const program = lab.startProgram("wintun_device.ts", [...argumentsOf(lab), "carry"]);
      await program.wrote("READY");
      assertEquals(await lab.control(`${deed} weirtest`), "ok");
      assertEquals((await program.child.status).code, 0);
      await program.stop();
      assertStringIncludes(program.text, `gone: Cannot read from ${DEVICE}: ${words}`);
      await isRestored();
    });
  }
  await context.step(
    "a machine without a filtering platform, as Wine is, cannot have strict DNS, and is left as it was",
    async () => {
      assertEquals(await linesOf(lab, "strict"), [
        "WinError: Cannot keep DNS inside the device: this Windows has no filtering platform; leave strict DNS off (error 1764)",
        "END",
      ]);
      await isRestored();
    },
  );
  await context.step("what cannot be opened is told in words", async () => {
    await Deno.writeTextFile(`${lab.programFolder}/text.dll`, "no library");
    const messageOf = async (dll: string) => (await linesOf(lab, "fail", dll))[0]!;
    assertStringIncludes(
      await messageOf("none.dll"),
      "it is not there; put the wintun.dll of wintun.net (amd64) there",
    );
    assertStringIncludes(await messageOf("text.dll"), "it is no 64-bit library; take the amd64 one");
    assertStringIncludes(await messageOf("weir-iphlpapi.dll"), "it is not Wintun 0.14");
    assertStringIncludes((await linesOf(lab, "badName"))[0]!, 'Cannot name an adapter "a/b"');
    await isRestored();
  });
});

const REAL_DLL = Deno.env.get("WEIR_WINTUN_DLL");
if (REAL_DLL === undefined) console.log("the real wintun.dll is not tried: WEIR_WINTUN_DLL does not name it");

if (REAL_DLL !== undefined) {
  windowsTest("openWintun() binds all that the real wintun.dll exports, and misses its driver", async (lab) => {
    await Deno.copyFile(REAL_DLL, `${lab.programFolder}/real.dll`);
    const [message] = await linesOf(lab, "fail", "real.dll");
    assertStringIncludes(message!, `WinError: Cannot make the adapter ${DEVICE}: a file of the driver is not there`);
    assert(!await isThere(`${lab.programFolder}/journal`));
  });
}

windowsTest("sockets are found in the real tables of Windows", async (lab) => {
  const { code, stdout, stderr } = await lab.runProgram("processes.ts", [`${lab.home.programs}\\weir-iphlpapi.dll`]);
  assertEquals([stderr, code], ["", 0]);
  const { microseconds, services, user: _user, userBefore, ...found } = JSON.parse(stdout);
  console.log(
    `one search in tables at hand ${microseconds.reusedTables.toFixed(1)} µs, with reading ${
      microseconds.readTables.toFixed(0)
    } µs, a description ${microseconds.describe.toFixed(1)} µs`,
  );
  assert(services > 0);
  assertStringIncludes(userBefore, "S-1-5-21-");
  const { self, system, ...rest } = found;
  assertEquals([self.name, self.isSelf], ["deno.exe", true]);
  assertStringIncludes(self.path, "\\deno.exe");
  assertStringIncludes(self.user, "\\");
  assertEquals([system.name, system.processId], ["System", 4]);
  const all = { client: true, server: true, listener: true, nobody: null };
  assertEquals(rest, {
    lastErrorsKept: 10_000,
    nameTwice: 183,
    tcp4: all,
    tcp6: all,
    tcpDualStack: true,
    udp: true,
    udpWildcard: true,
    udpWildcard6: true,
    udpDualStack: true,
    idle: null,
    gone: null,
    isElevated: false,
    noService: "absent",
    servicesNamed: true,
    isLocal: [true, false],
  });
});

windowsTest("examineWindows() finds libraries that load, services and interfaces", async (lab) => {
  await Deno.writeTextFile(`${lab.programFolder}/text.dll`, "no library");
  const paths = ["wintun.dll", "text.dll"].map((name) => `${lab.home.programs}\\${name}`);
  const { code, stdout, stderr } = await lab.runProgram("examine.ts", paths);
  assertEquals([stderr, code], ["", 0]);
  const { drivers, services, interfaces, program, ...rest } = JSON.parse(stdout);
  assertEquals(drivers[0].failure, undefined);
  assertStringIncludes(drivers[1].failure, "Bad EXE format");
  assertEquals(services, ["wintun", "WinDivert"].map((name) => ({ name, state: "absent" })));
  assert(interfaces.includes("link0"));
  assertStringIncludes(program, "deno.exe");
  assertEquals(rest, { kind: "windows", isAdministrator: false });
});
