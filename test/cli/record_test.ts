import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Arena, Direction, type Slot } from "../../core/adapter/arena.ts";
import { UsageError } from "../../core/cli/arguments.ts";
import { recordCommand, type RecordDoors } from "../../core/cli/record.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { openCapture } from "../../sim/capture/open.ts";
import { PcapngWriter } from "../../sim/capture/write.ts";
import { tcpPacket, udpPacket } from "../ffi/linux/packets.ts";
import { KeptIo } from "../support/io.ts";

const ICMP = Uint8Array.from([
  0x45,
  0,
  0,
  28,
  0,
  1,
  0,
  0,
  64,
  1,
  0,
  0,
  10,
  0,
  0,
  1,
  10,
  0,
  0,
  2,
  8,
  0,
  0xf7,
  0xff,
  0,
  0,
  0,
  0,
]);
const TRAFFIC = [
  tcpPacket(4, new Uint8Array(5), 2),
  udpPacket(6, new Uint8Array(9)),
  tcpPacket(4, new Uint8Array(3), 16),
  ICMP,
];

/** A machine whose one device hands out `TRAFFIC` once, and whose flows all belong to one program. */
class Machine {
  readonly opened: DeviceSettings[] = [];
  readonly sent: Uint8Array[] = [];
  closed = 0;
  readonly io = new KeptIo();

  #open(kind: "divert" | "tun", settings: DeviceSettings): LiveDevice {
    this.opened.push(settings);
    let isFirst = true;
    const receive = (arena: Arena): number => {
      if (!isFirst) return 0;
      isFirst = false;
      for (const packet of TRAFFIC) {
        const slot = arena.acquire();
        arena.bytes.set(packet, arena.at(slot));
        arena.length[slot] = arena.wireLength[slot] = packet.length;
        arena.direction[slot] = Direction.Outbound;
        arena.arrive(slot);
      }
      return TRAFFIC.length;
    };
    const send = (arena: Arena, slot: Slot): boolean => {
      this.sent.push(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!));
      return true;
    };
    const capabilities = { kind, mtu: settings.mtu, batch: 4, checksumsVouched: true };
    return {
      adapter: { capabilities, receive, send, ready: () => new Promise<void>(() => {}), close: () => {} },
      processes: {
        findOwner: ({ network }) => network === "tcp" ? 77 : undefined,
        describe: (processId) => ({ name: "curl", path: "/usr/bin/curl", processId, user: "ana", uid: 1000 }),
      },
      close: () => void this.closed++,
    };
  }

  doors(kind: "divert" | "tun"): RecordDoors {
    return {
      files: new HostConfigFiles(),
      loadPolicy: () => Promise.resolve({ issues: [] }),
      resolve: () => Promise.resolve([]),
      findProcess: () => Promise.resolve(undefined),
      devices: { queue: (settings) => this.#open(kind, settings) },
      findOwnSources: () => ({ v4: undefined, v6: undefined }),
      uint32: () => 5,
      untilStopped: (stopping) =>
        new Promise((resolve) => stopping.addEventListener("abort", () => resolve("done"), { once: true })),
      createWriter: (sink) => new PcapngWriter(sink),
      divertDevices: kind === "divert" ? ["queue"] : [],
    };
  }
}

async function record(kind: "divert" | "tun", ...options: string[]): Promise<{ machine: Machine; packets: string[] }> {
  const machine = new Machine();
  const path = await Deno.makeTempFile({ suffix: ".pcapng" });
  try {
    assertEquals(await recordCommand([`--out=${path}`, ...options], machine.io, machine.doors(kind)), 0);
    const packets: string[] = [];
    using capture = await openCapture(path);
    for (let packet = await capture.next(); packet !== undefined; packet = await capture.next()) {
      const who = packet.process === undefined
        ? "nobody"
        : `${packet.process.name} ${packet.process.pid} ${packet.process.user}`;
      packets.push(`${packet.direction} ${packet.dataLength} ${who}`);
    }
    return { machine, packets };
  } finally {
    await Deno.remove(path);
  }
}

const LENGTHS = TRAFFIC.map(({ length }) => length);

Deno.test("recordCommand() writes each packet with its process and sends it on as it was", async () => {
  const { machine, packets } = await record("divert", "--filter=outbound", "--netns=there", "--count=4");
  assertEquals(packets, [
    `2 ${LENGTHS[0]} curl 77 ana`,
    `2 ${LENGTHS[1]} nobody`,
    `2 ${LENGTHS[2]} curl 77 ana`,
    `2 ${LENGTHS[3]} nobody`,
  ]);
  assertEquals(machine.sent, TRAFFIC);
  assertEquals(machine.closed, 1);
  const { divert, namespace, routes } = machine.opened[0]!;
  assertEquals([divert?.filter, namespace, routes], ["outbound", "there", []]);
  assertStringIncludes(machine.io.output, "recorded 4 packets; 1 of 2 flows with their process");
});

Deno.test("recordCommand() stops at its count and leaves out what the filter does, but sends everything on", async () => {
  const { machine, packets } = await record("divert", "--filter=tcp", "--count=1");
  assertEquals(packets, [`2 ${LENGTHS[0]} curl 77 ana`]);
  assertEquals(machine.sent, TRAFFIC);
});

Deno.test("recordCommand() ends at whichever of count and seconds comes first", async () => {
  const machine = new Machine();
  const path = await Deno.makeTempFile();
  const doors = machine.doors("divert");
  const now = Date.now();
  assertEquals(await recordCommand([`--out=${path}`, "--count=4", "--seconds=9"], machine.io, doors), 0);
  assertEquals(Date.now() - now < 5_000, true);
  await Deno.remove(path);
});

Deno.test("recordCommand() carries a TUN device's flows with weir run", async () => {
  const { machine, packets } = await record("tun", "--route=192.0.2.0/24", "--source-address=192.0.2.7", "--count=2");
  assertEquals(packets, [`2 ${LENGTHS[0]} curl 77 ana`, `2 ${LENGTHS[1]} nobody`]);
  assertEquals([machine.closed, machine.opened[0]!.routes.length], [1, 1]);
  assertStringIncludes(machine.io.errors, "is up");
});

Deno.test("recordCommand() says what is wrong before it opens a device", async () => {
  const cases: readonly (readonly [args: string[], isUsage: boolean, message: string])[] = [
    [[], true, "name the file with --out FILE"],
    [["--out=/nowhere/at/all/x"], false, "Cannot write /nowhere/at/all/x: the folder does not exist"],
    [["--out=/tmp", "--filter=tcp and"], false, "parse error"],
    [["--out=x", "--adapter=ring"], true, "Cannot use --adapter ring: expected queue"],
    [["--out=x", "--count=many"], true, "Cannot use --count many"],
    [["--out=x", "more"], true, "Cannot record more"],
  ];
  for (const [args, isUsage, message] of cases) {
    const machine = new Machine();
    const error = await assertRejects(() => recordCommand(args, machine.io, machine.doors("divert")), Error, message);
    assertEquals(error instanceof UsageError, isUsage);
    assertEquals(machine.opened, []);
  }
});
