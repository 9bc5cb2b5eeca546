import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UsageError } from "../../core/cli/arguments.ts";
import { runCommand, type RunDoors } from "../../core/cli/run.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";
import { KeptIo } from "../support/io.ts";

/** Doors of a machine whose device is silent and whose user stops weir at once; the device's settings are kept. */
function quietDoors(): { doors: RunDoors; opened: DeviceSettings[]; closed: { count: number } } {
  const opened: DeviceSettings[] = [];
  const closed = { count: 0 };
  const open = (settings: DeviceSettings): LiveDevice => {
    opened.push(settings);
    const capabilities = { kind: "tun" as const, mtu: settings.mtu, batch: 1, checksumsVouched: false };
    const ready = () => new Promise<void>(() => {});
    return {
      adapter: { capabilities, receive: () => 0, send: () => true, ready, close: () => {} },
      close: () => void closed.count++,
    };
  };
  const doors: RunDoors = {
    files: new HostConfigFiles(),
    loadPolicy: () => Promise.resolve({ issues: [] }),
    resolve: () => Promise.resolve([]),
    findProcess: () => Promise.resolve(undefined),
    devices: { tun: open },
    findOwnSources: (routes) => ({
      v4: routes.some(({ address }) => address.version === 4) ? parseIp("192.0.2.7") : undefined,
      v6: undefined,
    }),
    uint32: () => 5,
    untilStopped: () => Promise.resolve("SIGINT"),
  };
  return { doors, opened, closed };
}

async function run(
  ...args: string[]
): Promise<{ status: number; errors: string; opened: DeviceSettings[]; closed: number }> {
  const { doors, opened, closed } = quietDoors();
  const io = new KeptIo();
  const status = await runCommand(args, io, doors);
  return { status, errors: io.errors, opened, closed: closed.count };
}

Deno.test("runCommand() opens the device as asked and closes it when it is stopped", async () => {
  const { status, errors, opened, closed } = await run(
    "--device=tun7",
    "--address=10.9.0.1/24,fd09::1/64",
    "--mtu=1400",
    "--route=203.0.113.0/24",
    "--offload=off",
  );
  assertEquals([status, closed], [0, 1]);
  const { name, addresses, mtu, routes, sources, offload, namespace } = opened[0]!;
  assertEquals([name, mtu, offload, namespace], ["tun7", 1400, false, undefined]);
  assertEquals([addresses.length, routes.length, sources], [2, 1, [parseIp("192.0.2.7")!]]);
  assertStringIncludes(errors, "tun7 is up: 10.9.0.1/24, fd09::1/64, MTU 1400, routes 203.0.113.0/24");
  assertStringIncludes(errors, "stopping: SIGINT");
  assertStringIncludes(errors, "0 packets received, 0 consumed, 0 sent");
  assertStringIncludes(errors, "tun7 is gone");
});

Deno.test("runCommand() takes the device from the configuration when the command line does not say", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  const tun =
    "tun: { enable: true, device: wt0, mtu: 1280, inet4-address: [10.8.0.1/30], route-address: [198.51.100.0/24] }\n";
  await Deno.writeTextFile(file, tun);
  const { status, opened } = await run(`--config=${file}`, "--log=silent");
  await Deno.remove(file);
  const { name, mtu, addresses, routes } = opened[0]!;
  assertEquals([status, name, mtu, addresses.length, routes.length], [0, "wt0", 1280, 1, 1]);
});

Deno.test("runCommand() leaves its own addresses alone when the device is in another namespace", async () => {
  const { opened } = await run("--netns=blue", "--route=0.0.0.0/0,::/0");
  assertEquals([opened[0]!.namespace, opened[0]!.sources], ["blue", []]);
});

Deno.test("runCommand() says what is wrong when arguments or configuration cannot be used", async () => {
  const table: [string, string][] = [
    ["--adapter=wintun", "Cannot use --adapter wintun: expected tun"],
    ["--mtu=100", "Cannot use --mtu 100: expected 576 to 65535"],
    ["--address=10.0.0.1", "Cannot use --address 10.0.0.1: expected prefixes like 198.18.0.1/30"],
    ["--route=here", "Cannot use --route here"],
    ["--source-address=x", "Cannot use --source-address x: expected addresses"],
    ["--stack=lwip", "Cannot use the stack lwip: this weir has no lwIP library; use netstack, system or mixed"],
    ["--stack=gvisor2", "Cannot use --stack gvisor2: expected netstack, system, mixed"],
    ["--log=loud", "Cannot use --log loud: expected silent, error, warning, info, debug"],
    ["now", "Cannot run now: expected options only"],
  ];
  for (const [arg, message] of table) {
    const args = arg.startsWith("--source") ? [arg, "--route=10.0.0.0/8"] : [arg];
    const error = await assertRejects(() => run(...args), UsageError);
    assertStringIncludes(error.message, message);
  }
  const error = await assertRejects(() => run("--route=::/0"), Error);
  assertStringIncludes(error.message, "Cannot route ::/0 into the device: this machine has no IPv6 address");
  const missing = await run("--config=/does/not/exist.yaml");
  assertEquals([missing.status, missing.opened], [2, []]);
  assertStringIncludes(missing.errors, "exist.yaml");
});

Deno.test("runCommand() says so when the system has no device", async () => {
  const { doors } = quietDoors();
  const error = await assertRejects(() => runCommand([], new KeptIo(), { ...doors, devices: {} }), UsageError);
  assertStringIncludes(error.message, "Cannot run live: weir has no device for");
});

/** Doors with a device that diverts beside the TUN device. */
function divertDoors(): ReturnType<typeof quietDoors> {
  const quiet = quietDoors();
  const nfqueue = async (settings: DeviceSettings): Promise<LiveDevice> => {
    const device = await quiet.doors.devices.tun!(settings);
    const { adapter } = device;
    return { ...device, adapter: { ...adapter, capabilities: { ...adapter.capabilities, kind: "divert" } } };
  };
  return { ...quiet, doors: { ...quiet.doors, devices: { tun: quiet.doors.devices.tun!, nfqueue } } };
}

Deno.test("runCommand() listens for the system's TCP where the device is, and closes that too", async () => {
  for (const stack of ["system", "mixed"]) {
    const { doors, closed } = quietDoors();
    const places: string[] = [];
    const tun = async (settings: DeviceSettings): Promise<LiveDevice> => {
      const inside = <T>(work: () => T): T => {
        places.push(settings.name);
        return work();
      };
      return { ...await doors.devices.tun!(settings), inside };
    };
    const io = new KeptIo();
    const args = [`--stack=${stack}`, "--address=127.0.0.1/8", "--netns=blue"];
    assertEquals(await runCommand(args, io, { ...doors, devices: { tun } }), 0);
    assertStringIncludes(io.errors, "TCP through the system's own");
    assertEquals([places, closed.count], [["weir0"], 1]);
  }
});

Deno.test("runCommand() takes the stack from the configuration, and closes the device when nothing can listen", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(file, "tun: { enable: true, stack: system, inet4-address: [127.0.0.1/32] }\n");
  const { doors, closed } = quietDoors();
  const failed = runCommand([`--config=${file}`], new KeptIo(), doors);
  await assertRejects(() => failed, Error, "the device has no address with room for a second one beside it");
  await Deno.remove(file);
  assertEquals(closed.count, 1);
});

Deno.test("runCommand() diverts when the configuration enables that alone, in the mode that it names", async () => {
  for (const mode of ["netstack", "redirect"]) {
    const file = await Deno.makeTempFile({ suffix: ".yaml" });
    const divert =
      `weir: { divert: { enable: true, mode: ${mode}, filter: "tcp", priority: 7 } }\nrules: ["IP-CIDR,192.0.2.1/32,REJECT"]\n`;
    await Deno.writeTextFile(file, divert);
    const { doors, opened } = divertDoors();
    const io = new KeptIo();
    assertEquals(await runCommand([`--config=${file}`], io, doors), 0);
    const { name, divert: wanted, addresses, routes, sources } = opened[0]!;
    assertEquals([name, wanted!.priority, addresses, routes, sources], ["nfqueue", 7, [], [], []]);
    // What the listeners send has to come by as well.
    assertStringIncludes(wanted!.filter, "tcp and outbound and !loopback and remoteAddr == 192.0.2.1 and ");
    assertEquals(/ or \(outbound and tcp and .*localPort == \d+/.test(wanted!.filter), mode === "redirect");
    assertStringIncludes(io.errors, `nfqueue is up: diverts ${wanted!.filter}, priority 7`);
    assertEquals(io.errors.includes("TCP through the system's own"), mode === "redirect");
    const stack = await assertRejects(() => runCommand([`--config=${file}`, "--stack=system"], io, doors), UsageError);
    assertStringIncludes(stack.message, "weir.divert.mode says what becomes of them");
    await Deno.remove(file);
  }
});
