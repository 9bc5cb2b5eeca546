import { assertEquals } from "@std/assert";
import { LossSense } from "../../core/act/program_loss.ts";
import { Arena } from "../../core/adapter/arena.ts";
import { PROGRAM_LOSS_QUIET_US, PROGRAM_LOSS_WINDOW_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { be32, tcpPacket, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

const LOCAL = "192.0.2.1";
const REMOTE = "198.51.100.2";

/** A sense that is shown packets; the answer is whether the remote host counts as lossy. */
class Bench {
  readonly sense = new LossSense();
  readonly arena = new Arena(1);
  now = 0;

  show(packet: Uint8Array, isOutbound: boolean): boolean {
    const slot = slotOf(this.arena, packet);
    const isLossy = this.sense.sense(this.arena, slot, isOutbound, micros(this.now));
    this.arena.release(slot);
    return isLossy;
  }

  sent(
    sequence: number,
    length = 100,
    choices: { flags?: string; remote?: string; sourcePort?: number } = {},
  ): boolean {
    const { flags = "PA", remote = REMOTE, sourcePort = 50_000 } = choices;
    const payload = new Array<number>(length).fill(1);
    return this.show(tcpPacket({ source: LOCAL, destination: remote, sourcePort, sequence, flags, payload }), true);
  }

  heard(acknowledgment: number, blocks: readonly number[] = []): boolean {
    const sack = [5, 2 + 4 * blocks.length, ...blocks.flatMap(be32)];
    const tcpOptions = blocks.length === 0 ? [] : [1, 1, ...sack];
    const way = { source: REMOTE, destination: LOCAL, sourcePort: 443, destinationPort: 50_000 };
    return this.show(tcpPacket({ ...way, flags: "A", acknowledgment, tcpOptions }), false);
  }
}

Deno.test("LossSense.sense() takes a range that is sent again for loss, and nothing else that is sent", () => {
  const bench = new Bench();
  assertEquals(bench.sent(999, 0, { flags: "S" }), false);
  assertEquals([bench.sent(1000), bench.sent(1100), bench.sent(1200)], [false, false, false]);
  assertEquals(bench.sent(1300, 0, { flags: "A" }), false, "an acknowledgment repeats no byte");
  assertEquals(bench.sent(1299, 1, { flags: "A" }), false, "a keep-alive repeats the last byte");
  assertEquals(bench.sent(1100), true);
});

Deno.test("LossSense.sense() knows a SYN that is sent again, and a new connection on the same ports", () => {
  const again = new Bench();
  assertEquals([again.sent(5, 0, { flags: "S" }), again.sent(5, 0, { flags: "S" })], [false, true]);
  const anew = new Bench();
  anew.sent(5, 0, { flags: "S" });
  anew.sent(6);
  assertEquals(anew.sent(3, 0, { flags: "S" }), false);
});

Deno.test("LossSense.sense() understands sequence numbers that wrap", () => {
  const bench = new Bench();
  bench.sent(0xffff_ffb0, 0x60);
  assertEquals(bench.sent(0x10), false);
  assertEquals(bench.sent(0xffff_ffb0, 0x60), true);
});

Deno.test("LossSense.sense() counts each hole once, and a duplicate's report not at all", () => {
  const bench = new Bench();
  bench.sent(1000, 1000);
  assertEquals(bench.heard(1000, [1200, 1300]), false, "one hole may be reordering");
  assertEquals(bench.heard(1000, [1200, 1400]), false, "the same hole");
  assertEquals(bench.heard(1000), false, "a duplicate acknowledgment alone");
  assertEquals(bench.heard(1400, [1000, 1100]), false, "DSACK: below the acknowledgment number");
  assertEquals(bench.heard(1400, [1500, 1600]), true, "a second hole");
});

Deno.test("LossSense.sense() forgets after quiet time, and signs that are far apart", () => {
  const bench = new Bench();
  bench.sent(1000, 1000);
  bench.sent(1000, 1000);
  bench.now = PROGRAM_LOSS_QUIET_US - 1;
  assertEquals(bench.sent(2000), true);
  bench.now = PROGRAM_LOSS_QUIET_US;
  assertEquals(bench.sent(2100), false);
  bench.heard(1000, [1200, 1300]);
  bench.now += PROGRAM_LOSS_WINDOW_US + 1;
  assertEquals(bench.heard(1400, [1500, 1600]), false);
});

Deno.test("LossSense.sense() goes by host: other flows to it profit, other hosts do not", () => {
  const bench = new Bench();
  bench.sent(1000);
  bench.sent(1000);
  assertEquals(bench.sent(7, 10, { sourcePort: 50_001 }), true);
  const datagram = (destination: string) => udpPacket({ source: LOCAL, destination, payload: "x" });
  assertEquals(bench.show(datagram(REMOTE), true), true);
  assertEquals(bench.show(datagram("198.51.100.3"), true), false);
  assertEquals(bench.sent(7, 10, { remote: "198.51.100.3" }), false);
});

Deno.test("LossSense.sense() says nothing of what is no packet", () => {
  const bench = new Bench();
  assertEquals(bench.show(new Uint8Array([1, 2, 3]), true), false);
  assertEquals(bench.show(new Uint8Array(60).fill(0x45), true), false);
});
