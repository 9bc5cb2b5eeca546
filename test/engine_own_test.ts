/** Where this program's own flows come by as well: who owns a flow is asked before anything else. */
import { assertEquals } from "@std/assert";
import { EngineWorld } from "./support/engine_world.ts";
import { tcpPacket, udpPacket } from "./support/packets.ts";

const OWNER = { name: "weir.exe", path: "/weir.exe", processId: 7, user: "", uid: undefined };

function answer(world: EngineWorld, flow: number, isSelf: boolean): void {
  world.engine.handle({ kind: "processFound", flow, owner: { ...OWNER, isSelf }, costUs: 3 }, world.now);
  world.check();
}

Deno.test("Engine lets its own flows through without asking rules or policy", () => {
  const world = new EngineWorld({ kind: "divert", looksUpOwn: true, hasPolicy: true });
  world.decider.script.action = "drop";
  const packets = [tcpPacket({ flags: "S" }), tcpPacket({ flags: "PA", sequence: 1, payload: "x" })];
  world.feed(packets[0]!);
  assertEquals(world.engine.commands.splice(0).map(({ kind }) => kind), ["findProcess"]);
  answer(world, 0, true);
  world.feed(packets[1]!);
  assertEquals([world.adapter.sent, world.engine.commands, world.decider.seen], [packets, [], []]);
  world.finish();
  const { deliberation, record } = world.ended[0]!;
  assertEquals([deliberation.verdict.rule, deliberation.verdict.chains], ["Own", ["DIRECT"]]);
  const steps = deliberation.explain(record.facts, world.decider);
  assertEquals(steps.map(({ type, outcome, costUs }) => [type, outcome, costUs]), [
    ["process", "matched", 3],
    ["Own", "matched", undefined],
  ]);
});

Deno.test("Engine asks policy and rules of other programs' flows, and for no process twice", () => {
  const world = new EngineWorld({ kind: "divert", looksUpOwn: true, hasPolicy: true });
  world.decider.script.wants = ["process"];
  world.decider.script.action = "drop";
  world.feed(udpPacket({ payload: "x" }));
  world.engine.commands.length = 0;
  answer(world, 0, false);
  assertEquals(world.engine.commands.splice(0).map(({ kind }) => kind), ["askPolicy"]);
  world.engine.handle({ kind: "policyAnswered", flow: 0, verdict: undefined }, world.now);
  assertEquals([world.engine.counters.droppedByName(), world.decider.seen.length], [{ ruleDrop: 1 }, 1]);
  const unknown = new EngineWorld({ kind: "divert", looksUpOwn: true });
  unknown.feed(udpPacket({ payload: "x" }));
  unknown.engine.handle({ kind: "processFound", flow: 0, owner: undefined, costUs: 0 }, unknown.now);
  assertEquals([unknown.engine.counters.delivered, unknown.decider.seen.length], [1, 1]);
});
