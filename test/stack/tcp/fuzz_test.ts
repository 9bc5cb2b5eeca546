import { assert, assertEquals } from "@std/assert";
import { micros } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import type { TcpOptions } from "../../../core/stack/tcp/tcp_options.ts";
import { TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import { Pair } from "./lab.ts";
import { Script } from "./script.ts";

/** A connection brought into each state. */
const WAYS: Record<string, (s: Script) => void> = {
  "SYN-SENT": (s) => s.connection.openActive(s.now),
  "SYN-RECEIVED": (s) => void s.take("S 0:0(0) win 1000 <mss 1000,nop,wscale 2,sackOK,TS val 1 ecr 0>"),
  "ESTABLISHED": (s) => void s.accept(),
  "FIN-WAIT-1": (s) => s.accept().connection.shutdownSend(s.now),
  "FIN-WAIT-2": (s) => {
    s.accept().connection.shutdownSend(s.now);
    s.take(". 1:1(0) ack 2");
  },
  "CLOSE-WAIT": (s) => void s.accept().take("F. 1:1(0) ack 1"),
  "CLOSING": (s) => {
    s.accept().connection.shutdownSend(s.now);
    s.take("F. 1:1(0) ack 1");
  },
  "LAST-ACK": (s) => {
    s.accept().take("F. 1:1(0) ack 1");
    s.connection.shutdownSend(s.now);
  },
  "TIME-WAIT": (s) => {
    s.accept().connection.shutdownSend(s.now);
    s.take("F. 1:1(0) ack 2");
  },
};

/** A segment with numbers near those that matter, or anywhere. */
function drawSegment(prng: Prng, s: Script): Uint8Array {
  const c = s.connection;
  const near = (value: number) =>
    (prng.chance(9, 10) ? value + prng.between(-3, 3) * prng.below(1_500) : prng.uint32()) >>> 0;
  const optionBytes = prng.chance(1, 2) ? 0 : 4 * prng.below(11);
  const payload = prng.chance(1, 2) ? 0 : prng.below(1_500);
  const bytes = new Uint8Array(20 + optionBytes + payload);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, near(c.rcvNxt));
  view.setUint32(8, near(prng.chance(1, 2) ? c.sndUna : c.sndNxt));
  bytes[12] = ((20 + optionBytes) / 4) << 4;
  bytes[13] = prng.chance(1, 2) ? 0x10 : prng.below(256);
  view.setUint16(14, prng.chance(1, 4) ? 0 : prng.below(65_536));
  for (let i = 0; i < optionBytes; i++) bytes[20 + i] = prng.chance(1, 3) ? prng.below(9) : prng.below(256);
  if (optionBytes >= 12 && prng.chance(1, 2)) {
    const count = Math.min(4, Math.floor((optionBytes - 4) / 8));
    bytes.set([1, 1, 5, 2 + 8 * count], 20);
    for (let i = 0; i < 2 * count; i++) view.setUint32(24 + 4 * i, near(c.sndUna) + prng.below(4_000));
  }
  return bytes;
}

/** What must hold after every step. */
function check(s: Script, what: string): void {
  const c = s.connection;
  const flight = (c.sndNxt - c.sndUna) | 0;
  assert(flight >= 0, `${what}: sndUna ${c.sndUna} sndNxt ${c.sndNxt}`);
  const board = c.scoreboard;
  assert(board.sackedBytes >= 0 && board.lostBytes >= 0 && board.resentBytes >= 0, `${what}: counts below zero`);
  assert(board.sackedBytes + board.lostBytes <= flight, `${what}: more marked than in flight`);
  assert(board.resentBytes <= board.lostBytes, `${what}: resent ${board.resentBytes} of lost ${board.lostBytes}`);
  assert(c.receiveRing.capacity <= 262_144, `${what}: receive ring ${c.receiveRing.capacity}`);
  assert(c.memoryBytes <= 2_000_000, `${what}: memory ${c.memoryBytes}`);
  assert(c.cwnd >= 0 && Number.isFinite(c.cwnd), `${what}: cwnd ${c.cwnd}`);
  assert(c.state !== TcpState.Closed || c.deadline > 1e15, `${what}: a closed connection has a timer`);
}

const SEGMENTS_EACH = 12_000;

for (const [state, bring] of Object.entries(WAYS)) {
  Deno.test(`TcpConnection in ${state} stays whole under ${SEGMENTS_EACH} random segments`, () => {
    const prng = new Prng(20_260).fork(state);
    let runs = 0;
    let s = new Script();
    s.connection.abort(s.now);
    let left = 0;
    for (let i = 0; i < SEGMENTS_EACH; i++) {
      if (s.connection.state === TcpState.Closed || left-- === 0) {
        const options: Partial<TcpOptions> = {
          timestamps: prng.chance(1, 4),
          tolerateMissingTimestamps: true,
          sack: prng.chance(3, 4),
          ecn: prng.chance(1, 2),
          rackTlp: prng.chance(1, 2),
          windowScale: prng.chance(1, 2) ? 7 : -1,
        };
        s = new Script(options);
        bring(s);
        left = prng.below(400);
        runs++;
      }
      s.drain();
      if (prng.chance(1, 8)) s.write(prng.below(5_000));
      if (prng.chance(1, 8)) s.read(prng.below(5_000));
      if (prng.chance(1, 30)) s.wait(prng.below(3_000_000));
      s.drain();
      s.end.deliver(drawSegment(prng, s), prng.below(4), s.now);
      check(s, `${state} run ${runs} segment ${i}`);
    }
    assert(runs > 10);
  });
}

Deno.test("TcpConnection answers a forged segment with no more bytes than it has", () => {
  const prng = new Prng(5);
  for (let run = 0; run < 200; run++) {
    const s = new Script({ challengeAcksPerSecond: 1_000 }).accept();
    for (let i = 0; i < 20; i++) {
      // Whoever cannot see the connection does not know its sequence numbers.
      const bytes = drawSegment(prng, s);
      const view = new DataView(bytes.buffer);
      view.setUint32(4, s.connection.rcvNxt + 70_000 + prng.below(0x7000_0000));
      s.end.deliver(bytes, 0, s.now);
      const out = s.drain().reduce((sum, sent) => sum + sent.bytes.length, 0);
      assert(out <= bytes.length, `${out} bytes for ${bytes.length}`);
    }
    assertEquals(s.connection.state, TcpState.Established);
  }
});

Deno.test("Scoreboard and rings keep their memory bounded when everything is selectively acknowledged in crumbs", () => {
  const s = new Script({ nagle: false, sendBufferBytes: 1 << 20, sendBufferBytesMax: 1 << 20 });
  s.accept("mss 1000,sackOK,nop,wscale 7", 60_000);
  s.end.segmentBytesMax = 60_000;
  const prng = new Prng(3);
  s.write(1_000_000);
  for (let i = 0; i < 5_000; i++) {
    const start = 1 + prng.below(900_000);
    s.take(`. 1:1(0) ack 1 win 60000 <sack ${start}:${start + 1 + prng.below(3_000)}>`);
    s.drain();
  }
  assert(s.connection.scoreboard.count <= 2_000, `${s.connection.scoreboard.count}`);
});

Deno.test("TcpConnection allocates nothing in a long transfer but what it has", () => {
  const collect = (globalThis as { gc?: () => void }).gc;
  const pair = new Pair(1, { delayUs: 100 });
  pair.connect();
  pair.run(1_000);
  const chunk = new Uint8Array(20_000);
  const round = () => {
    pair.a.connection.send(chunk, 0, chunk.length, pair.now);
    pair.run(300);
    while (pair.b.connection.receive(chunk, 0, chunk.length, pair.now) > 0);
  };
  for (let i = 0; i < 300; i++) round();
  const before = pair.a.connection.memoryBytes + pair.b.connection.memoryBytes;
  const kept = pair.a.buffers.keptBytes + pair.b.buffers.keptBytes;
  collect?.();
  const heap = Deno.memoryUsage().heapUsed;
  for (let i = 0; i < 2_000; i++) round();
  collect?.();
  assert(pair.a.connection.memoryBytes + pair.b.connection.memoryBytes <= 2 * before);
  assert(pair.a.buffers.keptBytes + pair.b.buffers.keptBytes <= 2 * kept);
  if (collect) assert(Deno.memoryUsage().heapUsed - heap < 300_000);
  assertEquals(pair.now > micros(0), true);
});
