import { assertEquals } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { tcpPacket } from "../support/packets.ts";
import { readSegment, SYN_OPTIONS } from "../support/stack_world.ts";

const syn = (sequence: number) => tcpPacket({ flags: "S", sequence, tcpOptions: SYN_OPTIONS });

function kindsOf(world: EngineWorld): string[] {
  return world.engine.commands.splice(0).map(({ kind }) => kind);
}

Deno.test("Terminator pushes cancelDial when the application gives up while the far side is dialed", () => {
  const world = new EngineWorld({ stack: { env: new Prng(5) } });
  world.decider.script.action = "direct";
  world.feed(syn(100));
  assertEquals(kindsOf(world), ["dial"]);
  world.feed(tcpPacket({ flags: "R", sequence: 101 }));
  const [cancel, ...more] = world.engine.commands.splice(0);
  assertEquals([cancel!.kind, more.length, world.engine.stack!.pendingCount], ["cancelDial", 0, 0]);
  // An answer that was on its way finds nobody, and harms nobody.
  world.engine.handle({ kind: "dialed", flow: cancel!.flow }, world.now);
  assertEquals([world.adapter.sent.length, world.engine.takeConnection(cancel!.flow)], [0, undefined]);
  world.finish();
});

Deno.test("Terminator dials anew when the application begins anew on the same ports", () => {
  const world = new EngineWorld({ stack: { env: new Prng(5) } });
  world.decider.script.action = "direct";
  world.feed(syn(100));
  const first = world.engine.commands.splice(0)[0]!;
  world.feed(syn(70_000));
  const [cancel, dial] = world.engine.commands.splice(0);
  assertEquals([cancel, dial!.kind, dial!.flow === first.flow], [
    { kind: "cancelDial", flow: first.flow },
    "dial",
    false,
  ]);
  world.engine.handle({ kind: "dialed", flow: dial!.flow }, world.now);
  assertEquals(readSegment(world.adapter.sent[0]!).acknowledgment, 70_001);
  world.finish();
});

Deno.test("Terminator pushes no cancelDial for a flow that was answered", () => {
  const world = new EngineWorld({ stack: { env: new Prng(5) } });
  world.decider.script.action = "direct";
  world.feed(syn(100));
  const { flow } = world.engine.commands.splice(0)[0]!;
  world.engine.handle({ kind: "dialed", flow }, world.now);
  const { acknowledgment, sequence } = readSegment(world.adapter.sent.shift()!);
  world.feed(tcpPacket({ flags: "R", sequence: acknowledgment, acknowledgment: sequence + 1 }));
  assertEquals(kindsOf(world), []);
  world.finish();
});
