/**
 * Datagrams put together from PcapPlusPlus' captures of fragments, byte for byte as its own tests expect them.
 *
 * Source: which packets of which capture belong to which output: PcapPlusPlus, Tests/Pcap++Test/Tests/IPFragmentationTests.cpp.
 */
import { assertEquals } from "@std/assert";
import { Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { FRAGMENT_TIMEOUT_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { FragmentOutcome, Fragments } from "../../core/classify/fragments.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { Fragment, PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { slotOf } from "../support/slots.ts";
import { type CapturedPacket, noSharedCaptures as ignore, packetsOf, readShared } from "./shared_captures.ts";

const FOLDER = "pcapplusplus/";

/** Sends packets through parse and the fragment table. Shape: each whole datagram in hex, behind the link header of its first fragment. */
class Defragmenter {
  readonly whole: string[] = [];
  readonly outcomes: FragmentOutcome[] = [];
  readonly #arena = new Arena(64);
  readonly #fragments = new Fragments(64);
  readonly #meta = new PacketMeta();
  #link = "";

  add(packet: CapturedPacket): void {
    const bytes = packet.frame.subarray(packet.ipAt, packet.ipAt + packet.ipLength);
    const slot = slotOf(this.#arena, new Uint8Array(bytes), packet.wireLength);
    assertEquals(parse(this.#arena, slot, Verify.None, this.#meta), DropReason.None);
    this.#link = hex(packet.frame.subarray(0, packet.ipAt));
    if (this.#meta.fragment === Fragment.Whole) return this.#arena.release(slot);
    const outcome = this.#fragments.add(this.#arena, slot, this.#meta, micros(0));
    this.outcomes.push(outcome);
    if (outcome === FragmentOutcome.Complete) this.whole.push(this.#assemble());
    else if (outcome !== FragmentOutcome.Held) this.#arena.release(slot);
  }

  /** What is there of a datagram that never became whole, when it is given up. */
  giveUp(): string {
    assertEquals(this.#fragments.expired(micros(FRAGMENT_TIMEOUT_US)), true);
    return this.#assemble();
  }

  /** Slots that nobody gave back. */
  get lost(): number {
    return this.#arena.slotCount - this.#arena.freeCount - this.#fragments.heldCount;
  }

  #assemble(): string {
    const arena = this.#arena;
    const head = this.#fragments.take();
    const into = arena.acquire();
    const length = this.#fragments.assemble(arena, head, into);
    const text = this.#link + hex(arena.bytes.subarray(arena.at(into), arena.at(into) + length));
    arena.release(into);
    for (let slot: Slot = head; slot !== NO_SLOT;) {
      const next = arena.next[slot]!;
      arena.release(slot);
      slot = next;
    }
    return text;
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Writes IPv6's payload length as PcapPlusPlus' tests do: the original sender's, without four bytes behind it. */
function withPayloadLength(text: string, length: number): string {
  const at = 2 * (14 + 4);
  return text.slice(0, at) + length.toString(16).padStart(4, "0") + text.slice(at + 4);
}

function defragment(packets: readonly CapturedPacket[]): Defragmenter {
  const defragmenter = new Defragmenter();
  for (const packet of packets) defragmenter.add(packet);
  return defragmenter;
}

/** Orders in which the eleven fragments of a request can come. */
const ORDERS: Record<string, (list: CapturedPacket[]) => void> = {
  "in order": () => {},
  "the first two swapped": (list) => swap(list, 0, 1),
  "the sixth and tenth swapped, and the third and seventh": (list) => (swap(list, 5, 9), swap(list, 2, 6)),
  "the last one in the middle": (list) => swap(list, 5, 10),
  "the last one first": (list) => list.unshift(list.pop()!),
  "backwards": (list) => list.reverse(),
};

function swap(list: CapturedPacket[], a: number, b: number): void {
  [list[a], list[b]] = [list[b]!, list[a]!];
}

Deno.test({
  name: "Fragments gives PcapPlusPlus' frag_http_req_reassembled.txt when the fragments come in six orders",
  ignore,
  async fn() {
    for (const [name, order] of Object.entries(ORDERS)) {
      const packets = await packetsOf(`${FOLDER}frag_http_req.pcap`);
      order(packets);
      const defragmenter = defragment(packets);
      assertEquals(defragmenter.whole, [readShared(`${FOLDER}frag_http_req_reassembled.txt`)], name);
      assertEquals(defragmenter.lost, 0);
    }
  },
});

Deno.test({
  name: "Fragments gives PcapPlusPlus' partial datagrams when the rest never comes",
  ignore,
  async fn() {
    const four = defragment((await packetsOf(`${FOLDER}frag_http_req.pcap`)).slice(0, 6));
    assertEquals([four.whole, four.giveUp()], [[], readShared(`${FOLDER}frag_http_req_partial.txt`)]);
    const six = defragment((await packetsOf(`${FOLDER}ip6_fragments.pcap`)).slice(0, 5));
    assertEquals([six.whole, six.giveUp()], [[], readShared(`${FOLDER}ip6_fragments_packet1_partial.txt`)]);
  },
});

Deno.test({
  name:
    "Fragments gives PcapPlusPlus' IPv4 datagrams when they come one after the other, and one fragment of each in turn",
  ignore,
  async fn() {
    const packets = await packetsOf(`${FOLDER}ip4_fragments.pcap`);
    const expected = [1, 4, 6].map((n) => readShared(`${FOLDER}ip4_fragments_packet${n}.txt`));
    const inOrder = defragment(packets);
    for (const text of expected) assertEquals(inOrder.whole.includes(text), true);
    // Datagrams 1 to 3 have 6 fragments; 4 and 6 are held twice by the capture, with an answer among them.
    const counts = [6, 6, 6, 12, 12];
    const groups = counts.map((count, i) => {
      const from = counts.slice(0, i).reduce((sum, n) => sum + n, 0);
      return packets.slice(from, from + count);
    });
    const turns = new Defragmenter();
    for (let i = 0; i < 12; i++) for (const group of groups) if (group[i] !== undefined) turns.add(group[i]!);
    for (const text of expected) assertEquals(turns.whole.includes(text), true);
    assertEquals([inOrder.lost, turns.lost], [0, 0]);
  },
});

Deno.test({
  name: "Fragments gives PcapPlusPlus' IPv6 datagrams in any order of their fragments",
  ignore,
  async fn() {
    const packets = await packetsOf(`${FOLDER}ip6_fragments.pcap`);
    const [one, two] = [1, 2].map((n) => readShared(`${FOLDER}ip6_fragments_packet${n}.txt`));
    const whole = defragment(packets).whole;
    assertEquals(whole.length, 4);
    assertEquals([withPayloadLength(whole[0]!, 737), withPayloadLength(whole[1]!, 1448)], [one, two]);
    const shuffled = defragment([2, 1, 0, 3, 4, 6, 5].map((i) => packets[i]!)).whole;
    assertEquals(shuffled.map((text) => withPayloadLength(text, 737)), [one]);
  },
});

Deno.test({
  name: "Fragments gives PcapPlusPlus' frag_with_padding_defragmented.dat when Ethernet has padded the last fragment",
  ignore,
  async fn() {
    const defragmenter = defragment(await packetsOf(`${FOLDER}frag_with_padding.pcap`));
    assertEquals(defragmenter.whole, [readShared(`${FOLDER}frag_with_padding_defragmented.dat`)]);
    assertEquals(defragmenter.lost, 0);
  },
});
