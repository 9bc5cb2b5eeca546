/** Messages of the packet queue, both ways. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { NFQUEUE_VERDICTS_PER_CALL } from "../../../core/base/limits.ts";
import * as layout from "../../../ffi/linux/layout.ts";
import {
  CHANGED_VERDICT_HEADERS,
  configMessage,
  createQueuedPacket,
  readPacket,
  VerdictBatch,
  writeChangedVerdict,
} from "../../../ffi/linux/nfqueue_message.ts";

const QUEUE = 7170;
const PACKET = (layout.NFNL_SUBSYS_QUEUE << 8) | layout.NFQNL_MSG_PACKET;

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** A message as the kernel writes it. */
function message(type: number, attributes: readonly (readonly [type: number, value: readonly number[]])[]): DataView {
  const bytes: number[] = [];
  for (const [kind, value] of attributes) {
    bytes.push((value.length + 4) & 255, (value.length + 4) >> 8, kind & 255, kind >> 8, ...value);
    while (bytes.length % 4 !== 0) bytes.push(0);
  }
  const view = new DataView(new ArrayBuffer(20 + bytes.length));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, type, true);
  new Uint8Array(view.buffer).set(bytes, 20);
  return view;
}

Deno.test("readPacket() finds number, way, devices and bytes when the kernel's attributes are in any order", () => {
  const attributes: [number, number[]][] = [
    [layout.NFQA_PACKET_HDR, [...word(0x8001_0203), 8, 0, layout.NF_INET_LOCAL_OUT]],
    [layout.NFQA_IFINDEX_OUTDEV, word(5)],
    [layout.NFQA_IFINDEX_INDEV, word(6)],
    [layout.NFQA_MARK, word(0x7e17_0001)],
    [9, [1, 2, 3, 4, 5, 6]],
    [layout.NFQA_PAYLOAD, [0x45, 1, 2]],
    [layout.NFQA_CAP_LEN, word(70_000)],
  ];
  for (const list of [attributes, attributes.toReversed()]) {
    const view = message(PACKET, list);
    const packet = createQueuedPacket();
    assert(readPacket(view, 0, view.byteLength, packet));
    const { payloadAt, ...rest } = packet;
    assertEquals(rest, {
      packetId: 0x8001_0203,
      hook: layout.NF_INET_LOCAL_OUT,
      inDevice: 6,
      outDevice: 5,
      mark: 0x7e17_0001,
      payloadLength: 3,
      wireLength: 70_000,
    });
    assertEquals(view.getUint8(payloadAt), 0x45);
  }
});

Deno.test("readPacket() forgets the packet before when a message has less", () => {
  const packet = createQueuedPacket();
  const full = message(PACKET, [[layout.NFQA_PACKET_HDR, [...word(1), 8, 0, 1]], [layout.NFQA_PAYLOAD, [1, 2]], [
    layout.NFQA_IFINDEX_INDEV,
    word(3),
  ]]);
  const bare = message(PACKET, [[layout.NFQA_PACKET_HDR, [...word(2), 8, 0, 1]]]);
  assert(readPacket(full, 0, full.byteLength, packet) && readPacket(bare, 0, bare.byteLength, packet));
  assertEquals([packet.packetId, packet.mark, packet.inDevice, packet.payloadLength, packet.wireLength], [
    2,
    0,
    0,
    0,
    0,
  ]);
  const error = message(layout.NLMSG_ERROR, []);
  assertEquals(readPacket(error, 0, error.byteLength, packet), false);
});

Deno.test("readPacket() reads nothing outside of a message when its bytes are any", () => {
  const packet = createQueuedPacket();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(300), fc.boolean(), (bytes, claimed, isTyped) => {
      const view = new DataView(bytes.slice().buffer);
      if (isTyped && bytes.length >= 20) {
        view.setUint32(0, claimed, true);
        view.setUint16(4, PACKET, true);
      }
      if (!readPacket(view, 0, bytes.length, packet)) return;
      assert(packet.payloadAt + packet.payloadLength <= bytes.length);
    }),
    { seed: 7, numRuns: 20_000 },
  );
});

/** The verdicts in a message: [type, verdict, packet id]. */
function verdictsOf(bytes: Uint8Array, length: number): [type: number, verdict: number, id: number][] {
  const view = new DataView(bytes.buffer, 0, length);
  const found: [number, number, number][] = [];
  for (let at = 0; at < length; at += view.getUint32(at, true)) {
    assertEquals(view.getUint16(at + 18), QUEUE);
    found.push([view.getUint16(at + 4, true) & 255, view.getUint32(at + 24), view.getUint32(at + 28)]);
  }
  return found;
}

const { NF_ACCEPT, NF_DROP, NFQNL_MSG_VERDICT: ONE, NFQNL_MSG_VERDICT_BATCH: RUN } = layout;

Deno.test("VerdictBatch.take() makes one message of a run only when nothing else waits and all are let pass", () => {
  const cases:
    readonly (readonly [verdicts: [number, number][], holdsAll: boolean, messages: [number, number, number][]])[] = [
      [[[5, NF_ACCEPT], [6, NF_ACCEPT], [7, NF_ACCEPT]], true, [[RUN, NF_ACCEPT, 7]]],
      [[[7, NF_ACCEPT], [5, NF_ACCEPT]], true, [[RUN, NF_ACCEPT, 7]]],
      [[[0xffff_ffff, NF_ACCEPT], [0, NF_ACCEPT]], true, [[RUN, NF_ACCEPT, 0]]],
      [[[5, NF_ACCEPT], [6, NF_ACCEPT]], false, [[ONE, NF_ACCEPT, 5], [ONE, NF_ACCEPT, 6]]],
      [[[5, NF_ACCEPT], [6, NF_DROP]], true, [[ONE, NF_ACCEPT, 5], [ONE, NF_DROP, 6]]],
      [[[5, NF_ACCEPT]], true, [[ONE, NF_ACCEPT, 5]]],
      [[], true, []],
    ];
  const batch = new VerdictBatch(QUEUE);
  // One batch for all cases: nothing of the case before may stay.
  for (const [verdicts, holdsAll, messages] of cases) {
    for (const [id, verdict] of verdicts) batch.add(id, verdict);
    assertEquals(batch.count, verdicts.length);
    assertEquals(verdictsOf(batch.bytes, batch.take(holdsAll)), messages);
    assertEquals(batch.count, 0);
  }
});

Deno.test("VerdictBatch is full when it has as many as one call sends", () => {
  const batch = new VerdictBatch(QUEUE);
  for (let id = 0; id < NFQUEUE_VERDICTS_PER_CALL; id++) {
    assertEquals(batch.isFull, false);
    batch.add(id, NF_DROP);
  }
  assertEquals(batch.isFull, true);
  assertEquals(verdictsOf(batch.bytes, batch.take(true)).length, NFQUEUE_VERDICTS_PER_CALL);
  const everything = batch.acceptAll(0xffff_0000);
  assertEquals(verdictsOf(everything, everything.length), [[RUN, NF_ACCEPT, 0x3ffe_ffff]]);
});

Deno.test("writeChangedVerdict() and configMessage() have the kernel's form", () => {
  const bytes = new Uint8Array(CHANGED_VERDICT_HEADERS + 8);
  const view = new DataView(bytes.buffer);
  assertEquals(writeChangedVerdict(view, QUEUE, 9, 5), CHANGED_VERDICT_HEADERS + 8);
  assertEquals(verdictsOf(bytes, bytes.length), [[ONE, NF_ACCEPT, 9]]);
  assertEquals([view.getUint16(32, true), view.getUint16(34, true)], [4 + 5, layout.NFQA_PAYLOAD]);
  const config = configMessage(QUEUE, layout.NFQA_CFG_PARAMS, [1, 2, 3, 4, 5]);
  const read = new DataView(config.buffer);
  assertEquals([config.length, read.getUint32(0, true), read.getUint16(20, true)], [32, 32, 9]);
  assertEquals(read.getUint16(6, true), layout.NLM_F_REQUEST | layout.NLM_F_ACK);
});
