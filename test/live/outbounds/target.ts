/**
 * Where proxied flows end in these tests: `deno run -A target.ts`. It prints its two ports, then serves until it is ended.
 *
 * TCP  the client sends: mode (1) after-ms (2) up (4) down (4) seed (4), then `up` bytes; the target sends `down` bytes.
 *      mode 0: both at once; then the SHA-256 of what came (32). Mode 1: `down` and SHA-256 only once the client has closed its half, and so late.
 *      Mode 2: each byte that comes goes back. Mode 3: `down` over so long a time, whether the client has closed its half or not.
 * UDP  each datagram goes back with the target's own port (2) before it.
 */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { HEAD_BYTES, Pattern } from "./pattern.ts";

async function take(conn: Deno.TcpConn, bytes: number): Promise<Uint8Array | undefined> {
  const whole = new Uint8Array(bytes);
  for (let at = 0; at < bytes;) {
    const count = await conn.read(whole.subarray(at));
    if (count === null) return undefined;
    at += count;
  }
  return whole;
}

async function sendAll(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function sendPattern(conn: Deno.TcpConn, down: number, seed: number): Promise<void> {
  const pattern = new Pattern(seed);
  for (let at = 0; at < down; at += Pattern.BYTES) {
    await sendAll(conn, pattern.next().subarray(0, Math.min(Pattern.BYTES, down - at)));
  }
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    await sendAll(conn, buffer.subarray(0, count));
  }
}

async function sendSlowly(conn: Deno.TcpConn, overMs: number, down: number, seed: number): Promise<void> {
  const piece = new Pattern(seed).next();
  for (let at = 0; at < down; at += 1_000) {
    await sendAll(conn, piece.subarray(at, Math.min(at + 1_000, down)));
    await new Promise((resolve) => setTimeout(resolve, overMs * 1_000 / down));
  }
}

async function serve(conn: Deno.TcpConn): Promise<void> {
  const head = await take(conn, HEAD_BYTES);
  if (head === undefined) return;
  const view = new DataView(head.buffer);
  const [mode, afterMs, up, down, seed] = [
    view.getUint8(0),
    view.getUint16(1),
    view.getUint32(3),
    view.getUint32(7),
    view.getUint32(11),
  ];
  if (mode === 2) return await echo(conn);
  if (mode === 3) return await sendSlowly(conn, afterMs, down, seed);
  const hash = createHash("sha256");
  const buffer = new Uint8Array(262_144);
  const receive = async () => {
    for (let got = 0; mode === 1 || got < up;) {
      const count = await conn.read(buffer);
      if (count === null) {
        if (mode === 1) return;
        throw new Error("the stream is cut");
      }
      hash.update(buffer.subarray(0, count));
      got += count;
    }
  };
  if (mode === 0) await Promise.all([receive(), sendPattern(conn, down, seed)]);
  else {
    await receive();
    if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
    await sendPattern(conn, down, seed);
  }
  await sendAll(conn, new Uint8Array(hash.digest()));
}

async function acceptAll(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) {
    conn.setNoDelay(true);
    serve(conn).catch(() => {}).finally(() => {
      try {
        conn.close();
      } catch {
        // It is closed already.
      }
    });
  }
}

/** Opens a socket whose datagrams go back. Answers with its port. */
function answerDatagrams(): Promise<number> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, from) => {
    const { port } = socket.address();
    const answer = new Uint8Array(2 + bytes.length);
    answer.set([port >>> 8, port & 0xff]);
    answer.set(bytes, 2);
    socket.send(answer, from.port, from.address);
  });
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket.address().port)));
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
void acceptAll(listener);
const udpPorts = await Promise.all([0, 1, 2].map(answerDatagrams));
console.log(JSON.stringify([listener.addr.port, ...udpPorts]));
