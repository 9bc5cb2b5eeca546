import { assertEquals } from "@std/assert";
import { IcmpKind, TcpError, TcpEvent, TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import { Script } from "./script.ts";

const SECOND = 1_000_000;

Deno.test("TcpConnection.shutdownSend() before the handshake is over sends what is queued, then its FIN", () => {
  for (const close of ["shutdownSend", "close"] as const) {
    const s = new Script({ nagle: false });
    s.connection.openActive(s.now);
    s.drain();
    assertEquals(s.write(300), 300);
    s.connection[close](s.now);
    assertEquals([s.connection.state, s.connection.error], [TcpState.SynSent, TcpError.None]);
    assertEquals(s.write(1), -1, "nothing goes behind the end");
    s.wait(10_000).take("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    s.expect("FP. 1:301(300) ack 1");
    s.take(". 1:1(0) ack 302");
    assertEquals(s.connection.state, TcpState.FinWait2);
  }
});

Deno.test("TcpConnection.shutdownSend() in SYN-RECEIVED waits for the handshake as well", () => {
  const s = new Script({ nagle: false });
  s.take("S 0:0(0) win 65535 <mss 1000>").wait(1_000);
  s.drain();
  s.write(100);
  s.connection.shutdownSend(s.now);
  s.expect();
  s.take(". 1:1(0) ack 1").expect("FP. 1:101(100) ack 1");
});

Deno.test("TcpConnection says that queued bytes are lost when nobody answers its SYN", () => {
  const s = new Script({ synRetries: 1 });
  s.connection.openActive(s.now);
  s.write(300);
  s.connection.shutdownSend(s.now);
  s.wait(10 * SECOND);
  assertEquals([s.connection.state, s.connection.error], [TcpState.Closed, TcpError.TimedOut]);
  assertEquals(s.connection.takeEvents() & TcpEvent.Failed, TcpEvent.Failed);
});

Deno.test("TcpConnection.isPeerClosed stays false once it failed, whatever was lost unread", () => {
  const s = new Script({ userTimeoutUs: 2 * SECOND }).accept();
  s.take("PF. 1:101(100) ack 1");
  assertEquals([s.connection.state, s.connection.isPeerClosed], [TcpState.CloseWait, false]);
  s.write(100);
  s.wait(20 * SECOND);
  assertEquals([s.connection.error, s.connection.readableBytes], [TcpError.UserTimeout, 0]);
  assertEquals(s.connection.isPeerClosed, false, "100 bytes were never read");

  const whole = new Script().accept();
  whole.take("PF. 1:101(100) ack 1");
  whole.read(100);
  assertEquals(whole.connection.isPeerClosed, true);
  whole.take("R 102:102(0)");
  assertEquals([whole.connection.error, whole.connection.isPeerClosed], [TcpError.Reset, false]);
});

Deno.test("TcpConnection in SYN-RECEIVED resets whoever acknowledges something else, whatever his numbers and options", () => {
  for (const stray of [". 1:1(0) ack 9000", ". 70000:70000(0) ack 9000", "S. 0:0(0) ack 9000", "P. 5:9(4) ack 9000"]) {
    const s = new Script({ timestamps: true });
    s.take("S 0:0(0) win 65535 <mss 1000,TS val 7 ecr 0>").drain();
    s.take(stray).expect("R 9000:9000(0)");
    assertEquals(s.connection.state, TcpState.SynReceived, "the true peer may still answer");
    s.take(`. 1:1(0) ack 1 <TS val 8 ecr ${s.connection.timestampAt(s.now)}>`);
    assertEquals(s.connection.state, TcpState.Established);
  }
});

Deno.test("TcpConnection.icmpError() ends a connection that is being opened only where its options let it", () => {
  for (
    const [icmpEndsOpening, kind, error] of [
      [true, IcmpKind.Hard, TcpError.Refused],
      [true, IcmpKind.Unreached, TcpError.Unreachable],
      [true, IcmpKind.Soft, TcpError.None],
      [false, IcmpKind.Hard, TcpError.None],
      [false, IcmpKind.Unreached, TcpError.None],
    ] as const
  ) {
    const s = new Script({ icmpEndsOpening });
    s.connection.openActive(s.now);
    s.connection.icmpError(kind, 0, s.end.iss, s.now);
    assertEquals([s.connection.error, s.connection.state === TcpState.SynSent], [error, error === TcpError.None]);
  }
});
