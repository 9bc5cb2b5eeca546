import { assert, assertEquals } from "@std/assert";
import type { CongestionView } from "../../../core/stack/tcp/congestion.ts";
import { Cubic } from "../../../core/stack/tcp/cubic.ts";
import { Reno } from "../../../core/stack/tcp/reno.ts";
import { micros } from "../../../core/base/micros.ts";
import { Recovery } from "../../../core/stack/tcp/tcb.ts";
import { Script } from "./script.ts";

const MS = 1_000;

/** Ten segments of 1,000 bytes in flight, and `more` bytes that wait behind them. */
function tenOut(options: ConstructorParameters<typeof Script>[0] = {}, syn = "mss 1000,sackOK", more = 0): Script {
  const s = new Script({ nagle: false, rackTlp: false, ...options }).accept(syn);
  s.write(10_000 + more);
  assertEquals(s.drain().length, 10);
  s.wait(10 * MS);
  return s;
}

Deno.test("TcpConnection takes a timeout back when the ACK is of segments that were never sent again (F-RTO with SACK)", () => {
  for (const congestion of ["cubic", "reno"] as const) {
    const s = tenOut({ congestion });
    const { cwnd, ssthresh } = s.connection;
    s.wait(300 * MS).expect(". 1:1001(1000) ack 1");
    assertEquals([s.connection.cwnd, s.connection.recovery], [1_000, Recovery.Loss]);
    // The ACKs were only late: this one covers two segments of which one left twice.
    s.take(". 1:1(0) ack 2001");
    assertEquals([s.connection.recovery, s.connection.ssthresh, s.connection.undoCount], [Recovery.Open, ssthresh, 1]);
    assert(s.connection.cwnd >= cwnd, "the window is back");
    assertEquals(s.connection.scoreboard.lostBytes, 0);
    s.expect();
    s.take(". 1:1(0) ack 10001").expect();
  }
});

Deno.test("TcpConnection without SACK sends new data after a timeout, and the second ACK tells (F-RTO)", () => {
  const s = tenOut({}, "mss 1000", 5_000);
  const { ssthresh } = s.connection;
  s.wait(300 * MS).expect(". 1:1001(1000) ack 1");
  s.take(". 1:1(0) ack 1001").expect(". 10001:11001(1000) ack 1", ". 11001:12001(1000) ack 1");
  s.take(". 1:1(0) ack 2001");
  assertEquals([s.connection.recovery, s.connection.ssthresh, s.connection.undoCount], [Recovery.Open, ssthresh, 1]);
  for (const { bytes } of s.drain()) {
    const seq = (new DataView(bytes.buffer).getUint32(4) - s.end.iss) >>> 0;
    assert(seq >= 12_001, "nothing old is sent again");
  }
});

Deno.test("TcpConnection goes on with slow start when a timeout was right", () => {
  for (const [syn, sack] of [["mss 1000", ""], ["mss 1000,sackOK", " <sack 10001:11001>"]] as const) {
    const s = tenOut({}, syn, 5_000);
    s.wait(300 * MS).expect(". 1:1001(1000) ack 1");
    s.take(". 1:1(0) ack 1001").expect(". 10001:11001(1000) ack 1", ". 11001:12001(1000) ack 1");
    // A duplicate: what was in flight is lost indeed.
    s.take(`. 1:1(0) ack 1001${sack}`);
    const resent = s.drain().map(({ bytes }) => (new DataView(bytes.buffer).getUint32(4) - s.end.iss) >>> 0);
    assertEquals(resent[0], 1_001, "the first hole leaves again");
    assertEquals([s.connection.recovery, s.connection.undoCount], [Recovery.Loss, 0]);
  }
});

Deno.test("TcpConnection repairs at once after a timeout when it has nothing new to ask with", () => {
  const s = tenOut();
  s.wait(300 * MS).expect(". 1:1001(1000) ack 1");
  s.take(". 1:1(0) ack 1001").expect(". 1001:2001(1000) ack 1", ". 2001:3001(1000) ack 1");
  assertEquals(s.connection.undoCount, 0);
});

Deno.test("TcpConnection takes a reduction back when the ACK echoes a time before the retransmission (Eifel)", () => {
  const s = new Script({ nagle: false, rackTlp: false, timestamps: true });
  s.ts = 5_000;
  s.accept("mss 1012,sackOK,TS val 5000 ecr 0");
  s.write(10_000);
  s.drain();
  const sentAt = s.connection.timestampAt(s.now);
  const { cwnd, ssthresh } = s.connection;
  s.wait(20 * MS);
  for (const end of [2_001, 3_001, 4_001]) {
    s.take(`. 1:1(0) ack 1 <TS val 5001 ecr ${sentAt},nop,nop,sack 1001:${end}>`);
  }
  assertEquals(s.drain().length > 0, true, "the hole was sent again");
  assert(s.connection.ssthresh < ssthresh && s.connection.recovery === Recovery.Fast);
  s.wait(5 * MS);
  s.take(`. 1:1(0) ack 4001 <TS val 5002 ecr ${sentAt}>`);
  assertEquals([s.connection.recovery, s.connection.ssthresh, s.connection.undoCount], [Recovery.Open, ssthresh, 1]);
  assert(s.connection.cwnd >= cwnd);
});

Deno.test("TcpConnection lets a reduction stand when the ACK echoes the retransmission's time", () => {
  const s = new Script({ nagle: false, rackTlp: false, timestamps: true });
  s.ts = 5_000;
  s.accept("mss 1012,sackOK,TS val 5000 ecr 0");
  s.write(10_000);
  s.drain();
  const sentAt = s.connection.timestampAt(s.now);
  s.wait(20 * MS);
  for (const end of [2_001, 3_001, 4_001]) {
    s.take(`. 1:1(0) ack 1 <TS val 5001 ecr ${sentAt},nop,nop,sack 1001:${end}>`);
  }
  const resentAt = s.connection.timestampAt(s.now);
  s.wait(5 * MS);
  s.take(`. 1:1(0) ack 4001 <TS val 5002 ecr ${resentAt}>`);
  assertEquals([s.connection.recovery, s.connection.undoCount], [Recovery.Fast, 0]);
});

Deno.test("TcpConnection takes a reduction back when every retransmission is reported as a duplicate (DSACK)", () => {
  const s = tenOut();
  const { cwnd, ssthresh } = s.connection;
  for (const end of [2_001, 3_001, 4_001]) s.take(`. 1:1(0) ack 1 <sack 1001:${end}>`);
  s.expect(". 1:1001(1000) ack 1");
  s.take(". 1:1(0) ack 10001").expect();
  assertEquals([s.connection.recovery, s.connection.undoCount], [Recovery.Open, 0]);
  assert(s.connection.ssthresh < ssthresh);
  s.take(". 1:1(0) ack 10001 <sack 1:1001>").expect();
  s.write(1_000);
  s.drain();
  s.take(". 1:1(0) ack 11001 <sack 1:1001>");
  assertEquals([s.connection.ssthresh, s.connection.undoCount], [ssthresh, 1]);
  assert(s.connection.cwnd >= cwnd);
});

Deno.test("TcpConnection takes nothing back where undo is switched off, nor what the network itself asked for", () => {
  const off = tenOut({ undo: false });
  off.wait(300 * MS).expect(". 1:1001(1000) ack 1");
  off.take(". 1:1(0) ack 2001");
  assertEquals([off.connection.recovery, off.connection.undoCount], [Recovery.Loss, 0]);

  const marked = new Script({ nagle: false, rackTlp: false, ecn: true });
  marked.take("SEW 0:0(0) win 65535 <mss 1000,sackOK>").wait(10 * MS).take(". 1:1(0) ack 1");
  marked.write(10_000);
  marked.drain();
  marked.take("E. 1:1(0) ack 1001");
  const { ssthresh } = marked.connection;
  marked.take(". 1:1(0) ack 2001 <sack 1:1001>").take(". 1:1(0) ack 3001");
  assertEquals([marked.connection.ssthresh, marked.connection.undoCount], [ssthresh, 0]);
});

Deno.test("CongestionControl.restore() brings back what reduced() and timedOut() changed", () => {
  for (const make of [() => new Cubic(), () => new Reno()]) {
    const view = (cwnd: number): CongestionView => ({
      cwnd,
      ssthresh: 5_000,
      sendMss: 1_000,
      srttUs: 50_000,
      minRttUs: 50_000,
    });
    const [changed, untouched] = [make(), make()];
    const [a, b] = [view(20_000), view(20_000)];
    const grow = (control: Cubic | Reno, at: CongestionView, from: number, to: number) => {
      for (let i = from; i < to; i++) control.increase(at, 1_000, micros(1_000_000 + i * 5_000));
    };
    grow(changed, a, 0, 50);
    grow(untouched, b, 0, 50);
    const { cwnd, ssthresh } = a;
    a.ssthresh = changed.reduced(a, 20_000);
    changed.timedOut(a);
    changed.restore();
    Object.assign(a, { cwnd, ssthresh });
    grow(changed, a, 50, 200);
    grow(untouched, b, 50, 200);
    assertEquals(a.cwnd, b.cwnd);
  }
});
