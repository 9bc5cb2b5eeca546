import { assert, assertEquals } from "@std/assert";
import { Script } from "./script.ts";

const MS = 1_000;

/** Sends rounds of whole windows whose round trips take `rttsMs`; returns the window after each. */
function rounds(s: Script, rttsMs: readonly number[]): number[] {
  const windows: number[] = [];
  let acked = 1;
  for (const rtt of rttsMs) {
    s.write(400_000);
    const sent = s.drain().length;
    assert(sent > 0);
    s.wait(rtt * MS);
    for (let i = 0; i < sent; i++) {
      acked += 1_000;
      s.take(`. 1:1(0) ack ${acked}`);
    }
    windows.push(s.connection.cwnd);
  }
  return windows;
}

function fresh(hystart: boolean): Script {
  const options = { hystart, nagle: false, rackTlp: false, sendBufferBytes: 4 << 20, windowScale: 10 };
  const s = new Script(options).accept("mss 1000,sackOK,wscale 10", 4_000);
  return s;
}

Deno.test("TcpConnection leaves its first slow start when round trips grow (HyStart++)", () => {
  const rtts = [50, 50, 50, 75, 75, 75, 75, 75, 75, 75, 75];
  const careful = rounds(fresh(true), rtts);
  const plain = rounds(fresh(false), rtts);
  assertEquals(careful.slice(0, 3), plain.slice(0, 3), "while round trips stay the same nothing differs");
  assert(careful.at(-1)! < plain.at(-1)! / 4, `${careful} stays far below ${plain}`);
  const s = fresh(true);
  rounds(s, rtts);
  assert(s.connection.ssthresh < 0x7fff_ffff, "five slower rounds end slow start");
});

Deno.test("TcpConnection goes on with slow start when round trips fall back (HyStart++)", () => {
  const s = fresh(true);
  const windows = rounds(s, [50, 50, 50, 75, 50, 50]);
  assertEquals(s.connection.ssthresh, 0x7fff_ffff);
  assert(windows.at(-1)! > 1.9 * windows.at(-2)!, `${windows} doubles again`);
});

Deno.test("TcpConnection does not mind small differences of round trips (HyStart++)", () => {
  const rtts = [50, 52, 50, 53, 51, 52];
  assertEquals(rounds(fresh(true), rtts), rounds(fresh(false), rtts));
});
