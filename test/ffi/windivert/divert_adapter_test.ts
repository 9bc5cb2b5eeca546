import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { Arena, Direction, NO_SLOT, NO_TAG, type Slot } from "../../../core/adapter/arena.ts";
import {
  DIVERT_BATCH_PACKETS_MAX,
  DIVERT_EVENT_REQUEST_COUNT,
  DIVERT_SEND_BUFFER_COUNT,
} from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import type { DeviceSettings } from "../../../core/host/live_device.ts";
import { parseIp } from "../../../core/base/ip_address.ts";
import { type EndpointEvent, writeEndpointEvent } from "../../../ffi/windivert/address.ts";
import { AddressBit, CHECKSUM_BITS, DivertEvent, Layer } from "../../../ffi/windivert/layout.ts";
import { openDivertDevice } from "../../../ffi/windivert/open.ts";
import { WinCode } from "../../../ffi/win32/win_error.ts";
import { tcpPacket, udpPacket } from "../../support/packets.ts";
import { FakeDriver, packetAddress } from "./fake_driver.ts";

const NOW = micros(1_000_000);
const SETTINGS: DeviceSettings = {
  name: "weir0",
  addresses: [],
  mtu: 1500,
  routes: [],
  sources: [],
  offload: true,
  namespace: undefined,
  divert: { filter: "ip or ipv6", priority: 7 },
};

function open(driver = new FakeDriver(), slotCount?: number) {
  const device = openDivertDevice(driver.calls, SETTINGS);
  return { driver, adapter: device.adapter, processes: device.processes, arena: new Arena(slotCount) };
}

type World = ReturnType<typeof open>;

/** A numbered packet, of one machine unless told otherwise. */
function packet(number: number, payload = 10): Uint8Array<ArrayBuffer> {
  return udpPacket({
    source: "192.0.2.1",
    destination: "198.51.100.2",
    id: number,
    sourcePort: 40_000,
    payload: new Array(payload).fill(number & 255),
  });
}

/** The event that process 77 binds a socket. */
function endpointBytes(): Uint8Array {
  const bytes = new Uint8Array(80);
  writeEndpointEvent(new DataView(bytes.buffer), 0, BIND_EVENT);
  return bytes;
}

const BIND_EVENT: EndpointEvent = {
  event: DivertEvent.SocketBind,
  endpointId: 1n,
  parentEndpointId: 0n,
  processId: 77,
  localIp: parseIp("0.0.0.0")!,
  localPort: 5353,
  remoteIp: parseIp("0.0.0.0")!,
  remotePort: 0,
  protocol: 17,
};

function takeAll(world: World): Slot[] {
  const slots: Slot[] = [];
  for (let slot = world.arena.take(); slot !== NO_SLOT; slot = world.arena.take()) slots.push(slot);
  return slots;
}

function bytesOf({ arena }: World, slot: Slot): Uint8Array {
  const at = arena.at(slot);
  return arena.bytes.slice(at, at + arena.length[slot]!);
}

function fill({ arena }: World, bytes: Uint8Array, direction: Direction): Slot {
  const slot = arena.acquire();
  arena.bytes.set(bytes, arena.at(slot));
  arena.length[slot] = bytes.length;
  arena.direction[slot] = direction;
  return slot;
}

function close(world: World): void {
  world.adapter.close();
  assertEquals(world.driver.misuses, []);
  assertEquals(world.driver.handles.size, 0);
  assertEquals(world.driver.events.size, 0);
}

function sentBits(world: World): number[] {
  return world.driver.sent.map(({ address }) => address[10]!);
}

Deno.test("openDivertDevice() opens SOCKET and FLOW before NETWORK, with the longest queues", () => {
  const world = open();
  const handles = [...world.driver.handles.values()];
  assertEquals(handles.map(({ layer }) => layer), [Layer.Socket, Layer.Flow, Layer.Network]);
  assertEquals(handles.map(({ flags }) => flags), [5, 5, 0]);
  assertEquals(handles[2]!.priority, 7);
  for (const { params } of handles) assertEquals([...params], [[0, 16_384], [1, 2_000], [2, 33_554_432]]);
  close(world);
});

Deno.test("openDivertDevice() leaves nothing open when one of the handles fails, and says what to do", () => {
  for (const layer of [Layer.Socket, Layer.Flow, Layer.Network]) {
    for (const asFalse of [true, false]) {
      const driver = new FakeDriver();
      driver.openFails = { code: WinCode.AccessDenied, layer, asFalse };
      let message = "";
      try {
        open(driver);
      } catch (error) {
        message = (error as Error).message;
      }
      assert(message.includes("run weir as administrator (error 5)"), message);
      assertEquals([driver.handles.size, driver.events.size, driver.misuses], [0, 0, []]);
    }
  }
});

Deno.test("DivertAdapter splits a batch into slots in order, with direction and tag", () => {
  const world = open();
  world.driver.isDeferred = true;
  const packets = Array.from({ length: 600 }, (_, i) => packet(i, i % 7 * 100));
  for (const [i, bytes] of packets.entries()) {
    world.driver.arrive(bytes, packetAddress({ bits: i % 2 === 0 ? AddressBit.Outbound : 0 }));
  }
  world.driver.complete();
  const seen: Uint8Array[] = [];
  for (let i = 0; i < 10; i++) {
    assert(world.adapter.receive(world.arena, NOW) <= DIVERT_BATCH_PACKETS_MAX);
    for (const slot of takeAll(world)) {
      const isEven = (bytesOf(world, slot)[5]! & 1) === 0;
      assertEquals(world.arena.direction[slot], isEven ? Direction.Outbound : Direction.Inbound);
      assert(world.arena.tag[slot]! >= 0);
      seen.push(bytesOf(world, slot));
      world.arena.release(slot);
    }
    world.driver.complete();
  }
  assertEquals(seen, packets);
  assertEquals(Math.max(...world.driver.readBatches), DIVERT_BATCH_PACKETS_MAX);
  close(world);
});

Deno.test("DivertAdapter gives unchanged packets back byte for byte under their own address", async () => {
  const world = open();
  const bits = AddressBit.Outbound | AddressBit.Impostor | AddressBit.IpChecksum;
  const given = Array.from({ length: 300 }, (_, i) => ({
    bytes: packet(i, i * 3),
    address: packetAddress({ bits, ifIdx: 3 + i % 5, subIfIdx: i, timestamp: BigInt(i) }),
  }));
  for (const { bytes, address } of given) world.driver.arrive(bytes, address);
  for (let turn = 0; turn < 500 && world.driver.sent.length < given.length; turn++) {
    world.adapter.receive(world.arena, NOW);
    for (const slot of takeAll(world)) {
      assert(world.adapter.send(world.arena, slot, NOW));
      assertEquals(world.arena.tag[slot], NO_TAG);
      world.arena.release(slot);
    }
    await Promise.resolve();
  }
  assertEquals(world.driver.sent, given);
  assertEquals(world.adapter.counts.returned, 300);
  close(world);
});

Deno.test("DivertAdapter clears the checksums' bits of a changed packet, and only these", async () => {
  const world = open();
  const bits = AddressBit.Outbound | AddressBit.Loopback | CHECKSUM_BITS;
  world.driver.arrive(packet(1), packetAddress({ bits }));
  world.adapter.receive(world.arena, NOW);
  const slot = world.arena.take();
  world.arena.changed[slot] = 1;
  world.adapter.send(world.arena, slot, NOW);
  await Promise.resolve();
  assertEquals(sentBits(world), [AddressBit.Outbound | AddressBit.Loopback]);
  close(world);
});

Deno.test("DivertAdapter.send() gives a tag's address once, and never to a later packet of the slot", async () => {
  const world = open();
  const bits = AddressBit.Outbound | AddressBit.Impostor;
  world.driver.arrive(packet(1), packetAddress({ bits, ifIdx: 9 }));
  world.adapter.receive(world.arena, NOW);
  const slot = world.arena.take();
  const tag = world.arena.tag[slot]!;
  world.adapter.send(world.arena, slot, NOW);
  world.arena.tag[slot] = tag;
  world.adapter.send(world.arena, slot, NOW);
  await Promise.resolve();
  assertEquals(sentBits(world), [bits, AddressBit.Outbound]);
  assertEquals(world.adapter.counts.made, 1);
  close(world);
});

Deno.test("DivertAdapter finds the interface of packets that are made", async () => {
  const table: [
    name: string,
    version: 4 | 6,
    direction: Direction,
    from: string,
    to: string,
    bits: number,
    ifIdx: number,
  ][] = [
    ["in to a known address", 4, Direction.Inbound, "198.51.100.2", "192.0.2.1", 0, 5],
    ["in to another one", 4, Direction.Inbound, "198.51.100.2", "192.0.2.9", 0, 6],
    ["in to an unknown one: the interface seen last", 4, Direction.Inbound, "198.51.100.2", "192.0.2.77", 0, 6],
    ["out", 4, Direction.Outbound, "192.0.2.1", "198.51.100.2", AddressBit.Outbound, 5],
    ["in over IPv6", 6, Direction.Inbound, "2001:db8:0:0:0:0:0:2", "2001:db8:0:0:0:0:0:1", AddressBit.Ipv6, 8],
    ["in to loopback", 4, Direction.Inbound, "127.0.0.1", "127.0.0.1", AddressBit.Outbound | AddressBit.Loopback, 1],
    [
      "between own addresses",
      4,
      Direction.Inbound,
      "192.0.2.9",
      "192.0.2.1",
      AddressBit.Outbound | AddressBit.Loopback,
      5,
    ],
    ["to a group", 4, Direction.Outbound, "192.0.2.1", "239.1.1.1", AddressBit.Outbound, 5],
  ];
  const world = open();
  const learn = (source: string, destination: string, bits: number, ifIdx: number) =>
    world.driver.arrive(udpPacket({ source, destination }), packetAddress({ bits, ifIdx }));
  learn("127.0.0.1", "127.0.0.1", AddressBit.Outbound | AddressBit.Loopback, 1);
  learn("192.0.2.1", "198.51.100.2", AddressBit.Outbound, 5);
  learn("192.0.2.1", "239.1.1.1", AddressBit.Outbound, 5);
  learn("198.51.100.2", "239.1.1.1", 0, 5);
  learn("192.0.2.9", "198.51.100.2", AddressBit.Outbound, 6);
  learn("2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:2", AddressBit.Outbound | AddressBit.Ipv6, 8);
  for (let i = 0; i < 6; i++) world.adapter.receive(world.arena, NOW);
  assertEquals(takeAll(world).length, 6);
  for (const [name, , direction, source, destination, bits, ifIdx] of table) {
    world.driver.sent.length = 0;
    assert(world.adapter.send(world.arena, fill(world, tcpPacket({ source, destination }), direction), NOW), name);
    await Promise.resolve();
    const { address } = world.driver.sent[0]!;
    assertEquals([address[10], address[16]], [bits, ifIdx], name);
  }
  close(world);
});

Deno.test("DivertAdapter.send() refuses what has no interface, no IP header, or more length than bytes", () => {
  const world = open();
  const send = (bytes: Uint8Array, direction: Direction) =>
    world.adapter.send(world.arena, fill(world, bytes, direction), NOW);
  assertEquals(send(packet(1), Direction.Inbound), false);
  assertEquals(send(new Uint8Array(30), Direction.Outbound), false);
  assertEquals(send(packet(1).slice(0, 30), Direction.Outbound), false);
  assertEquals(send(packet(1), Direction.Outbound), true);
  const { refused, unrouted, made } = world.adapter.counts;
  assertEquals({ refused, unrouted, made }, { refused: 2, unrouted: 1, made: 1 });
  close(world);
});

Deno.test("DivertAdapter sends in full batches, and what is left when the turn ends", async () => {
  const world = open();
  for (let i = 0; i < 600; i++) {
    const slot = fill(world, packet(i), Direction.Outbound);
    assert(world.adapter.send(world.arena, slot, NOW));
    world.arena.release(slot);
  }
  assertEquals(world.driver.sendBatches, [255, 255]);
  await Promise.resolve();
  assertEquals(world.driver.sendBatches, [255, 255, 90]);
  assertEquals(
    world.driver.sent.map(({ bytes }) => (bytes[4]! << 8) | bytes[5]!),
    Array.from({ length: 600 }, (_, i) => i),
  );
  close(world);
});

Deno.test("DivertAdapter.send() says when every buffer is the driver's, and goes on when one comes back", () => {
  const world = open();
  world.driver.isStuck = true;
  const send = (number: number) => {
    const slot = fill(world, packet(number), Direction.Outbound);
    const isSent = world.adapter.send(world.arena, slot, NOW);
    world.arena.release(slot);
    return isSent;
  };
  const room = DIVERT_SEND_BUFFER_COUNT * DIVERT_BATCH_PACKETS_MAX;
  for (let i = 0; i < room; i++) assert(send(i));
  assertEquals(send(room), false);
  assertEquals(world.adapter.counts.refused, 1);
  world.driver.isStuck = false;
  world.driver.complete();
  assert(send(room));
  close(world);
  assertEquals(world.driver.sent.length, room + 1);
});

Deno.test("DivertAdapter goes on when single packets of a batch are not taken, and counts batches that were given up", async () => {
  const world = open();
  const send = (bytes: Uint8Array) => world.adapter.send(world.arena, fill(world, bytes, Direction.Outbound), NOW);
  world.driver.softError = (bytes) => bytes[5] === 1 ? WinCode.HostUnreachable : 0;
  for (let i = 0; i < 3; i++) send(packet(i));
  await Promise.resolve();
  world.adapter.receive(world.arena, NOW);
  assertEquals(world.driver.sent.map(({ bytes }) => bytes[5]), [0, 2]);
  assertEquals(world.adapter.counts.partialBatches, 1);
  world.driver.softError = () => WinCode.InvalidParameter;
  send(packet(3));
  await Promise.resolve();
  world.adapter.receive(world.arena, NOW);
  assertEquals(world.adapter.counts.uncertain, 1);
  close(world);
});

Deno.test("DivertAdapter keeps order although a later request finishes first", () => {
  const world = open();
  world.driver.holdsNext = true;
  for (let i = 0; i < 3; i++) world.driver.arrive(packet(i), packetAddress());
  assertEquals(world.driver.readBatches, [1, 1, 1]);
  assertEquals(world.adapter.receive(world.arena, NOW), 0);
  world.driver.finishHeld();
  assertEquals(world.adapter.receive(world.arena, NOW), 3);
  assertEquals(takeAll(world).map((slot) => bytesOf(world, slot)[5]), [0, 1, 2]);
  close(world);
});

Deno.test("DivertAdapter leaves slots free for answers, and loses nothing meanwhile", () => {
  const world = open(undefined, 64);
  world.driver.isDeferred = true;
  for (let i = 0; i < 200; i++) world.driver.arrive(packet(i), packetAddress());
  world.driver.complete();
  assertEquals(world.adapter.receive(world.arena, NOW), 56);
  assertEquals(world.adapter.receive(world.arena, NOW), 0);
  const seen: number[] = [];
  for (let i = 0; i < 100; i++) {
    for (const slot of takeAll(world)) {
      seen.push(bytesOf(world, slot)[5]!);
      world.arena.release(slot);
    }
    world.driver.complete();
    world.adapter.receive(world.arena, NOW);
  }
  assertEquals(seen, Array.from({ length: 200 }, (_, i) => i));
  close(world);
});

Deno.test("DivertAdapter.receive() drops the rest of a batch that is no IP packet, and takes the largest packet", () => {
  const world = open();
  const handle = world.driver.handleOf();
  const large = udpPacket({ payload: new Array(65_507).fill(1) });
  handle.queue.push({ bytes: large, address: packetAddress() });
  handle.queue.push({ bytes: new Uint8Array(40), address: packetAddress() }, {
    bytes: packet(2),
    address: packetAddress(),
  });
  world.driver.complete();
  world.adapter.receive(world.arena, NOW);
  world.adapter.receive(world.arena, NOW);
  assertEquals(takeAll(world).map((slot) => bytesOf(world, slot).length), [large.length]);
  assertEquals(world.adapter.counts.unreadable, 2);
  close(world);
});

Deno.test("DivertAdapter.ready() resolves for packets and for events, and rejects when it is closed or the driver fails", async () => {
  const world = open();
  let isReady = false;
  const ready = world.adapter.ready().then(() => isReady = true);
  await Promise.resolve();
  assertEquals(isReady, false);
  world.driver.arrive(packet(1), packetAddress());
  await ready;
  world.adapter.receive(world.arena, NOW);
  assertEquals(takeAll(world).length, 1);
  world.driver.arrive(packet(2), packetAddress());
  await world.adapter.ready();
  world.adapter.receive(world.arena, NOW);
  assertEquals(takeAll(world).length, 1);
  let isStale = true;
  const next = world.adapter.ready().then(() => isStale = false);
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assertEquals(isStale, true);
  world.driver.arrive(endpointBytes(), endpointBytes(), Layer.Socket);
  await next;
  world.adapter.receive(world.arena, NOW);
  const closing = assertRejects(() => world.adapter.ready(), Error, "closed");
  await Promise.resolve();
  world.adapter.close();
  await closing;
  assertEquals([world.driver.misuses, world.driver.events.size, world.driver.handles.size], [[], 0, 0]);

  const broken = open();
  broken.driver.readError = 31;
  for (let i = 0; i < 4; i++) broken.driver.arrive(packet(i), packetAddress());
  for (let i = 0; i < 9; i++) broken.adapter.receive(broken.arena, NOW);
  await assertRejects(() => broken.adapter.ready(), Error, "Cannot read from WinDivert");
  close(broken);
});

Deno.test("DivertAdapter.ready() does not take a late signal for a packet", async () => {
  const world = open();
  // Events are made for each request of the two layers of events, then for quitting, then for packets.
  const quit = 2 * DIVERT_EVENT_REQUEST_COUNT;
  [...world.driver.events.keys()].forEach((value, i) => i !== quit && world.driver.events.set(value, true));
  let isReady = false;
  const ready = world.adapter.ready().then(() => isReady = true);
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assertEquals(isReady, false);
  assertEquals(world.driver.waitCount, 1);
  world.driver.arrive(packet(1), packetAddress());
  await ready;
  close(world);
});

Deno.test("DivertAdapter.close() gives everything that was queued back untouched, in order, and races with no reader", () => {
  fc.assert(
    fc.property(fc.nat(2500), fc.nat(300), fc.boolean(), (queued, taken, isDeferred) => {
      const world = open();
      world.driver.isDeferred = isDeferred;
      for (let i = 0; i < queued; i++) world.driver.arrive(packet(i), packetAddress({ timestamp: BigInt(i) }));
      let kept = 0;
      while (kept < Math.min(taken, queued)) {
        world.driver.complete();
        if (world.adapter.receive(world.arena, NOW) === 0) break;
        for (const slot of takeAll(world)) {
          world.arena.release(slot);
          kept++;
        }
      }
      world.adapter.close();
      world.adapter.close();
      assertEquals(world.driver.misuses, []);
      assertEquals(world.driver.handles.size + world.driver.events.size, 0);
      const numbers = world.driver.sent.map(({ address }) => address[0]! | (address[1]! << 8));
      assertEquals(numbers, Array.from({ length: queued - kept }, (_, i) => kept + i));
    }),
    { seed: 4, numRuns: 15 },
  );
});

Deno.test("DivertAdapter.close() ends although the driver never finishes a send", () => {
  const world = open();
  world.driver.isStuck = true;
  world.adapter.send(world.arena, fill(world, packet(1), Direction.Outbound), NOW);
  world.adapter.close();
  assertEquals(world.driver.misuses, []);
  assertEquals(world.driver.handles.size, 0);
});
