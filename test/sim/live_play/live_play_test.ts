import { assert, assertEquals } from "@std/assert";
import { Arena } from "../../../core/adapter/arena.ts";
import { LIVE_PLAY_FLOWS_MAX, LIVE_PLAY_WAITING_PACKETS_MAX } from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import { renderReplay } from "../../../core/cli/report/terminal.ts";
import { renderReport } from "../../../core/cli/report/html.ts";
import { LivePlay } from "../../../sim/live_play/live_play.ts";
import { StreamWindow } from "../../../sim/live_play/stream_window.ts";
import { replay } from "../../../sim/mod.ts";
import { slotOf } from "../../support/slots.ts";
import { handshake, packetOf } from "./captured_flow.ts";

/** Shows packets to a play, all of one flow. */
function show(play: LivePlay, flow: number, lines = handshake()): void {
  const arena = new Arena(1);
  lines.forEach((line, i) => {
    const slot = slotOf(arena, packetOf(line));
    play.see(arena, slot, micros(1_000_000 + i * 1_000));
    arena.release(slot);
    play.packet(flow);
  });
}

Deno.test("LivePlay plays what came before the verdict, and what comes after it", () => {
  const play = new LivePlay(1);
  play.started(7);
  show(play, 7);
  play.decided(7, "proxy");
  show(play, 7, [{ from: "client", flags: "PA", at: 0, ack: 0, data: "hello" }]);
  play.ended(7);
  assertEquals([play.resultOf(7)!.outcome, play.resultOf(7)!.bytesToServer], ["equal", 5]);
});

Deno.test("LivePlay leaves flows alone that no proxy carries, and those it never heard of", () => {
  const play = new LivePlay(1);
  play.started(1);
  play.decided(1, "direct");
  show(play, 1);
  show(play, 2);
  play.ended(1);
  play.ended(2);
  assertEquals([play.resultOf(1), play.resultOf(2)], [undefined, undefined]);
});

Deno.test("LivePlay says so when too many flows are open, or too many packets wait", () => {
  const play = new LivePlay(1);
  const last = LIVE_PLAY_FLOWS_MAX;
  for (let flow = 0; flow <= last; flow++) {
    play.started(flow);
    play.decided(flow, "proxy");
  }
  show(play, last);
  play.ended(last);
  assertEquals(play.resultOf(last)!.reason, "too many flows are open at once");
  play.started(last + 1);
  for (let i = 0; i <= LIVE_PLAY_WAITING_PACKETS_MAX / 3; i++) show(play, last + 1);
  play.ended(0);
  play.ended(1);
  play.decided(last + 1, "proxy");
  play.ended(last + 1);
  assertEquals(play.resultOf(last + 1)!.reason, "too many packets came before the verdict");
});

Deno.test("StreamWindow holds what was appended and not dropped", () => {
  const window = new StreamWindow();
  const all = Uint8Array.from({ length: 50_000 }, (_, i) => i * 7);
  for (let i = 0; i < all.length; i += 1_000) {
    window.append(all.subarray(i, i + 1_000));
    window.dropUntil(i - 3_000);
    assert(window.holds(window.start, all, window.start, window.length));
    assertEquals(window.from(window.end - 10), all.slice(i + 990, i + 1_000));
  }
  assertEquals([window.start, window.end], [46_000, 50_000]);
  assertEquals(window.holds(45_999, all, 45_999, 1), false);
  assertEquals(window.holds(49_999, all, 49_999, 2), false);
  assertEquals(window.holds(47_000, all, 0, 10), false);
  window.appendUnknown(5);
  assertEquals([...window.from(50_000)], [0, 0, 0, 0, 0]);
});

Deno.test("replay() plays proxied flows when the stack is asked for, and both reports tell", async () => {
  const request = {
    captures: ["test/captures/demo.pcapng"],
    config: "scripts/policies/demo.yaml",
    policy: "scripts/policies/demo.ts",
  };
  const plain = await replay(request);
  assert(plain.flows.every(({ play }) => play === undefined));
  const result = await replay({ ...request, stack: "netstack" });
  const played = result.flows.filter(({ play }) => play !== undefined);
  assert(played.length >= 5);
  for (const { play, verdict, upload, download } of played) {
    assertEquals(verdict, "proxy");
    assertEquals([play!.outcome, play!.bytesToServer, play!.bytesToClient], ["equal", upload, download]);
  }
  assertEquals(result.flows.map(({ play: _, ...rest }) => rest), plain.flows);
  const text = renderReplay(result, { columns: 120, color: false, explain: false });
  assert(
    text.includes(
      "played, all equal: 811 B up, 1.03 kB down compared, by socks5: 836 B up, 1.06 kB down on the wire\n",
    ),
    text,
  );
  assert(text.includes(`${played.length} flows for the stack: ${played.length} equal; `), text);
  assert(renderReport(result, { title: "demo" }).includes("played, all equal: 811 B up"));
});
