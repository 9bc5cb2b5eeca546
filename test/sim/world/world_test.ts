/** A world as somebody would build it who tests a policy or a program: two hosts, a link, and what they say to each other. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../../core/base/ip_address.ts";
import { micros, SECOND_US } from "../../../core/base/micros.ts";
import { NO_FAULTS } from "../../../core/adapter/fault_plan.ts";
import { QUIET_APP } from "../../../sim/world/app_plan.ts";
import { Application } from "../../../sim/world/application.ts";
import { addStackHost, connectHosts, linkHosts, type StackHost } from "../../../sim/world/stack_host.ts";
import { StreamPattern } from "../../../sim/world/stream_pattern.ts";
import { Violation } from "../../../sim/world/violation.ts";
import { World } from "../../../sim/world/world.ts";

/** Two hosts over a line of 8 Mbit/s and 10 ms; the server takes whatever comes. */
function build(seed: number, lossPpm = 0) {
  const world = new World(seed);
  const client = addStackHost(world, "client", parseIp("10.0.0.1")!);
  const server = addStackHost(world, "server", parseIp("10.0.0.2")!);
  const channel = { rateBps: 8_000_000, faults: { ...NO_FAULTS, delayUs: 10_000, lossPpm } };
  const link = linkHosts(world, client, server, { forth: channel, back: channel });
  const up = new StreamPattern(1);
  const down = new StreamPattern(2);
  const program = (host: StackHost, sendBytes: number, outgoing: StreamPattern, incoming: StreamPattern) =>
    new Application(
      host.host.name,
      { ...QUIET_APP, sendBytes },
      { outgoing, incoming },
      world,
      world.prng.fork(host.host.name),
      (now) => host.host.touch(now),
    );
  const asking = program(client, 10_000, up, down);
  const answering = program(server, 300_000, down, up);
  asking.peer = answering;
  answering.peer = asking;
  server.stack.onFlow = (pending, now) => {
    const connection = pending.accept(now);
    if (connection !== undefined) server.host.attach(connection, answering, false, now);
  };
  const connection = connectHosts(client, 40_000, server, 80, world.now)!;
  client.host.attach(connection, asking, true, world.now);
  return { world, client, server, link, asking, answering };
}

Deno.test("World carries a conversation to its end, in the time that the line takes", () => {
  const { world, client, server, asking, answering } = build(1);
  world.runUntil(micros(300 * SECOND_US), () => asking.isOver && answering.isOver);
  assertEquals([asking.outcome, answering.outcome], ["done", "done"]);
  assertEquals([asking.receivedBytes, answering.receivedBytes], [300_000, 10_000]);
  // 300,000 bytes at 1 MB/s.
  assert(world.now > 300_000 && world.now < 1_500_000, `${world.now} µs`);
  world.runUntil(micros(600 * SECOND_US));
  world.checkEmpty();
  assertEquals([client.stack.connectionCount, server.stack.connectionCount], [0, 0]);
  assert(client.host.counters.received > 100 && client.host.counters.lawHolds());
});

Deno.test("World is the same world for the same seed, and another one for another seed", () => {
  const digest = (seed: number) => {
    const { world, asking, answering } = build(seed, 50_000);
    world.runUntil(micros(300 * SECOND_US), () => asking.isOver && answering.isOver);
    assertEquals([asking.outcome, answering.outcome], ["done", "done"]);
    return `${world.digest} ${world.steps}`;
  };
  assertEquals(digest(1), digest(1));
  assert(digest(1) !== digest(2));
});

Deno.test("World checkEmpty() complains while something is left", () => {
  const { world } = build(1);
  world.runUntil(micros(50_000));
  assertThrows(() => world.checkEmpty(), Violation);
});

Deno.test("World runUntil() stops at its time, and schedule() never goes back", () => {
  const world = new World(1);
  const seen: number[] = [];
  world.schedule(micros(10), (now) => {
    seen.push(now);
    world.schedule(micros(5), (then) => void seen.push(then));
  });
  world.schedule(micros(30), (now) => void seen.push(now));
  world.runUntil(micros(20));
  assertEquals([seen, world.now, world.planned], [[10, 10], micros(20), 1]);
});
