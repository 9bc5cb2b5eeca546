import { assert, assertEquals } from "@std/assert";
import { TcpError, TcpEvent, TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import { Script } from "./script.ts";

const SECOND = 1_000_000;
const MS = 1_000;

Deno.test("TcpConnection acknowledges every second segment, and a lone one after a while", () => {
  const s = new Script().accept();
  s.take(". 1:1461(1460) ack 1").expect();
  s.take(". 1461:2921(1460) ack 1").expect(". 1:1(0) ack 2921");
  s.take("P. 2921:3021(100) ack 1").expect();
  s.wait(39 * MS).expect();
  s.wait(2 * MS).expect(". 1:1(0) ack 3021");
  assertEquals(s.read(10_000), 3_020);
});

Deno.test("TcpConnection acknowledges by bytes, at once, or at once at first, where it is told so", () => {
  const bytes = new Script({ delayedAckByBytes: true }).accept();
  for (let i = 0; i < 5; i++) bytes.take(`P. ${1 + i * 100}:${101 + i * 100}(100) ack 1`).expect();
  bytes.take("P. 501:601(100) ack 1").expect(". 1:1(0) ack 601");
  const now = new Script({ delayedAckUs: 0 }).accept();
  now.take("P. 1:101(100) ack 1").expect(". 1:1(0) ack 101");
  const quick = new Script({ quickAckSegments: 1 }).accept();
  quick.take("P. 1:101(100) ack 1").expect(". 1:1(0) ack 101");
  quick.take("P. 101:201(100) ack 1").expect();
});

Deno.test("TcpConnection answers the segments of one batch with one ACK where it is told so, and no more of them than that", () => {
  const s = new Script({ batchAckSegmentsMax: 5 }).accept();
  for (let i = 0; i < 4; i++) s.take(`. ${1 + i * 100}:${101 + i * 100}(100) ack 1`).expect();
  s.wait(0).expect(". 1:1(0) ack 401");
  for (let i = 4; i < 8; i++) s.take(`. ${1 + i * 100}:${101 + i * 100}(100) ack 1`).expect();
  s.take(". 801:901(100) ack 1").expect(". 1:1(0) ack 901");
  s.take("P. 901:1001(100) ack 1").expect();
  s.wait(39 * MS).expect();
  s.wait(2 * MS).expect(". 1:1(0) ack 1001");
  // What is out of order is still answered at once.
  s.take(". 1101:1201(100) ack 1").expect(". 1:1(0) ack 1001 <nop,nop,sack 1101:1201>");
});

Deno.test("TcpConnection carries its acknowledgment with data", () => {
  const s = new Script().accept();
  s.take("P. 1:101(100) ack 1").expect();
  s.write(10);
  s.expect("P. 1:11(10) ack 101");
  s.wait(SECOND / 10);
  s.expect();
});

Deno.test("TcpConnection stores what comes early, reports it, and takes it in when the hole is filled", () => {
  const s = new Script().accept();
  s.take(". 101:201(100) ack 1").expect(". 1:1(0) ack 1 <nop,nop,sack 101:201>");
  s.take(". 301:401(100) ack 1").expect(". 1:1(0) ack 1 <nop,nop,sack 301:401 101:201>");
  s.take(". 501:601(100) ack 1").expect(". 1:1(0) ack 1 <nop,nop,sack 501:601 301:401 101:201>");
  s.take(". 201:301(100) ack 1").expect(". 1:1(0) ack 1 <nop,nop,sack 101:401 501:601>");
  assertEquals(s.connection.readableBytes, 0);
  s.take(". 1:101(100) ack 1").expect(". 1:1(0) ack 401 <nop,nop,sack 501:601>");
  s.take(". 401:501(100) ack 1").expect(". 1:1(0) ack 601 <>");
  const into = new Uint8Array(1_000);
  assertEquals(s.connection.receive(into, 0, 1_000, s.now), 600);
  for (let i = 0; i < 600; i++) assertEquals(into[i], (1 + i) & 255);
});

Deno.test("TcpConnection reports duplicates by DSACK", () => {
  const s = new Script().accept();
  s.take(". 1:101(100) ack 1").expect();
  s.take(". 1:101(100) ack 1").expect(". 1:1(0) ack 101 <nop,nop,sack 1:101>");
  s.take(". 51:151(100) ack 1").expect(". 1:1(0) ack 151 <nop,nop,sack 51:101>");
  s.take(". 201:301(100) ack 1").expect(". 1:1(0) ack 151 <nop,nop,sack 201:301>");
  s.take(". 201:301(100) ack 1").expect(". 1:1(0) ack 151 <nop,nop,sack 201:301 201:301>");
  const silent = new Script({ dsack: false }).accept();
  silent.take(". 1:101(100) ack 1").take(". 1:101(100) ack 1").expect(". 1:1(0) ack 101 <>");
});

Deno.test("TcpConnection takes a FIN that came before the data in front of it", () => {
  const s = new Script().accept();
  s.take("F. 101:101(0) ack 1").expect(". 1:1(0) ack 1");
  assertEquals(s.connection.isPeerClosed, false);
  s.take(". 1:101(100) ack 1").expect(". 1:1(0) ack 102");
  assertEquals([s.connection.state, s.read(1_000), s.connection.isPeerClosed], [TcpState.CloseWait, 100, true]);
  const late = new Script().accept();
  late.take("FP. 51:101(50) ack 1").expect(". 1:1(0) ack 1");
  late.take(". 1:51(50) ack 1").expect(". 1:1(0) ack 102");
  assertEquals(late.read(1_000), 100);
});

Deno.test("TcpConnection keeps to its window and tells when there is room again", () => {
  const s = new Script({ receiveBufferBytes: 4_000 }).accept("mss 1000,sackOK");
  for (let i = 0; i < 4; i++) s.take(`. ${1 + i * 1_000}:${1_001 + i * 1_000}(1000) ack 1`);
  s.expect(". 1:1(0) ack 2001 win 2000", ". 1:1(0) ack 4001 win 0");
  s.take(". 4001:5001(1000) ack 1").expect(". 1:1(0) ack 4001 win 0"); // a probe with too much
  assertEquals(s.read(500), 500);
  s.expect(); // a silly window is not announced
  assertEquals(s.read(1_500), 1_500);
  s.expect(". 1:1(0) ack 4001 win 2000");
});

Deno.test("TcpConnection cuts what reaches beyond the window", () => {
  const s = new Script({ receiveBufferBytes: 2_000 }).accept("mss 1000,sackOK");
  s.take("FP. 1:3001(3000) ack 1").expect(". 1:1(0) ack 2001 win 0");
  assertEquals([s.connection.state, s.read(10_000)], [TcpState.Established, 2_000]);
});

Deno.test("TcpConnection takes back less than a unit of what it announced, and gives no more than it has", () => {
  const s = new Script({ windowScale: 7, receiveBufferBytes: 100_000, receiveBufferBytesMax: 100_000 });
  s.accept("mss 1000,nop,wscale 7");
  let edge = 0;
  for (let at = 1; at < 60_000; at += 333) {
    s.take(`. ${at}:${at + 333}(333) ack 1`);
    for (const { bytes } of s.drain()) {
      const view = new DataView(bytes.buffer);
      const right = ((view.getUint32(8) - s.irs) >>> 0) + view.getUint16(14) * 128;
      assert(right > edge - 128, `${right} after ${edge}`);
      assert(right - at - 333 <= s.connection.receiveLimit - s.connection.readableBytes + 128);
      edge = Math.max(edge, right);
    }
    if (at % 5 === 0) s.read(100);
    s.drain();
  }
});

Deno.test("TcpConnection holds small segments back while something is unacknowledged, unless told not to", () => {
  const s = new Script().accept();
  s.write(10);
  s.expect("P. 1:11(10) ack 1");
  s.write(10);
  s.write(10);
  s.expect();
  s.take(". 1:1(0) ack 11").expect("P. 11:31(20) ack 1");
  s.write(5);
  s.connection.setNagle(false, s.now);
  s.expect("P. 31:36(5) ack 1");
});

Deno.test("TcpConnection does not send silly segments into a small window", () => {
  const s = new Script({ nagle: false }).accept("mss 1000,sackOK", 4_000);
  s.write(4_000);
  assertEquals(s.drain().length, 4);
  s.write(3_000);
  s.take(". 1:1(0) ack 4001 win 500").expect(); // less than half of the largest window, less than a segment
  s.take(". 1:1(0) ack 4001 win 1000").expect(". 4001:5001(1000) ack 1");
});

Deno.test("TcpConnection probes a closed window with back-off, for as long as the peer answers", () => {
  const s = new Script({ dataRetries: 3, rtoMaxUs: SECOND }).accept("mss 1000,sackOK", 1_000);
  s.write(3_000);
  s.expect(". 1:1001(1000) ack 1");
  s.take(". 1:1(0) ack 1001 win 0").expect();
  s.wait(300 * MS).expect(". 1001:1002(1) ack 1");
  for (let i = 0; i < 20; i++) {
    s.take(". 1:1(0) ack 1001 win 0");
    s.wait(1_000 * MS);
    const probes = s.drain().length;
    assert(probes === 1 || (i === 0 && probes === 2), `${probes} probes in second ${i}`);
  }
  s.take(". 1:1(0) ack 1002 win 0"); // the probe's byte was taken
  s.wait(1_100 * MS);
  s.take(". 1:1(0) ack 1002 win 5000");
  const last = s.drain().pop()!;
  assertEquals(new DataView(last.bytes.buffer).getUint32(4), (s.end.iss + 1_002) >>> 0);
});

Deno.test("TcpConnection gives a closed window up when nobody answers", () => {
  const s = new Script({ dataRetries: 3 }).accept("mss 1000,sackOK", 1_000);
  s.write(3_000);
  s.take(". 1:1(0) ack 1001 win 0");
  s.wait(600 * SECOND);
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.TimedOut]);
});

Deno.test("TcpConnection.send() takes what fits and tells when there is room", () => {
  const s = new Script({ sendBufferBytes: 2_000, sendBufferBytesMax: 2_000 }).accept("mss 1000,sackOK");
  s.connection.takeEvents();
  assertEquals(s.write(3_000), 2_000);
  assertEquals([s.write(10), s.connection.writableBytes, s.connection.takeEvents()], [0, 0, 0]);
  s.take(". 1:1(0) ack 1001");
  assertEquals([s.connection.takeEvents(), s.connection.writableBytes], [TcpEvent.Writable, 1_000]);
  s.connection.shutdownSend(s.now);
  assertEquals([s.write(10), s.connection.writableBytes], [-1, 0]);
});

Deno.test("TcpConnection drops old duplicates by their timestamp, and takes it from acceptable segments only", () => {
  const s = new Script({ timestamps: true });
  s.take("S 0:0(0) win 65535 <mss 1460,nop,nop,TS val 1000 ecr 0>").drain();
  s.ts = 1_001;
  s.take(". 1:1(0) ack 1");
  s.ts = 1_010;
  s.take("P. 1:101(100) ack 1");
  s.ts = 1_005;
  s.take("P. 101:201(100) ack 1").expect(". 1:1(0) ack 101"); // PAWS
  assertEquals(s.connection.readableBytes, 100);
  s.ts = 9_999;
  s.take("P. 101:201(100) ack 9999");
  assertEquals(s.connection.tsRecent, 1_010); // its ACK was of nothing we sent
  s.ts = -1;
  s.take("P. 101:201(100) ack 1");
  assertEquals(s.connection.readableBytes, 100); // without timestamps: dropped
});

Deno.test("TcpConnection takes segments without timestamps where it is told so", () => {
  const s = new Script({ timestamps: true, tolerateMissingTimestamps: true });
  s.take("S 0:0(0) win 65535 <mss 1460,nop,nop,TS val 1000 ecr 0>");
  s.take("P. 1:101(100) ack 1");
  assertEquals(s.connection.readableBytes, 100);
});

Deno.test("TcpConnection keeps an idle connection alive, and gives up when nobody answers", () => {
  const s = new Script({ keepAliveUs: 10 * SECOND, keepAliveIntervalUs: SECOND, keepAliveProbes: 3 }).accept();
  s.wait(10 * SECOND).expect(". 0:0(0) ack 1");
  s.take(". 1:1(0) ack 1");
  s.wait(9 * SECOND).expect();
  s.wait(SECOND).expect(". 0:0(0) ack 1");
  s.wait(SECOND).expect(". 0:0(0) ack 1");
  s.wait(SECOND).expect(". 0:0(0) ack 1");
  s.wait(SECOND).expect("R. 1:1(0) ack 1");
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.TimedOut]);
});

Deno.test("TcpConnection answers keep-alive probes", () => {
  const s = new Script().accept();
  s.take(". 0:0(0) ack 1").expect(". 1:1(0) ack 1");
});

Deno.test("TcpConnection gives up after the user timeout", () => {
  const s = new Script({ userTimeoutUs: 2 * SECOND }).accept();
  s.write(10);
  s.wait(1_900 * MS);
  assertEquals(s.connection.state, TcpState.Established);
  s.wait(200 * MS);
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.UserTimeout]);
});

Deno.test("TcpConnection grows its receive buffer while the application keeps up", () => {
  const s = new Script({ receiveBufferBytes: 20_000, receiveBufferBytesMax: 1 << 20, windowScale: 7 });
  s.accept("mss 1000,nop,wscale 7");
  const before = s.connection.receiveLimit;
  let at = 1;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 15; i++) {
      s.take(`. ${at}:${at + 1_000}(1000) ack 1`);
      at += 1_000;
      s.read(10_000);
    }
    s.wait(10_000);
  }
  assert(s.connection.receiveLimit > before, `${s.connection.receiveLimit}`);
  assert(s.connection.receiveLimit <= 1 << 20);
});

Deno.test("TcpConnection talks ECN: marks, echoes, answers", () => {
  const s = new Script({ ecn: true });
  s.take("SEW 0:0(0) win 65535 <mss 1000,sackOK>").expect("SE. 0:0(0) ack 1");
  s.take(". 1:1(0) ack 1");
  s.write(3_000);
  assertEquals(s.drain().map(({ ecn }) => ecn), [2, 2, 2]);
  s.take("P. 1:101(100) ack 1", 3).expect("E. 3001:3001(0) ack 101"); // a mark is echoed…
  s.take("P. 101:201(100) ack 1", 2);
  s.take("P. 201:301(100) ack 1", 2).expect("E. 3001:3001(0) ack 301");
  s.take("WP. 301:401(100) ack 1", 2);
  s.take("P. 401:501(100) ack 1", 2).expect(". 3001:3001(0) ack 501"); // … until CWR
  const before = s.connection.cwnd;
  s.take("E. 501:501(0) ack 3001");
  assert(s.connection.ssthresh < before);
  s.write(1_000);
  s.expect("PW. 3001:4001(1000) ack 501");
});

Deno.test("TcpConnection agrees to ECN without asking for it, unless told not to", () => {
  new Script().take("SEW 0:0(0) win 100 <mss 1000>").expect("SE. 0:0(0) ack 1");
  new Script({ ecnAccept: false }).take("SEW 0:0(0) win 100 <mss 1000>").expect("S. 0:0(0) ack 1");
  const s = new Script({ ecn: true });
  s.connection.openActive(s.now);
  s.expect("SEW 0:0(0)");
  s.take("S. 0:0(0) ack 1 win 100 <mss 1000>").expect(". 1:1(0) ack 1");
  assertEquals(s.connection.ecn, false);
});

Deno.test("TcpConnection counts the pieces of a joined segment", () => {
  const s = new Script().accept();
  s.end.deliver(s.build(". 1:2921(2920) ack 1"), 0, s.now, 1_460);
  s.expect(". 1:1(0) ack 2921");
});

Deno.test("TcpConnection goes on when slots run out", () => {
  const s = new Script().accept();
  s.end.starved = true;
  s.write(100);
  s.take("P. 1:101(100) ack 1").take("P. 101:201(100) ack 1");
  s.expect();
  s.end.starved = false;
  s.wait(SECOND);
  const sent = s.drain();
  assert(sent.length > 0);
  s.take(". 201:201(0) ack 101");
  assertEquals(s.connection.unackedBytes, 0);
});

Deno.test("TcpConnection leaves super-segments to a device that cuts them", () => {
  const s = new Script({ nagle: false }).accept("mss 1000,sackOK");
  s.end.segmentBytesMax = 60_000;
  s.write(9_500);
  const sent = s.drain();
  assertEquals(sent.map(({ bytes, segmentBytes }) => [bytes.length - 20, segmentBytes]), [[9_500, 1_000]]);
  s.take(". 1:1(0) ack 1 <sack 2001:9501>");
  s.expect(". 1:1001(1000) ack 1", ". 1001:2001(1000) ack 1");
});
