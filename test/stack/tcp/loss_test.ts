import { assert, assertEquals } from "@std/assert";
import { TcpError, TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import { TcpInfo } from "../../../core/stack/tcp/info.ts";
import { Script } from "./script.ts";

const SECOND = 1_000_000;
const MS = 1_000;

/** Ten segments of 1,000 bytes in flight. */
function tenOut(options: ConstructorParameters<typeof Script>[0] = {}, syn = "mss 1000,sackOK"): Script {
  const s = new Script({ nagle: false, ...options }).accept(syn);
  s.write(10_000);
  assertEquals(s.drain().length, 10);
  s.wait(10 * MS);
  return s;
}

Deno.test("TcpConnection sends again after a timeout, with back-off, and gives up", () => {
  const s = new Script({ rackTlp: false, dataRetries: 3 }).accept();
  s.write(10);
  s.drain();
  const times: number[] = [];
  for (let i = 0; i < 60; i++) {
    s.wait(100 * MS);
    for (const { at, bytes } of s.drain()) if ((bytes[13]! & 4) === 0) times.push(at);
  }
  assertEquals(times.length, 3);
  const gaps = times.map((at, i) => i === 0 ? 0 : at - times[i - 1]!);
  assertEquals(Math.round(gaps[2]! / gaps[1]!), 2);
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.TimedOut]);
});

Deno.test("TcpConnection falls back to one segment after a timeout and climbs from there", () => {
  const s = tenOut({ rackTlp: false });
  s.wait(300 * MS).expect(". 1:1001(1000) ack 1");
  assertEquals(s.connection.cwnd, 1_000);
  s.take(". 1:1(0) ack 1001").expect(". 1001:2001(1000) ack 1", ". 2001:3001(1000) ack 1");
  s.take(". 1:1(0) ack 10001").expect();
  assertEquals(s.connection.unackedBytes, 0);
});

Deno.test("TcpConnection sends the first hole again after three SACKed segments, and no sooner", () => {
  for (const rackTlp of [true, false]) {
    const s = tenOut({ rackTlp });
    s.take(". 1:1(0) ack 1 <sack 1001:2001>").expect();
    s.take(". 1:1(0) ack 1 <sack 1001:3001>").expect();
    s.take(". 1:1(0) ack 1 <sack 1001:4001>").expect(". 1:1001(1000) ack 1");
    s.take(". 1:1(0) ack 10001").expect();
    const info = new TcpInfo();
    s.connection.info(info);
    assertEquals([info.retransmits, info.inRecovery, info.unackedBytes], [1, false, 0]);
    assertEquals(s.connection.cwnd, s.connection.ssthresh);
  }
});

Deno.test("TcpConnection sends a new segment for each of the first two duplicates", () => {
  const s = tenOut();
  s.write(5_000);
  s.expect();
  s.take(". 1:1(0) ack 1 <sack 1001:2001>").expect(". 10001:11001(1000) ack 1");
  s.take(". 1:1(0) ack 1 <sack 1001:3001>").expect(". 11001:12001(1000) ack 1");
});

Deno.test("TcpConnection recovers without SACK, hole by hole", () => {
  const s = tenOut({}, "mss 1000");
  s.take(". 1:1(0) ack 1").expect();
  s.take(". 1:1(0) ack 1").expect();
  s.take(". 1:1(0) ack 1").expect(". 1:1001(1000) ack 1");
  s.take(". 1:1(0) ack 1").expect();
  s.take(". 1:1(0) ack 4001").expect(". 4001:5001(1000) ack 1"); // a partial acknowledgment
  s.take(". 1:1(0) ack 10001").expect();
  assertEquals(s.connection.recovery, 0);
});

Deno.test("TcpConnection finds every hole that SACK shows", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 1 <sack 1001:2001 3001:4001 5001:10001>");
  const first = s.drain();
  assert(first.length >= 1);
  for (let i = 0; i < 3; i++) s.take(". 1:1(0) ack 1001 <sack 1001:2001>");
  s.take(". 1:1(0) ack 2001 <sack 3001:4001 5001:10001>");
  s.take(". 1:1(0) ack 4001 <sack 5001:10001>");
  const starts = [...first, ...s.drain()].map(({ bytes }) =>
    (new DataView(bytes.buffer).getUint32(4) - s.end.iss) >>> 0
  );
  assertEquals([...new Set(starts)].sort((a, b) => a - b), [1, 2_001, 4_001]);
});

Deno.test("TcpConnection waits a little for segments that may have been overtaken", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 1 <sack 1001:2001>").expect();
  s.wait(1 * MS).expect();
  s.wait(3 * MS).expect(". 1:1001(1000) ack 1"); // a quarter of the round trip of 10 ms
});

Deno.test("TcpConnection learns that the path reorders, and becomes patient", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 1 <sack 1001:2001>").expect();
  s.take(". 1:1(0) ack 2001").expect(); // the first one came after all
  assertEquals(s.connection.reorderingSeen, true);
  s.take(". 1:1(0) ack 2001 <sack 3001:6001>").expect();
});

Deno.test("TcpConnection probes a lost tail before the timeout comes", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 8001").expect();
  s.wait(40 * MS).expect("P. 9001:10001(1000) ack 1");
  s.take(". 1:1(0) ack 8001 <sack 9001:10001>").expect(". 8001:9001(1000) ack 1");
  s.take(". 1:1(0) ack 10001").expect();
});

Deno.test("TcpConnection pays for a loss that its own probe repaired", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 9001").expect();
  const before = s.connection.ssthresh;
  s.wait(400 * MS).expect("P. 9001:10001(1000) ack 1");
  s.write(1_000);
  s.drain();
  s.take(". 1:1(0) ack 11001").expect();
  assert(s.connection.ssthresh < before);
});

Deno.test("TcpConnection probes with new data when it has some", () => {
  const s = tenOut({ sendBufferBytes: 100_000 });
  s.write(5_000);
  s.drain();
  s.wait(40 * MS);
  s.expect(". 10001:11001(1000) ack 1");
});

Deno.test("TcpConnection does not believe a peer that takes its SACKs back", () => {
  const s = tenOut();
  s.take(". 1:1(0) ack 1001 <sack 2001:10001>");
  s.drain();
  s.take(". 1:1(0) ack 2001"); // only up to here: what lies above was forgotten
  s.wait(3 * SECOND);
  const starts = s.drain().map(({ bytes }) => (new DataView(bytes.buffer).getUint32(4) - s.end.iss) >>> 0);
  assert(starts.includes(2_001), `${starts}`);
});

Deno.test("TcpConnection joins small segments when it sends them again", () => {
  const s = new Script({ nagle: false, rackTlp: false }).accept("mss 1000,sackOK");
  for (let i = 0; i < 5; i++) s.write(100);
  assertEquals(s.drain().length, 5);
  s.wait(300 * MS).expect("P. 1:501(500) ack 1");
});

Deno.test("TcpConnection ignores SACK ranges that cannot be", () => {
  const s = tenOut();
  for (const sack of ["20001:30001", "2001:1001", "0:1001", "9001:20001"]) {
    s.take(`. 1:1(0) ack 1 <sack ${sack}>`).expect();
    assertEquals(s.connection.scoreboard.sackedBytes, 0, sack);
  }
});

Deno.test("TcpConnection measures the round trip, and not by what it sent twice", () => {
  const s = new Script({ rackTlp: false }).accept();
  s.write(10);
  s.wait(50 * MS);
  s.take(". 1:1(0) ack 11");
  const info = new TcpInfo();
  s.connection.info(info);
  assert(info.smoothedRttUs > 10 * MS && info.smoothedRttUs < 50 * MS);
  s.write(10);
  s.wait(600 * MS);
  s.take(". 1:1(0) ack 21");
  const later = new TcpInfo();
  s.connection.info(later);
  assertEquals(later.smoothedRttUs, info.smoothedRttUs);
  assertEquals(later.retransmits, 1);
});

Deno.test("TcpConnection starts with ten segments and doubles each round trip", () => {
  const s = new Script({ sendBufferBytes: 1 << 20, sendBufferBytesMax: 1 << 20 });
  s.accept("mss 1000,nop,wscale 7", 60_000);
  s.write(500_000);
  assertEquals(s.drain().length, 10);
  s.wait(10 * MS);
  for (let i = 1; i <= 10; i++) s.take(`. 1:1(0) ack ${1 + i * 1_000} win 60000`);
  assertEquals(s.drain().length, 20);
});

Deno.test("TcpConnection starts over after silence", () => {
  const s = new Script({ sendBufferBytes: 1 << 20, initialWindowSegments: 2 }).accept("mss 1000,nop,wscale 7", 60_000);
  s.write(50_000);
  for (let at = 2_001; at <= 50_001; at += 2_000) s.take(`. 1:1(0) ack ${at} win 60000`);
  s.drain();
  assert(s.connection.cwnd > 10_000);
  s.wait(10 * SECOND);
  s.write(20_000);
  assertEquals(s.drain().length, 2);
});
