import { assertEquals } from "@std/assert";
import { Action } from "../../core/act/act.ts";
import type { Command } from "../../core/act/command.ts";
import { Counters } from "../../core/act/counters.ts";
import { FlowEnds } from "../../core/act/flow_ends.ts";
import type { TranslateOptions } from "../../core/act/translate_options.ts";
import { isMidway, leaveAlone } from "../../core/act/untouched.ts";
import { Arena, Direction, NO_SLOT } from "../../core/adapter/arena.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import { FlowTable, Seen } from "../../core/classify/flow_table.ts";
import { Deliberation } from "../../core/decide/deliberation.ts";
import { ListAdapter } from "../support/engine_world.ts";
import { tcpPacket, udpPacket } from "../support/packets.ts";
import { parseOne } from "../support/slots.ts";

const V4_ONLY: TranslateOptions = { listeners: { way: "reflect", v4: { port: 7_000 } }, secret: 1 };

function ends(kind: "tun" | "divert", translate: TranslateOptions | undefined): FlowEnds {
  const adapter = new ListAdapter(kind);
  const commands: Command[] = [];
  const observer = { packetEmitted: () => {}, packetTranslated: () => {} };
  const stack = { env: new Prng(1) };
  return new FlowEnds(stack, translate, new Arena(8), adapter, adapter, new Counters(), commands, observer);
}

const { Direct, Proxy, Reject, Drop, Terminate, Translate } = Action;

Deno.test("FlowEnds.actionOf() says which flows end here, and in which stack", () => {
  const table: readonly (readonly ["tun" | "divert", boolean, string, "tcp" | "udp", boolean, Action[]])[] = [
    // What becomes of direct, proxied, rejected and dropped flows.
    ["tun", false, "192.0.2.1", "tcp", false, [Terminate, Terminate, Reject, Drop]],
    ["tun", true, "192.0.2.1", "tcp", false, [Translate, Translate, Reject, Drop]],
    ["tun", true, "192.0.2.1", "udp", false, [Terminate, Terminate, Reject, Drop]],
    ["tun", true, "2001:db8::1", "tcp", false, [Terminate, Terminate, Reject, Drop]],
    ["divert", false, "192.0.2.1", "tcp", false, [Direct, Terminate, Reject, Drop]],
    ["divert", true, "192.0.2.1", "tcp", false, [Direct, Translate, Reject, Drop]],
    ["divert", true, "192.0.2.1", "tcp", true, [Translate, Translate, Reject, Drop]],
  ];
  for (const [kind, isSystem, source, network, isEarly, expected] of table) {
    const facts = emptyFacts(network);
    facts.sourceIp = parseIp(source)!;
    const made = ends(kind, isSystem ? V4_ONLY : undefined);
    const actions = [Direct, Proxy, Reject, Drop].map((action) => made.actionOf(action, facts, isEarly));
    assertEquals([kind, isSystem, source, network, actions], [kind, isSystem, source, network, expected]);
  }
});

Deno.test("leaveAlone() takes the verdict of flows back that no local program opens now", () => {
  const cases: readonly (readonly [Uint8Array, number, Direction, boolean, string])[] = [
    [tcpPacket({ flags: "S" }), Seen.Syn, Direction.Outbound, false, "Match"],
    [tcpPacket({ flags: "S" }), Seen.Syn, Direction.Inbound, false, "Inbound"],
    [tcpPacket({ flags: "A" }), 0, Direction.Outbound, true, "Existing"],
    [tcpPacket({ flags: "SA" }), Seen.SynAck, Direction.Unknown, true, "Existing"],
    [udpPacket({}), 0, Direction.Outbound, false, "Match"],
    [udpPacket({}), 0, Direction.Inbound, false, "Inbound"],
  ];
  for (const [packet, seen, direction, midway, rule] of cases) {
    const { meta, arena } = parseOne(packet);
    const table = new FlowTable(1, 4);
    const flow = table.create(meta, false, micros(0));
    table.seen[flow] = seen;
    arena.direction[0] = direction;
    assertEquals(isMidway(table, flow), midway);
    for (const action of ["proxy", "reject"] as const) {
      const deliberation = new Deliberation(false);
      Object.assign(deliberation.verdict, { action, rule: "Match" });
      leaveAlone(deliberation, arena, 0, table, flow);
      const isLeft = action === "proxy" && rule !== "Match";
      assertEquals([deliberation.verdict.rule, deliberation.verdict.action], [
        isLeft ? rule : "Match",
        isLeft ? "direct" : action,
      ]);
    }
    const unseen = new Deliberation(false);
    Object.assign(unseen.verdict, { action: "proxy", rule: "Match" });
    leaveAlone(unseen, arena, NO_SLOT, table, flow);
    assertEquals(unseen.verdict.rule, midway ? "Existing" : "Match");
  }
});
