import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Arena, Direction, type Slot } from "../../core/adapter/arena.ts";
import { UsageError } from "../../core/cli/arguments.ts";
import { speederCommand } from "../../core/cli/speeder.ts";
import { createSpeederEngine, SPEEDER_FILTER, speederProgram } from "../../core/cli/speeder_engine.ts";
import { compileFilter } from "../../core/filter/mod.ts";
import { micros } from "../../core/base/micros.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { ListAdapter } from "../support/engine_world.ts";
import { KeptIo } from "../support/io.ts";
import { ipv4Packet, tcpPacket, udpPacket } from "../support/packets.ts";

/** A diverting device that has some packets, all of one direction. */
class DivertedPackets extends ListAdapter {
  readonly #direction: Direction;

  constructor(direction: Direction, packets: readonly Uint8Array[]) {
    super("divert");
    this.#direction = direction;
    this.incoming.push(...packets);
  }

  override receive(arena: Arena, now: ReturnType<typeof micros>): number {
    const before = arena.arrivedCount;
    const count = super.receive(arena, now);
    for (let i = before; i < arena.arrivedCount; i++) arena.direction[arena.arrivedAt(i)] = this.#direction;
    return count;
  }

  /** All there is was there from the start. */
  override ready(): Promise<void> {
    return new Promise(() => {});
  }

  override send(arena: Arena, slot: Slot, now: ReturnType<typeof micros>): boolean {
    assertEquals(arena.direction[slot], this.#direction, "a copy goes the way of its original");
    return super.send(arena, slot, now);
  }
}

interface Ran {
  readonly status: number;
  readonly errors: string;
  readonly opened: DeviceSettings[];
  readonly closed: number;
  readonly adapter: DivertedPackets;
}

/** Runs the command over a device with these packets, until they are gone. */
async function run(args: readonly string[], packets: readonly Uint8Array[] = []): Promise<Ran> {
  const adapter = new DivertedPackets(Direction.Outbound, packets);
  const opened: DeviceSettings[] = [];
  let closed = 0;
  const open = (settings: DeviceSettings): LiveDevice => {
    opened.push(settings);
    return { adapter, close: () => void closed++ };
  };
  const io = new KeptIo();
  const status = await speederCommand(args, io, {
    devices: { nfqueue: open },
    uint32: () => 5,
    untilStopped: async () => {
      while (adapter.incoming.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
      return "SIGINT";
    },
  });
  return { status, errors: io.errors, opened, closed, adapter };
}

const PACKETS = [
  tcpPacket({ flags: "PA", payload: "a" }),
  udpPacket({ payload: "b" }),
  udpPacket({ source: "2001:db8:0:0:0:0:0:1", payload: "c" }),
  ipv4Packet([8, 0, 0xf7, 0xff, 0, 0, 0, 0], { protocol: 1 }),
  ipv4Packet([1, 2, 3, 4], { protocol: 47 }),
];

Deno.test("speederCommand() sends everything that leaves twice, IPv4 and IPv6, and tells the counts", async () => {
  const { status, errors, opened, closed, adapter } = await run([], PACKETS);
  assertEquals([status, closed], [0, 1]);
  assertEquals(opened[0]!.divert, { filter: SPEEDER_FILTER, priority: 0 });
  assertEquals(adapter.sent, PACKETS.flatMap((packet) => [packet, packet]));
  assertStringIncludes(errors, "speeder is up: each packet leaves 2 times, where outbound and !loopback");
  assertStringIncludes(errors, "stopping: SIGINT");
  assertStringIncludes(errors, "5 packets received, 5 sent on");
  assertStringIncludes(errors, "5 copies sent, 0 not made (ceiling)");
});

Deno.test("speederCommand() takes filter, multiplicity, ceiling and namespace from the command line", async () => {
  const args = ["--filter=outbound and udp", "--multiplicity=3", "--ceiling=1mbit", "--netns=blue"];
  const { errors, opened, adapter } = await run(args, PACKETS);
  assertEquals([opened[0]!.divert!.filter, opened[0]!.namespace], ["outbound and udp", "blue"]);
  assertEquals(adapter.sent.length, 3 + 2 * 3, "what the filter does not match goes on as it is");
  assertStringIncludes(errors, "each packet leaves 3 times, copies up to 1mbit, where outbound and udp");
});

Deno.test("speederCommand() sees acknowledgments in adaptive mode, and copies nothing while nothing is lost", async () => {
  const { errors, opened, adapter } = await run(["--adaptive"], PACKETS);
  const filter = compileFilter(opened[0]!.divert!.filter, "network");
  const reply = tcpPacket({ flags: "A" });
  assertEquals([true, false].map((outbound) => filter.matches(reply, { outbound })), [true, true]);
  assertEquals(filter.matches(reply, { outbound: false, impostor: true }), false);
  assertEquals(filter.matches(udpPacket({ payload: "x" }), { outbound: false }), false);
  assertEquals(adapter.sent, PACKETS);
  assertStringIncludes(errors, "5 packets not copied (no loss seen)");
});

Deno.test("speederCommand() says what is wrong with its arguments", async () => {
  const cases: [string[], string][] = [
    [["tcp"], "expected options only"],
    [["--filter=tcp adn"], "Cannot use --filter: "],
    [["--multiplicity=1"], "expected 2 to 10"],
    [["--multiplicity=11"], "expected a whole number up to 10"],
    [["--ceiling=fast"], 'Cannot use --ceiling: expected a rate up to 100 Gbit/s like "10mbit"'],
    [["--adapter=tun"], "expected nfqueue"],
  ];
  for (const [args, message] of cases) await assertRejects(() => run(args), UsageError, message);
  const nothing = { devices: {}, uint32: () => 5, untilStopped: () => Promise.resolve("") };
  await assertRejects(() => speederCommand([], new KeptIo(), nothing), UsageError, "weir has no device");
});

Deno.test("createSpeederEngine() lets what comes in go on as it is", () => {
  const adapter = new DivertedPackets(Direction.Inbound, PACKETS);
  const choices = { filter: SPEEDER_FILTER, multiplicity: 2, ceiling: undefined, isAdaptive: false };
  const engine = createSpeederEngine(adapter, speederProgram(choices), 1);
  engine.poll(micros(0), 64);
  engine.endFlows();
  assertEquals(adapter.sent, PACKETS);
  assert(engine.counters.lawHolds());
});
