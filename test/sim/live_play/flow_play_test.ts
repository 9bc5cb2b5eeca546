/**
 * Goal: whatever a capture shows of a flow, the play compares both streams with it, and says why when it cannot.
 * Method: flows line by line, then random ones with losses, repetitions and disorder on both sides.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Prng } from "../../../core/base/prng.ts";
import { handshake, type Line, playLines, timestamps } from "./captured_flow.ts";

const REQUEST = "GET / HTTP/1.1\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\n\r\nhello";

function ending(up: number, down: number): Line[] {
  return [
    { from: "client", flags: "FA", at: up, ack: down },
    { from: "server", flags: "FA", at: down, ack: up + 1 },
    { from: "client", flags: "A", at: up + 1, ack: down + 1 },
  ];
}

Deno.test("FlowPlay compares a plain conversation to its end", () => {
  const play = playLines([
    ...handshake(),
    { from: "client", flags: "PA", at: 0, ack: 0, data: REQUEST },
    { from: "server", flags: "A", at: 0, ack: 18 },
    { from: "server", flags: "PA", at: 0, ack: 18, data: ANSWER, after: 30_000 },
    { from: "client", flags: "A", at: 18, ack: 24 },
    ...ending(18, 24),
  ]);
  assertEquals(play, {
    outcome: "equal",
    reason: "",
    bytesToServer: 18,
    bytesToClient: 24,
    clientRetransmissions: 0,
    stackRetransmissions: 0,
    resets: 0,
  });
});

Deno.test("FlowPlay plays repeated and disordered segments of the client as they came", () => {
  const play = playLines([
    ...handshake(),
    { from: "client", flags: "A", at: 6, ack: 0, data: "world" },
    { from: "client", flags: "A", at: 0, ack: 0, data: "hello " },
    { from: "server", flags: "A", at: 0, ack: 11 },
    { from: "client", flags: "PA", at: 6, ack: 0, data: "world", after: 200_000 },
    { from: "client", flags: "PA", at: 3, ack: 0, data: "lo world, again" },
    ...ending(18, 0),
  ]);
  assertEquals([play.outcome, play.bytesToServer, play.clientRetransmissions], ["equal", 18, 2]);
});

Deno.test("FlowPlay translates timestamps, SACK blocks and scaled windows", () => {
  const client = [2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2, ...timestamps(1_000, 0)];
  const server = [2, 4, 5, 180, 1, 3, 3, 9, 1, 1, 4, 2, ...timestamps(777_000, 1_000)];
  const sack = (left: number, right: number) => {
    const word = (offset: number) => {
      const value = (0x8000_0000 + offset) >>> 0;
      return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
    };
    return [1, 1, 5, 10, ...word(left), ...word(right)];
  };
  const lines = handshake({ client, server });
  lines[2]!.options = timestamps(1_001, 777_000);
  const chunk = "x".repeat(1_000);
  const play = playLines([
    ...lines,
    { from: "client", flags: "PA", at: 0, ack: 0, data: REQUEST, options: timestamps(1_002, 777_000) },
    ...[0, 1, 2, 3].map((i): Line => ({
      from: "server",
      flags: "A",
      at: i * 1_000,
      ack: 18,
      data: chunk,
      options: timestamps(777_100 + i, 1_002),
    })),
    { from: "client", flags: "A", at: 18, ack: 1_000, options: [...timestamps(1_100, 777_100), ...sack(2_000, 4_000)] },
    { from: "client", flags: "A", at: 18, ack: 4_000, options: timestamps(1_300, 777_103), after: 300_000 },
    { from: "client", flags: "PA", at: 18, ack: 4_000, data: "bye", options: timestamps(1_301, 777_103) },
    { from: "client", flags: "FA", at: 21, ack: 4_000, options: timestamps(1_302, 777_103) },
    { from: "server", flags: "FA", at: 4_000, ack: 22, options: timestamps(777_500, 1_302) },
    { from: "client", flags: "A", at: 22, ack: 4_001, options: timestamps(1_303, 777_500) },
  ]);
  assertEquals([play.outcome, play.reason, play.bytesToServer, play.bytesToClient], ["equal", "", 21, 4_000]);
});

Deno.test("FlowPlay plays IPv6 as well", () => {
  const lines = [
    ...handshake({ v6: true }),
    { from: "client", flags: "PA", at: 0, ack: 0, data: REQUEST } as Line,
    { from: "server", flags: "PA", at: 0, ack: 18, data: ANSWER } as Line,
    ...ending(18, 24),
  ].map((line) => ({ ...line, v6: true }));
  const play = playLines(lines);
  assertEquals([play.outcome, play.bytesToServer, play.bytesToClient], ["equal", 18, 24]);
});

Deno.test("FlowPlay says why a flow cannot be played, and how far it came", () => {
  const cases: [lines: Line[], outcome: string, reason: RegExp][] = [
    [[], "unplayed", /^no packet to play$/],
    [[{ from: "client", flags: "PA", at: 5, ack: 9, data: "x" }], "unplayed", /^no SYN in the capture$/],
    [[{ from: "server", flags: "SA", at: -1, ack: 0 }], "unplayed", /^no SYN in the capture$/],
    [[{ from: "client", flags: "S", at: -1 }], "unplayed", /^nobody answered the SYN$/],
    [[{ from: "client", flags: "S", at: -1, data: "early" }], "unplayed", /^the SYN carries data$/],
    [
      [
        ...handshake(),
        { from: "client", flags: "A", at: 0, ack: 0, data: "one" },
        { from: "client", flags: "A", at: 6, ack: 0, data: "three" },
        { from: "server", flags: "A", at: 0, ack: 11 },
      ],
      "partial",
      /^the capture misses bytes of the client, at 3$/,
    ],
    [
      [
        ...handshake(),
        { from: "server", flags: "A", at: 0, ack: 0, data: "one" },
        { from: "server", flags: "A", at: 6, ack: 0, data: "three" },
        { from: "client", flags: "A", at: 0, ack: 11 },
      ],
      "partial",
      /^the capture misses 3 bytes of the server, at 3$/,
    ],
    [
      [...handshake(), { from: "client", flags: "S", at: 5_000 }],
      "partial",
      /^the ports were used again$/,
    ],
  ];
  for (const [lines, outcome, reason] of cases) {
    const play = playLines(lines);
    assertEquals(play.outcome, outcome, play.reason);
    assertMatch(play.reason, reason);
  }
});

Deno.test("FlowPlay goes on where the capture misses bytes of the server", () => {
  const play = playLines([
    ...handshake(),
    { from: "server", flags: "A", at: 0, ack: 0, data: "one" },
    { from: "server", flags: "A", at: 6, ack: 0, data: "three" },
    { from: "client", flags: "PA", at: 0, ack: 11, data: "thanks" },
    ...ending(6, 11),
  ]);
  assertEquals([play.outcome, play.bytesToServer, play.bytesToClient], ["partial", 6, 11]);
});

Deno.test("FlowPlay counts resets of both sides", () => {
  const refused = playLines([
    { from: "client", flags: "S", at: -1 },
    { from: "server", flags: "RA", at: -1, ack: 0 },
  ]);
  assertEquals([refused.outcome, refused.resets], ["unplayed", 2]);
  const aborted = playLines([
    ...handshake(),
    { from: "client", flags: "PA", at: 0, ack: 0, data: "hello" },
    { from: "client", flags: "R", at: 5 },
  ]);
  assertEquals([aborted.outcome, aborted.bytesToServer, aborted.resets], ["equal", 5, 1]);
  const broken = playLines([
    ...handshake(),
    { from: "server", flags: "PA", at: 0, ack: 0, data: "hello" },
    { from: "client", flags: "A", at: 0, ack: 5 },
    { from: "server", flags: "R", at: 5 },
  ]);
  assertEquals([broken.outcome, broken.bytesToClient, broken.resets], ["equal", 5, 2]);
});

Deno.test("FlowPlay takes a flow whose SYN-ACK the capture missed", () => {
  const [syn, , ack] = handshake();
  const play = playLines([
    syn!,
    ack!,
    { from: "client", flags: "PA", at: 0, ack: 0, data: REQUEST },
    { from: "server", flags: "PA", at: 0, ack: 18, data: ANSWER },
    ...ending(18, 24),
  ]);
  assertEquals([play.outcome, play.bytesToServer, play.bytesToClient], ["equal", 18, 24]);
});

/** A random conversation: streams cut anywhere, segments repeated and out of order, acknowledgments late. */
function randomFlow(prng: Prng): { lines: Line[]; up: number; down: number } {
  const stream = (length: number) => Uint8Array.from({ length }, () => prng.below(256));
  const streams = { client: stream(prng.below(30_000)), server: stream(prng.below(60_000)) };
  const sent = { client: 0, server: 0 };
  const lines = handshake();
  const other = { client: "server", server: "client" } as const;
  while (sent.client < streams.client.length || sent.server < streams.server.length) {
    const from = prng.chance(1, 2) ? "client" : "server";
    const burst: Line[] = [];
    for (let i = prng.below(6); i >= 0; i--) {
      const at = sent[from];
      const data = streams[from].slice(at, at + prng.between(1, 1_460));
      if (data.length === 0) break;
      burst.push({ from, flags: "A", at, ack: sent[other[from]], data, after: prng.below(50_000) });
      sent[from] += data.length;
      if (prng.chance(1, 10)) burst.push({ ...burst[prng.below(burst.length)]!, after: prng.below(300_000) });
    }
    for (let i = burst.length - 1; i > 0; i--) {
      if (!prng.chance(1, 4)) continue;
      const j = prng.below(i + 1);
      [burst[i], burst[j]] = [burst[j]!, burst[i]!];
    }
    lines.push(...burst);
    const heard = other[from];
    if (prng.chance(2, 3)) lines.push({ from: heard, flags: "A", at: sent[heard], ack: sent[from] });
  }
  const up = streams.client.length;
  const down = streams.server.length;
  lines.push({ from: "client", flags: "A", at: up, ack: down }, ...ending(up, down));
  return { lines, up, down };
}

Deno.test("FlowPlay compares every byte of random conversations", () => {
  const prng = new Prng(2_024);
  let again = 0;
  for (let i = 0; i < 60; i++) {
    const { lines, up, down } = randomFlow(prng);
    const play = playLines(lines);
    assertEquals([play.outcome, play.reason, play.bytesToServer, play.bytesToClient], ["equal", "", up, down], `${i}`);
    again += play.clientRetransmissions;
  }
  assert(again > 60, `${again} segments were repeated`);
});
