/**
 * Streams put together from PcapPlusPlus' captures, byte for byte as its own tests expect them.
 *
 * Source: which manipulation of which capture belongs to which output: PcapPlusPlus, Tests/Pcap++Test/Tests/TcpReassemblyTests.cpp.
 */
import { assertEquals } from "@std/assert";
import { seqAdd } from "../../core/wire/seq.ts";
import { type Conversation, converse, type Segment, segmentsOf } from "./conversation.ts";
import { noSharedCaptures as ignore, packetsOf, readShared } from "./shared_captures.ts";

const FOLDER = "pcapplusplus/";

async function segments(name: string): Promise<Segment[]> {
  return segmentsOf(await packetsOf(FOLDER + name));
}

function only(conversations: Conversation[]): Conversation {
  assertEquals(conversations.length, 1);
  return conversations[0]!;
}

/** A segment sent again with `length` bytes from `from` on; beyond its end it holds "*". */
function again(segment: Segment, from: number, length = segment.payload.length - from): Segment {
  const payload = new Uint8Array(length).fill(0x2a);
  payload.set(segment.payload.subarray(from, from + length));
  return { ...segment, seq: seqAdd(segment.seq, from), payload };
}

/** A request without its first bytes as the expected output has it: its body stands in front of what is left, and once more behind it. */
function beheaded(segment: Segment, from: number): Segment {
  const rest = again(segment, from);
  const text = String.fromCharCode(...segment.payload);
  const body = segment.payload.subarray(text.indexOf("\r\n\r\n") + 4);
  return { ...rest, payload: new Uint8Array([...body, ...rest.payload]) };
}

/** Moves the packet at `from` so that it stands at `to` afterwards. */
function move(list: Segment[], from: number, to: number): void {
  list.splice(to, 0, ...list.splice(from, 1));
}

function reverseMessage(list: Segment[]): void {
  for (let i = 0; i < 12; i++) move(list, 35, 24 + i);
}

function shuffle(list: Segment[]): void {
  move(list, 10, 9);
  move(list, 18, 23);
  reverseMessage(list);
}

/** What is done to a capture, and what must come out of it. */
interface Case {
  readonly does: string;
  readonly capture: string;
  readonly output: string;
  /** Pieces of data that the other implementation reports, and the bytes it misses. */
  readonly pieces: number;
  readonly missing?: number;
  readonly piecesMax?: number;
  readonly change?: (list: Segment[]) => void;
}

const STREAM = "one_tcp_stream.pcap";
const FIN2 = "one_http_stream_fin2.pcap";

const CASES: readonly Case[] = [
  { does: "nothing", capture: STREAM, output: "one_tcp_stream_output.txt", pieces: 19 },
  { does: "nothing", capture: "one_tcp_stream_max_seq.pcap", output: "one_tcp_stream_output.txt", pieces: 19 },
  { does: "nothing", capture: "one_http_stream_fin.pcap", output: "one_http_stream_fin_output.txt", pieces: 5 },
  { does: "nothing", capture: "one_http_stream_rst.pcap", output: "one_http_stream_rst_output.txt", pieces: 2 },
  { does: "nothing", capture: FIN2, output: "one_http_stream_fin2_output.txt", pieces: 6 },
  { does: "nothing", capture: "one_ipv6_http_stream.pcap", output: "one_ipv6_http_stream.txt", pieces: 10 },
  {
    does: "six retransmissions, shorter and longer than the original",
    capture: STREAM,
    output: "one_tcp_stream_retransmission_output.txt",
    pieces: 21,
    change(list) {
      const copies = [
        again(list[4]!, 0),
        again(list[10]!, 10),
        again(list[13]!, 0, 1340),
        again(list[21]!, 0, 1430),
        again(list[28]!, 10, 1370),
        again(list[34]!, 10, 91),
      ];
      [5, 12, 16, 25, 33, 40].forEach((at, i) => list.splice(at, 0, copies[i]!));
    },
  },
  {
    does: "bytes missing at a beginning, at an end, and whole packets",
    capture: STREAM,
    output: "one_tcp_stream_missing_data_output.txt",
    pieces: 17,
    missing: 20 + 30 + 1360 + 1360,
    change(list) {
      list[3] = beheaded(list[3]!, 20);
      list[20] = again(list[20]!, 0, 1390);
      list.splice(28, 1);
      list.splice(30, 1);
    },
  },
  {
    does: "no handshake",
    capture: STREAM,
    output: "one_tcp_stream_output.txt",
    pieces: 19,
    change: (list) => list.splice(0, 2),
  },
  {
    does: "packets out of order, one message backwards",
    capture: STREAM,
    output: "one_tcp_stream_out_of_order_output.txt",
    pieces: 19,
    change: shuffle,
  },
  {
    does: "one message backwards, one packet of it missing",
    capture: STREAM,
    output: "one_tcp_stream_missing_data_output_ooo.txt",
    pieces: 18,
    missing: 1360,
    change(list) {
      reverseMessage(list);
      list.splice(29, 1);
    },
  },
  {
    does: "out of order, closed by hand after ten pieces",
    capture: STREAM,
    output: "one_tcp_stream_out_of_order_with_manual_close_output.txt",
    pieces: 13,
    piecesMax: 10,
    change: shuffle,
  },
  {
    does: "out of order with a hole, closed by hand after ten pieces",
    capture: STREAM,
    output: "one_tcp_stream_missing_date_with_manual_close_output.txt",
    pieces: 10,
    missing: 1360,
    piecesMax: 10,
    change(list) {
      move(list, 10, 9);
      list.splice(13, 1);
    },
  },
  {
    does: "a packet after the FIN",
    capture: FIN2,
    output: "one_http_stream_fin2_output2.txt",
    pieces: 5,
    missing: 1448,
    change: (list) => move(list, 6, 12),
  },
  {
    does: "two packets out of order over IPv6",
    capture: "one_ipv6_http_stream.pcap",
    output: "one_ipv6_http_stream.txt",
    pieces: 10,
    change(list) {
      move(list, 10, 12);
      move(list, 15, 17);
    },
  },
];

for (const { does, capture, output, pieces, missing, piecesMax, change } of CASES) {
  Deno.test({
    name: `StreamFollower gives PcapPlusPlus' ${output} when it reads ${capture} with ${does}`,
    ignore,
    async fn() {
      const list = await segments(capture);
      change?.(list);
      const conversation = only(converse(list, piecesMax));
      assertEquals(conversation.output, readShared(FOLDER + output));
      assertEquals([conversation.pieces, conversation.missing], [pieces, missing ?? 0]);
    },
  });
}

Deno.test({
  name: "StreamFollower gives PcapPlusPlus' outputs of each connection when several are in one capture",
  ignore,
  async fn() {
    for (
      const [capture, outputs] of [
        ["three_http_streams.pcap", [1, 2, 3].map((n) => `three_http_streams_conn_${n}_output.txt`)],
        ["four_ipv6_http_streams.pcap", ["4", "3", "2"].map((n) => `one_ipv6_http_stream${n}.txt`)],
      ] as const
    ) {
      const spoken = converse(await segments(capture)).map(({ output }) => output);
      for (const output of outputs) {
        const found = spoken.indexOf(readShared(FOLDER + output));
        assertEquals(found >= 0, true, `${capture}: no connection says ${output}`);
        spoken.splice(found, 1);
      }
      assertEquals(spoken.length, capture.startsWith("four") ? 1 : 0);
    }
  },
});

Deno.test({
  name: "StreamFollower goes on behind a packet that a one-sided capture has missed",
  ignore,
  async fn() {
    const list = await segments("unidirectional_tcp_stream_with_missing_packet.pcap");
    const conversation = only(converse(list));
    const captured = list.reduce((sum, segment) => sum + segment.payload.length, 0);
    assertEquals(conversation.pieces, 7);
    assertEquals(conversation.output.replace(/\[\d+ bytes missing\]/, "").length, captured);
    assertEquals(/\[(\d+) bytes missing\]/.exec(conversation.output)?.[1], String(conversation.missing));
    const reset = only(converse(await segments("one_tcp_stream_fin_rst_close_packet.pcap")));
    assertEquals(reset.closed, true);
  },
});
