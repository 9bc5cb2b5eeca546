/** What a stranger does with the simulator's border, who knows nothing else of weir. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  addStackHost,
  Application,
  connectHosts,
  linkHosts,
  micros,
  NO_FAULTS,
  parseIp,
  PERFECT_CHANNEL,
  QUIET_APP,
  runSeed,
  scenarioOf,
  simulate,
  StreamPattern,
  Violation,
  World,
} from "../../sim/mod.ts";

/** Two hosts over a bad line, and two programs that talk. */
function play(seed: number) {
  const world = new World(seed);
  const client = addStackHost(world, "client", parseIp("10.0.0.1")!);
  const server = addStackHost(world, "server", parseIp("10.0.0.2")!);
  const line = { rateBps: 8_000_000, faults: { ...NO_FAULTS, delayUs: 10_000, lossPpm: 20_000 } };
  const link = linkHosts(world, client, server, { forth: line, back: line });
  const [up, down] = [new StreamPattern(1), new StreamPattern(2)];
  const make = (name: string, sendBytes: number, outgoing: StreamPattern, incoming: StreamPattern) =>
    new Application(name, { ...QUIET_APP, sendBytes }, { outgoing, incoming }, world, world.prng.fork(name));
  const asks = make("client", 1_000, up, down);
  const answers = make("server", 50_000, down, up);
  [asks.peer, answers.peer] = [answers, asks];
  server.stack.onFlow = (pending, now) => server.host.attach(pending.accept(now)!, answers, false, now);
  client.host.attach(connectHosts(client, 40_000, server, 80, world.now)!, asks, true, world.now);
  world.runUntil(micros(60_000_000), () => asks.isOver && answers.isOver);
  return { world, link, asks, answers };
}

Deno.test("sim/mod.ts has all that a world of two hosts and a bad line takes", () => {
  const { world, link, asks, answers } = play(7);
  assertEquals([asks.outcome, answers.outcome], ["done", "done"]);
  assertEquals([asks.receivedBytes, answers.receivedBytes], [50_000, 1_000]);
  assert(link.aToB.counts.lost + link.bToA.counts.lost > 0, "the line was bad");
  assertEquals(play(7).world.digest.toString(), world.digest.toString(), "the seed is the world");
  assert(play(8).world.digest.toString() !== world.digest.toString());
});

Deno.test("sim/mod.ts plays drawn worlds and says what they consist of", () => {
  const { failure, bytes, connections } = runSeed(3);
  assertEquals([failure, connections], [undefined, scenarioOf(3).conversations.length]);
  assert(bytes > 0);
  assertEquals(simulate({ seed: 3, runs: 2 }).failed, []);
  assertEquals(PERFECT_CHANNEL.faults, NO_FAULTS);
});

Deno.test("sim/mod.ts tells a program's wrong bytes by a Violation", () => {
  const world = new World(1);
  const [a, b] = [addStackHost(world, "a", parseIp("fd00::1")!), addStackHost(world, "b", parseIp("fd00::2")!)];
  linkHosts(world, a, b);
  const pattern = new StreamPattern(1);
  const make = (name: string, incoming: StreamPattern) =>
    new Application(
      name,
      { ...QUIET_APP, sendBytes: 10 },
      { outgoing: pattern, incoming },
      world,
      world.prng.fork(name),
    );
  const [sender, reader] = [make("a", pattern), make("b", new StreamPattern(99))];
  b.stack.onFlow = (pending, now) => b.host.attach(pending.accept(now)!, reader, false, now);
  a.host.attach(connectHosts(a, 1_000, b, 80, world.now)!, sender, true, world.now);
  assertThrows(() => world.runUntil(micros(10_000_000)), Violation, "wrong byte");
});
