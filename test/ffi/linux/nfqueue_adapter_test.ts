/** What the adapter tells the kernel, which is a script here. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Arena, Direction, NO_SLOT, type Slot } from "../../../core/adapter/arena.ts";
import { NFQUEUE_MESSAGE_BYTES, NFQUEUE_MESSAGES_PER_CALL } from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import { compileFilter } from "../../../core/filter/compile.ts";
import * as udp from "../../../core/wire/udp.ts";
import * as layout from "../../../ffi/linux/layout.ts";
import { Libc } from "../../../ffi/linux/libc.ts";
import { MARK_BASE, NfqueueAdapter, type PacketQueue, type PacketSender } from "../../../ffi/linux/nfqueue_adapter.ts";
import { CHANGED_VERDICT_HEADERS } from "../../../ffi/linux/nfqueue_message.ts";
import { transportChecksum, udpPacket } from "./packets.ts";

const NOW = micros(0);
const { NF_DROP, NF_INET_LOCAL_IN: IN, NF_INET_LOCAL_OUT: OUT } = layout;

/** A kernel that hands out messages from a list and keeps the verdicts. */
class Kernel implements PacketQueue, PacketSender {
  readonly queue = 7;
  readonly descriptor = { number: 1000, close: () => void (this.descriptor.number = -1) };
  readonly bytes = new Uint8Array(NFQUEUE_MESSAGES_PER_CALL * NFQUEUE_MESSAGE_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  linkDevice = 0;
  isFull = false;
  /** Shape: "accept 5", "accept up to 7", "drop 6", "change 8". */
  verdicts: string[] = [];
  calls = 0;
  changed: Uint8Array | undefined;
  readonly made: Uint8Array[] = [];
  readonly #waiting: Uint8Array[] = [];
  readonly #lengths = new Int32Array(NFQUEUE_MESSAGES_PER_CALL);

  packet(id: number, hook: number, packet: Uint8Array, device = 5, wireLength = 0, mark = 0): void {
    const isOut = hook === OUT;
    const message = new Uint8Array(20 + 12 + 8 + (wireLength === 0 ? 0 : 8) + (mark === 0 ? 0 : 8) + 4 + packet.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, message.length, true);
    view.setUint16(4, layout.NFNL_SUBSYS_QUEUE << 8, true);
    let at = 20;
    const add = (type: number, bytes: number) => {
      view.setUint16(at, 4 + bytes, true);
      view.setUint16(at + 2, type, true);
      at += 4 + ((bytes + 3) & ~3);
      return at - ((bytes + 3) & ~3);
    };
    const header = add(layout.NFQA_PACKET_HDR, 7);
    view.setUint32(header, id);
    view.setUint8(header + 6, hook);
    view.setUint32(add(isOut ? layout.NFQA_IFINDEX_OUTDEV : layout.NFQA_IFINDEX_INDEV, 4), device);
    if (wireLength !== 0) view.setUint32(add(layout.NFQA_CAP_LEN, 4), wireLength);
    if (mark !== 0) view.setUint32(add(layout.NFQA_MARK, 4), mark);
    view.setUint16(at, 4 + packet.length, true);
    view.setUint16(at + 2, layout.NFQA_PAYLOAD, true);
    message.set(packet, at + 4);
    this.#waiting.push(message);
  }

  receive(count: number): number {
    let taken = 0;
    for (; taken < Math.min(count, NFQUEUE_MESSAGES_PER_CALL) && this.#waiting.length > 0; taken++) {
      const message = this.#waiting.shift()!;
      this.bytes.set(message, taken * NFQUEUE_MESSAGE_BYTES);
      this.#lengths[taken] = message.length;
    }
    return taken === 0 ? -1 : taken;
  }

  lengthOf(index: number): number {
    return this.#lengths[index]!;
  }

  // Both interfaces have a `send`: verdicts have bytes first, packets have an arena.
  send(first: Uint8Array<ArrayBuffer> | Arena, second: number): boolean {
    if (first instanceof Arena) {
      if (this.isFull) return false;
      this.made.push(first.bytes.slice(first.at(second), first.at(second) + first.length[second]!));
      return true;
    }
    this.calls++;
    const view = new DataView(first.buffer, 0, second);
    for (let at = 0; at < second; at += view.getUint32(at, true)) {
      const isRun = (view.getUint16(at + 4, true) & 255) === layout.NFQNL_MSG_VERDICT_BATCH;
      const isChange = view.getUint32(at, true) > 32;
      const word = isChange ? "change" : view.getUint32(at + 24) === NF_DROP ? "drop" : "accept";
      this.verdicts.push(`${word}${isRun ? " up to" : ""} ${view.getUint32(at + 28)}`);
      if (isChange) {
        this.changed = first.slice(CHANGED_VERDICT_HEADERS, 32 + view.getUint16(at + 32, true));
      }
    }
    return true;
  }

  close(): void {}

  takeVerdicts(): string[] {
    const { verdicts } = this;
    this.verdicts = [];
    return verdicts;
  }
}

interface Bench {
  readonly kernel: Kernel;
  readonly adapter: NfqueueAdapter;
  readonly arena: Arena;
  /** Receives, and answers with the slots that arrived. */
  slots(): Slot[];
}

function queueTest(name: string, body: (bench: Bench) => void | Promise<void>, filter = "true", slotCount = 16): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      using libc = Libc.open();
      const kernel = new Kernel();
      using adapter = new NfqueueAdapter(libc, kernel, kernel, compileFilter(filter), 1500);
      const arena = new Arena(slotCount);
      const slots = () => {
        adapter.receive(arena, NOW);
        const found: Slot[] = [];
        for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) found.push(slot);
        return found;
      };
      await body({ kernel, adapter, arena, slots });
    },
  });
}

function datagram(port = 53): Uint8Array {
  const packet = udpPacket(4, new Uint8Array(20).fill(7));
  new DataView(packet.buffer).setUint16(22, port);
  return packet;
}

queueTest("receive() tells ways and bytes, and what goes back as it was is accepted in one run", (bench) => {
  const { kernel, adapter, arena, slots } = bench;
  kernel.packet(1, OUT, datagram());
  kernel.packet(2, IN, datagram());
  const [out, inside] = slots() as [Slot, Slot];
  assertEquals([arena.direction[out], arena.direction[inside]], [Direction.Outbound, Direction.Inbound]);
  assertEquals(arena.bytes.slice(arena.at(out), arena.at(out) + arena.length[out]!), datagram());
  assertEquals(kernel.takeVerdicts(), []);
  for (const slot of [out, inside]) {
    assert(adapter.send(arena, slot, NOW));
    arena.release(slot);
  }
  assertEquals(slots(), []);
  assertEquals(kernel.takeVerdicts(), ["accept up to 2"]);
  assertEquals([adapter.counts.accepted, adapter.counts.dropped, kernel.made.length], [2, 0, 0]);
});

queueTest(
  "release() drops what was not sent, and then each packet gets its own verdict",
  ({ kernel, adapter, arena, slots }) => {
    for (const id of [1, 2, 3]) kernel.packet(id, OUT, datagram());
    const [a, b, c] = slots() as [Slot, Slot, Slot];
    adapter.send(arena, a, NOW);
    arena.release(a);
    arena.release(b);
    slots();
    // The third one waits still, so that no run may pass it.
    assertEquals(kernel.takeVerdicts(), ["accept 1", "drop 2"]);
    adapter.send(arena, c, NOW);
    slots();
    assertEquals(kernel.takeVerdicts(), ["accept 3"]);
  },
);

queueTest(
  "send() sends verdicts when the turn is over although nobody receives",
  async ({ kernel, adapter, arena, slots }) => {
    kernel.packet(1, OUT, datagram());
    const [slot] = slots() as [Slot];
    adapter.send(arena, slot, NOW);
    assertEquals(kernel.verdicts, []);
    await Promise.resolve();
    assertEquals(kernel.takeVerdicts(), ["accept 1"]);
  },
);

queueTest(
  "send() gives the kernel new bytes with right checksums when a packet was changed",
  ({ kernel, adapter, arena, slots }) => {
    kernel.packet(1, OUT, datagram());
    kernel.packet(2, OUT, datagram());
    const [first, second] = slots() as [Slot, Slot];
    adapter.send(arena, first, NOW);
    arena.bytes[arena.at(second) + 19] = 99;
    arena.changed[second] = 1;
    assert(adapter.send(arena, second, NOW));
    assertEquals(kernel.takeVerdicts(), ["accept 1", "change 2"]);
    const changed = kernel.changed!;
    assertEquals([changed.length, changed[19]], [datagram().length, 99]);
    assertEquals(new DataView(changed.buffer).getUint16(26), transportChecksum(zeroed(changed), 4, udp.PROTOCOL));
    arena.release(second);
    slots();
    assertEquals(kernel.takeVerdicts(), []);
  },
);

/** A datagram without its checksum. */
function zeroed(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  new DataView(copy.buffer).setUint16(26, 0);
  return copy;
}

queueTest(
  "send() makes packets of duplicates, of what turned round and of what has no tag",
  ({ kernel, adapter, arena, slots }) => {
    kernel.packet(1, OUT, datagram());
    kernel.packet(2, OUT, datagram());
    const [twice, turned] = slots() as [Slot, Slot];
    assert(adapter.send(arena, twice, NOW) && adapter.send(arena, twice, NOW));
    arena.direction[turned] = Direction.Inbound;
    assert(adapter.send(arena, turned, NOW));
    const own = arena.acquire();
    arena.bytes.set(datagram(), arena.at(own));
    arena.length[own] = datagram().length;
    assert(adapter.send(arena, own, NOW));
    for (const slot of [twice, turned, own]) arena.release(slot);
    slots();
    assertEquals(kernel.takeVerdicts(), ["accept 1", "drop 2"]);
    assertEquals([kernel.made.length, adapter.counts.made], [3, 3]);
    kernel.isFull = true;
    const refused = arena.acquire();
    arena.length[refused] = 28;
    assertEquals(adapter.send(arena, refused, NOW), false);
    assertEquals(adapter.counts.refused, 1);
  },
);

queueTest("receive() lets pass at once what the filter leaves out, and what is cut", ({ kernel, adapter, slots }) => {
  kernel.packet(1, OUT, datagram(1));
  kernel.packet(2, OUT, datagram(2));
  kernel.packet(3, IN, datagram(2));
  kernel.packet(4, OUT, datagram(2), 5, 70_000);
  assertEquals(slots().length, 1);
  assertEquals(kernel.takeVerdicts(), ["accept 1", "accept 3", "accept 4"]);
  assertEquals([adapter.counts.received, adapter.counts.unmatched, adapter.counts.cut], [4, 2, 1]);
}, "outbound and udp.DstPort == 2");

queueTest("receive() tells the filter of the loopback", ({ kernel, slots }) => {
  kernel.packet(1, OUT, datagram(), 1);
  kernel.packet(2, OUT, datagram(), 2);
  assertEquals(slots().length, 1);
  assertEquals(kernel.takeVerdicts(), ["accept 2"]);
}, "loopback");

queueTest("receive() tells the filter of what another weir has made", ({ kernel, slots }) => {
  kernel.packet(1, OUT, datagram(), 5, 0, MARK_BASE + 7171);
  kernel.packet(2, OUT, datagram(), 5, 0, 1);
  kernel.packet(3, OUT, datagram());
  assertEquals(slots().length, 2);
  assertEquals(kernel.takeVerdicts(), ["accept 1"]);
}, "ip and !impostor");

queueTest("receive() leaves packets in the kernel while there are no slots", ({ kernel, adapter, arena, slots }) => {
  for (let id = 0; id < 30; id++) kernel.packet(id, OUT, datagram());
  const held = slots();
  // An eighth stays free for answers.
  assertEquals([held.length, arena.freeCount], [14, 2]);
  for (const slot of held) {
    adapter.send(arena, slot, NOW);
    arena.release(slot);
  }
  const rest = [...slots()];
  assertEquals(rest.length, 14);
  assertEquals(kernel.takeVerdicts(), ["accept up to 13"]);
});

queueTest("capabilities name no packet that the kernel would cut", ({ kernel, adapter }) => {
  assertEquals([adapter.capabilities.kind, adapter.capabilities.mtu], ["divert", 1500]);
  using libc = Libc.open();
  using large = new NfqueueAdapter(libc, kernel, kernel, compileFilter("true"), 65_535);
  assertEquals(large.capabilities.mtu, 65_531);
});

queueTest("close() lets everything pass that waits, and ready() rejects", async ({ kernel, adapter, arena, slots }) => {
  kernel.packet(40, OUT, datagram());
  const [slot] = slots() as [Slot];
  const waiting = adapter.ready();
  adapter.close();
  assertEquals(kernel.takeVerdicts(), [`accept up to ${40 + 0x3fff_ffff}`]);
  await assertRejects(() => waiting, Error, "the queue is closed");
  arena.release(slot);
  assertEquals([kernel.takeVerdicts(), kernel.descriptor.number], [[], -1]);
});
