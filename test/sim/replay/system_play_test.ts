import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { micros } from "../../../core/base/micros.ts";
import type { ReplayPlay } from "../../../core/cli/replay_result.ts";
import { replay } from "../../../sim/mod.ts";
import { SystemPlay } from "../../../sim/replay/system_play.ts";
import { ipv4Packet, tcpPacket, tcpSegment, type TransportChoices } from "../../support/packets.ts";
import { parseOne } from "../../support/slots.ts";

const BACK = { source: "198.51.100.2", sourcePort: 443, destination: "192.0.2.1", destinationPort: 50_000 };
const SYN = tcpPacket({ flags: "S", sequence: 100 });
const SYN_ACK = tcpPacket({ ...BACK, flags: "SA", sequence: 900, acknowledgment: 101 });

/** Plays the packets of one flow, which is decided after `before` of them. */
function play(
  mode: "tun" | "divert",
  packets: readonly Uint8Array[],
  action: "direct" | "proxy" | "drop" = "proxy",
  before = 1,
  gapUs = 1_000,
): ReplayPlay | undefined {
  const plays = new SystemPlay(mode, 5);
  plays.started(3);
  packets.forEach((packet, index) => {
    if (index === before) plays.decided(3, action);
    const { arena } = parseOne(packet);
    plays.see(arena, 0, micros(index * gapUs));
    plays.packet(3);
  });
  plays.ended(3);
  return plays.resultOf(3);
}

function outcomeOf(result: ReplayPlay | undefined): unknown {
  return result && [result.outcome, result.bytesToServer, result.bytesToClient, result.resets];
}

Deno.test("replay() with the stack system rewrites every TCP flow of the demo to a listener and back", async () => {
  const demo = (name: string) => new URL(`../../../${name}`, import.meta.url).pathname;
  for (const [mode, count] of [["tun", 12], ["divert", 5]] as const) {
    const { flows } = await replay({
      captures: [demo("test/captures/demo.pcapng")],
      config: demo("scripts/policies/demo.yaml"),
      policy: demo("scripts/policies/demo.ts"),
      stack: mode === "tun" ? "system" : "mixed",
      mode,
    });
    const played = flows.filter(({ play }) => play !== undefined);
    assertEquals(played.map(({ play }) => play!.outcome), new Array(count).fill("equal"));
    const bytes = played.map(({ play }) => [play!.bytesToServer, play!.bytesToClient]);
    assertEquals(bytes, played.map(({ upload, download }) => [upload, download]));
  }
});

Deno.test("SystemPlay carries what would end in the system's TCP, and nothing else", () => {
  const flow = [
    SYN,
    SYN_ACK,
    tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 901, payload: "hello" }),
    tcpPacket({ ...BACK, flags: "R", sequence: 901 }),
  ];
  assertEquals(outcomeOf(play("tun", flow, "direct")), ["equal", 5, 0, 1]);
  assertEquals(outcomeOf(play("divert", flow, "proxy")), ["equal", 5, 0, 1]);
  assertEquals(play("divert", flow, "direct"), undefined);
  assertEquals(play("tun", flow, "drop"), undefined);
});

Deno.test("SystemPlay says what it could not play", () => {
  const segment = tcpSegment({ flags: "PA", sequence: 101, payload: "x".repeat(40) });
  const piece = ipv4Packet(segment.slice(0, 40), { protocol: 6, id: 9, more: true });
  const late = tcpPacket({ flags: "PA", sequence: 101, payload: "late" });
  const cases: readonly (readonly [readonly Uint8Array[], number, string])[] = [
    [[late, SYN_ACK], 1_000, "unplayed: the flow began before the capture"],
    [[SYN, SYN_ACK, piece], 1_000, "partial: packets that could not be read, or in fragments"],
    [[SYN, SYN_ACK, late], 8_000_000_000, "partial: packets after the connection's end"],
  ];
  for (const [packets, gapUs, expected] of cases) {
    const result = play("tun", packets, "proxy", 1, gapUs)!;
    assertEquals(`${result.outcome}: ${result.reason}`, expected);
  }
});

const choices = fc.record({
  isFromClient: fc.boolean(),
  flags: fc.constantFrom("A", "PA", "FA", "A", "SA"),
  sequence: fc.nat(0xffff_ffff),
  acknowledgment: fc.nat(0xffff_ffff),
  payload: fc.array(fc.nat(255), { maxLength: 30 }),
});

Deno.test("SystemPlay finds every packet of a conversation the same, whatever it says", () => {
  fc.assert(
    fc.property(
      fc.array(choices, { maxLength: 30 }),
      fc.constantFrom("tun" as const, "divert" as const),
      fc.constantFrom("4", "6", "loopback"),
      fc.nat(4),
      (list, mode, kind, before) => {
        const [client, server] = kind === "4"
          ? ["192.0.2.1", "198.51.100.2"]
          : kind === "6"
          ? ["2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:2"]
          : ["127.0.0.1", "127.0.0.1"];
        const forth: TransportChoices = {
          source: client!,
          destination: server!,
          sourcePort: 5_000,
          destinationPort: 80,
        };
        const back: TransportChoices = {
          source: server!,
          destination: client!,
          sourcePort: 80,
          destinationPort: 5_000,
        };
        const packets = list.map(({ isFromClient, ...rest }) =>
          tcpPacket({ ...(isFromClient ? forth : back), ...rest })
        );
        const all = [tcpPacket({ ...forth, flags: "S", sequence: 7 }), ...packets];
        if (before === 0 || before >= all.length) return;
        const sum = (isFromClient: boolean) =>
          list.filter((one) => one.isFromClient === isFromClient).reduce(
            (total, { payload }) => total + payload.length,
            0,
          );
        assertEquals(outcomeOf(play(mode, all, "proxy", before)), ["equal", sum(true), sum(false), 0]);
      },
    ),
    { seed: 3, numRuns: 300 },
  );
});
