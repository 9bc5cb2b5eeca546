import { assertEquals } from "@std/assert";
import { TcpError, TcpEvent, TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import { factsOf, Script } from "./script.ts";

const SECOND = 1_000_000;

Deno.test("TcpConnection opens passively, with options in FreeBSD's order", () => {
  const s = new Script({ timestamps: true, windowScale: 6 });
  s.take("S 0:0(0) win 32767 <mss 1460,nop,wscale 7,sackOK,TS val 100 ecr 0>");
  s.expect("S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 6,sackOK,TS>");
  s.ts = 101;
  s.take(". 1:1(0) ack 1 win 100");
  assertEquals(s.connection.state, TcpState.Established);
  assertEquals(s.connection.takeEvents(), TcpEvent.Connected | TcpEvent.Writable);
  assertEquals(s.connection.sndWnd, 12_800);
  s.expect();
});

Deno.test("TcpConnection opens passively, with options in Linux's order", () => {
  const s = new Script({ timestamps: true, windowScale: 8, optionOrder: 1 });
  s.take("S 0:0(0) win 32767 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>");
  s.expect("S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS,nop,wscale 8>");
});

Deno.test("TcpConnection answers only the options of the SYN", () => {
  const rows: [string, string][] = [
    ["mss 1460", "mss 1460"],
    ["mss 1460,sackOK", "mss 1460,sackOK,eol,eol"],
    ["mss 1460,nop,wscale 3", "mss 1460,nop,wscale 6"],
    ["mss 1460,nop,nop,TS val 1 ecr 0", "mss 1460,nop,nop,TS"],
  ];
  for (const [syn, answer] of rows) {
    const s = new Script({ timestamps: true, windowScale: 6 });
    s.take(`S 0:0(0) win 1000 <${syn}>`).expect(`S. 0:0(0) ack 1 win 65535 <${answer}>`);
  }
});

Deno.test("TcpConnection opens actively and repeats its SYN with back-off, then gives up", () => {
  const s = new Script({ synRetries: 2 });
  s.connection.openActive(s.now);
  s.expect("S 0:0(0) win 65535 <mss 1460,sackOK,eol,eol>");
  s.wait(SECOND).expect("S 0:0(0)");
  s.wait(2 * SECOND).expect("S 0:0(0)");
  s.wait(4 * SECOND).expect();
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.TimedOut]);
  assertEquals(s.connection.takeEvents(), TcpEvent.Closed | TcpEvent.Failed);
});

Deno.test("TcpConnection in SYN-SENT judges every kind of segment", () => {
  const rows: [string, string[], number, number][] = [
    ["S. 0:0(0) ack 1 win 1000 <mss 1000>", [". 1:1(0) ack 1"], TcpState.Established, TcpError.None],
    ["S. 0:0(0) ack 2 win 1000", ["R 2:2(0)"], TcpState.SynSent, TcpError.None],
    [". 0:0(0) ack 2 win 1000", ["R 2:2(0)"], TcpState.SynSent, TcpError.None],
    [". 0:0(0) ack 1 win 1000", [], TcpState.SynSent, TcpError.None],
    ["R. 0:0(0) ack 1 win 0", [], TcpState.Closed, TcpError.Refused],
    ["R. 0:0(0) ack 2 win 0", [], TcpState.SynSent, TcpError.None],
    ["R 0:0(0) win 0", [], TcpState.SynSent, TcpError.None],
    ["F 0:0(0) win 0", [], TcpState.SynSent, TcpError.None],
    ["S 0:0(0) win 1000 <mss 1000>", ["S. 0:0(0) ack 1"], TcpState.SynReceived, TcpError.None],
  ];
  for (const [segment, answers, state, error] of rows) {
    const s = new Script();
    s.connection.openActive(s.now);
    s.drain();
    s.take(segment).expect(...answers);
    assertEquals([s.connection.state, s.connection.error], [state, error], segment);
  }
});

Deno.test("TcpConnection opens from both sides at once", () => {
  const s = new Script();
  s.connection.openActive(s.now);
  s.expect("S 0:0(0)");
  s.take("S 0:0(0) win 1000 <mss 1000>").expect("S. 0:0(0) ack 1");
  s.take("S. 0:0(0) ack 1 win 1000 <mss 1000>").expect(". 1:1(0) ack 1");
  assertEquals(s.connection.state, TcpState.Established);
});

Deno.test("TcpConnection keeps the data of a crossing SYN until the handshake is over", () => {
  const s = new Script();
  s.connection.openActive(s.now);
  s.drain();
  s.take("S 0:3(3) win 1000 <mss 1000>").expect("S. 0:0(0) ack 1");
  assertEquals(s.connection.readableBytes, 0);
  s.take(". 4:4(0) ack 1 win 1000");
  assertEquals(s.read(10), 3);
});

Deno.test("TcpConnection in SYN-RECEIVED judges every kind of segment", () => {
  const rows: [string, string[], number][] = [
    [". 1:1(0) ack 1 win 1000", [], TcpState.Established],
    [". 1:1(0) ack 2 win 1000", ["R 2:2(0)"], TcpState.SynReceived],
    [". 1:1(0) ack 0 win 1000", ["R 0:0(0)"], TcpState.SynReceived],
    ["S 0:0(0) win 1000 <mss 1460>", ["S. 0:0(0) ack 1"], TcpState.SynReceived],
    ["S 5:5(0) win 1000 <mss 1460>", [". 1:1(0) ack 1"], TcpState.SynReceived],
    ["R 1:1(0) win 0", [], TcpState.Closed],
    ["R 2:2(0) win 0", [". 1:1(0) ack 1"], TcpState.SynReceived],
    ["R 0:0(0) win 0", [], TcpState.SynReceived],
    ["P. 1:101(100) ack 1 win 1000", [], TcpState.Established],
    ["F. 1:1(0) ack 1 win 1000", [". 1:1(0) ack 2"], TcpState.CloseWait],
  ];
  for (const [segment, answers, state] of rows) {
    const s = new Script();
    s.take("S 0:0(0) win 1000 <mss 1460>");
    s.drain();
    s.take(segment).expect(...answers);
    assertEquals(s.connection.state, state, segment);
  }
});

Deno.test("TcpConnection repeats its SYN-ACK and gives up silently", () => {
  const s = new Script({ synAckRetries: 1 });
  s.take("S 0:0(0) win 1000 <mss 1460>");
  s.drain();
  s.wait(SECOND).expect("S. 0:0(0) ack 1");
  s.wait(2 * SECOND).expect();
  assertEquals(s.connection.state, TcpState.Closed);
});

Deno.test("TcpConnection.openCookie() goes on where a cookie stopped", () => {
  const s = new Script();
  const facts = factsOf(s, "S 0:0(0) win 1000 <mss 1000,sackOK>");
  s.end.iss = 77;
  s.connection.openCookie(facts, 77, s.now);
  s.expect();
  s.take("P. 1:11(10) ack 1 win 1000");
  assertEquals([s.connection.state, s.read(100)], [TcpState.Established, 10]);
});

Deno.test("TcpConnection resets by exact sequence number only, and challenges near misses", () => {
  const rows: [string, string[], boolean][] = [
    ["R 1:1(0) win 0", [], true],
    ["R 2:2(0) win 0", [". 1:1(0) ack 1"], false],
    ["R 65535:65535(0) win 0", [". 1:1(0) ack 1"], false],
    ["R 0:0(0) win 0", [], false],
    ["R 80000:80000(0) win 0", [], false],
    ["S 1:1(0) win 0", [". 1:1(0) ack 1"], false],
    ["S 0:0(0) win 0", [". 1:1(0) ack 1"], false],
    ["S. 2:2(0) ack 1 win 0", [". 1:1(0) ack 1"], false],
  ];
  for (const [segment, answers, isOver] of rows) {
    const s = new Script().accept();
    s.take(segment).expect(...answers);
    assertEquals(s.connection.state, isOver ? TcpState.Closed : TcpState.Established, segment);
    assertEquals(s.connection.error, isOver ? TcpError.Reset : TcpError.None, segment);
  }
});

Deno.test("TcpConnection without challenge ACKs resets anywhere in the window", () => {
  const a = new Script({ challengeAcks: false }).accept();
  a.take("R 100:100(0) win 0").expect();
  assertEquals(a.connection.error, TcpError.Reset);
  const b = new Script({ challengeAcks: false }).accept();
  b.take("S 100:100(0) win 0").expect("R. 1:1(0) ack 1");
  assertEquals(b.connection.error, TcpError.Reset);
});

Deno.test("TcpConnection sends no more challenge ACKs in a second than allowed", () => {
  const s = new Script({ challengeAcksPerSecond: 3 }).accept();
  for (let i = 0; i < 20; i++) s.take("S 5:5(0) win 0");
  assertEquals(s.drain().length, 3);
  s.wait(SECOND);
  s.take("S 5:5(0) win 0").expect(". 1:1(0) ack 1");
});

Deno.test("TcpConnection judges the ACK field", () => {
  const s = new Script().accept();
  s.take(". 1:11(10) ack 2 win 1000").expect(". 1:1(0) ack 1"); // acknowledges what was never sent: dropped
  assertEquals(s.connection.readableBytes, 0);
  s.take("P 1:11(10) win 1000").expect(); // no ACK at all
  assertEquals(s.connection.readableBytes, 0);
});

Deno.test("TcpConnection closes first, and waits", () => {
  const s = new Script().accept();
  s.connection.shutdownSend(s.now);
  s.expect("F. 1:1(0) ack 1");
  assertEquals(s.connection.state, TcpState.FinWait1);
  s.take(". 1:1(0) ack 2");
  assertEquals(s.connection.state, TcpState.FinWait2);
  s.take("P. 1:101(100) ack 2"); // the peer may go on sending
  assertEquals(s.read(200), 100);
  s.take("F. 101:101(0) ack 2").expect(". 2:2(0) ack 102");
  assertEquals([s.connection.state, s.connection.isPeerClosed], [TcpState.TimeWait, true]);
  s.take("F. 101:101(0) ack 2").expect(". 2:2(0) ack 102"); // our ACK was lost
  s.wait(59 * SECOND);
  assertEquals(s.connection.state, TcpState.TimeWait);
  s.wait(2 * SECOND).expect();
  assertEquals([s.connection.state, s.end.calls["closed"], s.end.calls["timeWait"]], [TcpState.Closed, 1, 1]);
});

Deno.test("TcpConnection is closed by the peer first", () => {
  const s = new Script().accept();
  s.take("F. 1:1(0) ack 1").expect(". 1:1(0) ack 2");
  assertEquals([s.connection.state, s.connection.isPeerClosed], [TcpState.CloseWait, true]);
  assertEquals(s.write(10), 10);
  s.expect("P. 1:11(10) ack 2");
  s.connection.close(s.now);
  s.expect("F. 11:11(0) ack 2");
  assertEquals(s.connection.state, TcpState.LastAck);
  s.take(". 2:2(0) ack 12").expect();
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.None]);
});

Deno.test("TcpConnection closes from both sides at once", () => {
  const s = new Script().accept();
  s.connection.close(s.now);
  s.expect("F. 1:1(0) ack 1");
  s.take("F. 1:1(0) ack 1").expect(". 2:2(0) ack 2");
  assertEquals(s.connection.state, TcpState.Closing);
  s.take(". 2:2(0) ack 2").expect();
  assertEquals(s.connection.state, TcpState.TimeWait);
});

Deno.test("TcpConnection repeats a FIN in every ACK where FreeBSD's way is chosen", () => {
  const s = new Script({ finWithEveryAck: true }).accept();
  s.connection.close(s.now);
  s.expect("F. 1:1(0) ack 1");
  s.take("F. 1:1(0) ack 1").expect("F. 1:1(0) ack 2");
  s.take("S 500:500(0) win 0").expect(". 2:2(0) ack 2"); // but never in a challenge
});

Deno.test("TcpConnection takes FIN, data and the ACK of its FIN in one segment", () => {
  const s = new Script().accept();
  s.connection.shutdownSend(s.now);
  s.drain();
  s.take("FP. 1:11(10) ack 2").expect(". 2:2(0) ack 12");
  assertEquals([s.connection.state, s.read(100)], [TcpState.TimeWait, 10]);
});

Deno.test("TcpConnection sends a FIN behind what is queued, and again when it is lost", () => {
  const s = new Script({ rackTlp: false }).accept();
  s.write(3_000);
  s.connection.shutdownSend(s.now);
  s.expect(". 1:1461(1460) ack 1", ". 1461:2921(1460) ack 1", "FP. 2921:3001(80) ack 1");
  s.take(". 1:1(0) ack 2921").expect();
  s.wait(SECOND / 4).expect("FP. 2921:3001(80) ack 1");
  s.take(". 1:1(0) ack 3002").expect();
  assertEquals(s.connection.state, TcpState.FinWait2);
});

Deno.test("TcpConnection.close() resets when something was not read", () => {
  const s = new Script().accept();
  s.take("P. 1:11(10) ack 1");
  s.drain();
  s.connection.close(s.now);
  s.expect("R. 1:1(0) ack 11");
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.Aborted]);
});

Deno.test("TcpConnection resets a peer that sends to nobody", () => {
  const s = new Script().accept();
  s.connection.close(s.now);
  s.drain();
  s.take(". 1:1(0) ack 2");
  assertEquals(s.connection.state, TcpState.FinWait2);
  s.take("P. 1:11(10) ack 2").expect("R 2:2(0)");
  assertEquals(s.connection.state, TcpState.Closed);
});

Deno.test("TcpConnection forgets a half-closed peer that stays silent", () => {
  const s = new Script({ finWait2Us: 5 * SECOND }).accept();
  s.connection.close(s.now);
  s.drain();
  s.take(". 1:1(0) ack 2");
  s.wait(6 * SECOND).expect();
  assertEquals(s.connection.state, TcpState.Closed);
});

Deno.test("TcpConnection.abort() resets in every state that the peer knows of", () => {
  const s = new Script().accept();
  s.write(10);
  s.drain();
  s.connection.abort(s.now);
  s.expect("R. 11:11(0) ack 1");
  assertEquals(s.end.buffers.lentBytes, 0);
  const early = new Script();
  early.connection.openActive(early.now);
  early.drain();
  early.connection.abort(early.now);
  early.expect();
  assertEquals(early.connection.state, TcpState.Closed);
});

Deno.test("TcpConnection in TIME-WAIT judges every kind of segment", () => {
  const rows: [string, string[], number][] = [
    [". 2:2(0) ack 2", [], TcpState.TimeWait],
    [". 1:1(0) ack 2", [". 2:2(0) ack 2"], TcpState.TimeWait],
    [". 70000:70000(0) ack 2", [". 2:2(0) ack 2"], TcpState.TimeWait],
    ["F 2:2(0)", [], TcpState.TimeWait],
    ["S 1:1(0)", [". 2:2(0) ack 2"], TcpState.TimeWait],
    ["R 2:2(0)", [], TcpState.Closed],
    ["R 3:3(0)", [], TcpState.TimeWait],
  ];
  for (const [segment, answers, state] of rows) {
    const s = new Script().accept();
    s.connection.shutdownSend(s.now);
    s.drain();
    s.take("F. 1:1(0) ack 2").expect(". 2:2(0) ack 2");
    s.take(segment).expect(...answers);
    assertEquals(s.connection.state, state, segment);
  }
});

Deno.test("TcpConnection.isReusedBy() takes a newer SYN only", () => {
  const s = new Script().accept();
  const ask = (text: string) => s.connection.isReusedBy(s.end.view, s.end.place(s.build(text)), s.now);
  assertEquals(ask("S 100:100(0)"), false);
  s.connection.shutdownSend(s.now);
  s.take("F. 1:1(0) ack 2");
  assertEquals(["S 100:100(0)", "S 2:2(0)", "S 1:1(0)", "S. 100:100(0) ack 1", "R 100:100(0)"].map(ask), [
    true,
    false,
    false,
    false,
    false,
  ]);
});

Deno.test("TcpConnection.icmpError() believes only what quotes something in flight", () => {
  const s = new Script();
  s.connection.openActive(s.now);
  s.connection.icmpError(1, 0, s.end.iss + 5, s.now);
  assertEquals(s.connection.state, TcpState.SynSent);
  s.connection.icmpError(0, 0, s.end.iss, s.now);
  assertEquals(s.connection.state, TcpState.SynSent);
  s.connection.icmpError(1, 0, s.end.iss, s.now);
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.Refused]);
  const established = new Script().accept();
  established.write(10);
  established.connection.icmpError(1, 0, established.end.iss + 1, established.now);
  assertEquals(established.connection.state, TcpState.Established);
});

Deno.test("TcpConnection.icmpError() sends smaller segments over a narrower path", () => {
  const s = new Script({ nagle: false }).accept();
  s.write(2_000);
  s.expect(". 1:1461(1460) ack 1", "P. 1461:2001(540) ack 1");
  s.connection.icmpError(2, 1_000, s.end.iss + 1, s.now);
  s.expect(". 1:961(960) ack 1", ". 961:1461(500) ack 1");
  s.connection.icmpError(2, 1_200, s.end.iss + 1, s.now); // larger than what is known: nothing
  s.expect();
});
