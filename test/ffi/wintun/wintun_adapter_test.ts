/** Every path of a session, with a library of numbers. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Arena, Direction, NO_SLOT } from "../../../core/adapter/arena.ts";
import { SLOT_BYTES, TUN_BATCH_PACKETS_MAX } from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import { WintunAdapter } from "../../../ffi/wintun/wintun_adapter.ts";
import { FakeKernel32 } from "../win32/fake_kernel32.ts";
import { FakeWintun } from "./fake_wintun.ts";

const NOW = micros(0);

function packet(length: number, version = 4): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i & 255);
  if (length > 0) bytes[0] = version << 4;
  return bytes;
}

function start(slots = 64) {
  const kernel = new FakeKernel32();
  const wintun = new FakeWintun(kernel);
  const session = wintun.calls.WintunStartSession(1n, 0x20000);
  let released = 0;
  const adapter = new WintunAdapter({
    wintun: wintun.calls,
    kernel32: kernel.calls,
    session,
    name: "weir0",
    mtu: 1400,
    onReleased: () => released++,
  });
  const end = () => {
    adapter.close();
    assertEquals([wintun.mistakes, kernel.mistakes, wintun.out.size], [[], [], 0]);
    assertEquals([wintun.sessions.size, released, kernel.handles.size], [0, 1, 0]);
  };
  return { kernel, wintun, adapter, arena: new Arena(slots), end, released: () => released };
}

Deno.test("WintunAdapter.receive() copies packets in order and gives them back at once", () => {
  const { wintun, adapter, arena, end } = start();
  wintun.arrive(packet(20), packet(1400), packet(0xffff, 6));
  assertEquals(adapter.receive(arena, NOW), 3);
  assertEquals(wintun.out.size, 0);
  for (const [length, version] of [[20, 4], [1400, 4], [0xffff, 6]] as const) {
    const slot = arena.take();
    assertEquals(arena.length[slot], length);
    assertEquals(arena.direction[slot], Direction.Outbound);
    assertEquals(arena.bytes.slice(arena.at(slot), arena.at(slot) + length), packet(length, version));
    arena.release(slot);
  }
  assertEquals(adapter.receive(arena, NOW), 0);
  assertEquals(adapter.counts.received, 3);
  end();
});

Deno.test("WintunAdapter.receive() stops at its batch and before the last slots, and looks again soon", async () => {
  const { wintun, adapter, arena, kernel, end } = start(16);
  wintun.arrive(...Array.from({ length: 20 }, () => packet(40)));
  assertEquals(adapter.receive(arena, NOW), 14);
  // The event came for the first packets only; a wait without an end would miss the others.
  kernel.handles.get(wintun.readEvent)!.isSet = false;
  await adapter.ready();
  for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) arena.release(slot);
  assertEquals(adapter.receive(arena, NOW), 6);
  end();
  const large = start(4096);
  large.wintun.arrive(...Array.from({ length: TUN_BATCH_PACKETS_MAX + 1 }, () => packet(40)));
  assertEquals(large.adapter.receive(large.arena, NOW), TUN_BATCH_PACKETS_MAX);
  assertEquals(large.adapter.receive(large.arena, NOW), 1);
  large.end();
});

Deno.test("WintunAdapter.receive() gives a packet back that no slot holds", () => {
  const { wintun, adapter, arena, end } = start();
  wintun.arrive(packet(SLOT_BYTES + 1), packet(0), packet(60));
  assertEquals(adapter.receive(arena, NOW), 1);
  assertEquals([adapter.counts.unfit, arena.length[arena.take()]], [2, 60]);
  end();
});

Deno.test("WintunAdapter.send() copies once, and counts what it does not send", () => {
  const { wintun, adapter, arena, end } = start();
  const send = (bytes: Uint8Array, length = bytes.length): boolean => {
    const slot = arena.acquire();
    arena.bytes.set(bytes, arena.at(slot));
    arena.length[slot] = length;
    const isSent = adapter.send(arena, slot, NOW);
    arena.release(slot);
    return isSent;
  };
  assert(send(packet(20)));
  assert(send(packet(40, 6)));
  assert(send(packet(0xffff)));
  assertEquals(wintun.sent.map((each) => each.length), [20, 40, 0xffff]);
  assertEquals(wintun.sent[1], packet(40, 6));
  for (const bytes of [packet(19), packet(39, 6), packet(60, 5), packet(60, 0), packet(0)]) assert(!send(bytes));
  assert(!send(packet(60), 0x1_0000));
  assertEquals([adapter.counts.sent, adapter.counts.refused, adapter.counts.full], [3, 6, 0]);
  wintun.allocateCode = 111;
  assert(!send(packet(60)));
  wintun.allocateCode = 0;
  assert(send(packet(60)));
  assertEquals([adapter.counts.sent, adapter.counts.refused, adapter.counts.full], [4, 6, 1]);
  end();
});

Deno.test("WintunAdapter.ready() resolves when packets come to an empty ring", async () => {
  const { wintun, adapter, arena, end } = start();
  assertEquals(adapter.receive(arena, NOW), 0);
  const waiting = adapter.ready();
  assert(waiting === adapter.ready());
  wintun.arrive(packet(40));
  await waiting;
  assertEquals(adapter.receive(arena, NOW), 1);
  end();
});

Deno.test("WintunAdapter.ready() rejects in words once the session ends, whoever hears of it first", async (context) => {
  for (
    const [code, words] of [
      [38, "Cannot read from weir0: the adapter is gone: it was removed or disabled"],
      [13, "Cannot read from weir0: the data are damaged; another program wrote into them"],
      [6, "Cannot read from weir0: its handle is closed or was never valid (error 6)"],
    ] as const
  ) {
    await context.step(`receiving says ${code}`, async () => {
      const { wintun, adapter, arena, end } = start();
      wintun.receiveCode = code;
      assertEquals(adapter.receive(arena, NOW), 0);
      await assertRejects(() => adapter.ready(), Error, words);
      wintun.receiveCode = 0;
      wintun.arrive(packet(40));
      // A session that is lost is not asked again.
      assertEquals(adapter.receive(arena, NOW), 0);
      end();
    });
  }
  await context.step("sending says 38", async () => {
    const { wintun, adapter, arena, end } = start();
    wintun.allocateCode = 38;
    const slot = arena.acquire();
    arena.view.setUint8(arena.at(slot), 0x45);
    arena.length[slot] = 40;
    assert(!adapter.send(arena, slot, NOW));
    assertEquals(adapter.counts.full, 0);
    await assertRejects(() => adapter.ready(), Error, "the adapter is gone");
    end();
  });
  await context.step("while somebody waits", async () => {
    const { wintun, adapter, arena, kernel, end } = start();
    adapter.receive(arena, NOW);
    const waiting = adapter.ready();
    wintun.receiveCode = 38;
    kernel.set(wintun.readEvent);
    await waiting;
    adapter.receive(arena, NOW);
    await assertRejects(() => adapter.ready(), Error, "the adapter is gone");
    end();
  });
});

Deno.test("WintunAdapter.close() ends the session at once, and the handles when nobody waits on them", async () => {
  const { wintun, adapter, arena, kernel, released, end } = start();
  adapter.receive(arena, NOW);
  const waiting = adapter.ready();
  adapter.close();
  assertEquals([wintun.sessions.size, released()], [0, 0]);
  assertEquals(kernel.handles.size, 2);
  await assertRejects(() => waiting, Error, "the device is closed");
  assertEquals(adapter.receive(arena, NOW), 0);
  const slot = arena.acquire();
  arena.view.setUint8(arena.at(slot), 0x45);
  arena.length[slot] = 40;
  assert(!adapter.send(arena, slot, NOW));
  await assertRejects(() => adapter.ready(), Error, "the device is closed");
  end();
});

Deno.test("WintunAdapter leaves no handle when an event cannot be made", () => {
  for (const failing of ["DuplicateHandle", "CreateEventW"] as const) {
    const kernel = new FakeKernel32();
    const wintun = new FakeWintun(kernel);
    const session = wintun.calls.WintunStartSession(1n, 0x20000);
    const kernel32 = { ...kernel.calls, [failing]: () => failing === "CreateEventW" ? 0n : 0 };
    kernel.fail(8);
    const options = { wintun: wintun.calls, kernel32, session, name: "weir0", mtu: 1400, onReleased: () => {} };
    assertThrows(() => new WintunAdapter(options), Error, "Windows has no memory left for it (error 8)");
    wintun.calls.WintunEndSession(session);
    assertEquals([kernel.handles.size, kernel.mistakes], [0, []]);
  }
});
