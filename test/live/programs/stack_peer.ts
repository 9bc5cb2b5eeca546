/**
 * A Deno program whose sockets are our own stack's, on a TUN device in another namespace.
 *
 * It echoes whatever connects to any address on port 7, and downloads `COUNT` times `BYTES` from the web server at `ADDRESS`, all at once. It writes
 * "ready", then "right N" with how many downloads had the right SHA-256, and goes on echoing.
 */
import { Arena } from "../../../core/adapter/arena.ts";
import { type IpAddress, parseIp, parsePrefix } from "../../../core/base/ip_address.ts";
import { Dialer } from "../../../core/host/dial.ts";
import { monotonicClock, RunLoop } from "../../../core/host/run_loop.ts";
import { StackBody } from "../../../core/host/stack_body.ts";
import { StackHost } from "../../../core/host/stack_host.ts";
import type { TcpConn } from "../../../core/host/tcp_conn.ts";
import { Stack } from "../../../core/stack/stack.ts";
import { openTun } from "../../../ffi/linux/tun_setup.ts";
import { randomBytes, sha256 } from "./bytes.ts";

const [namespace, offload, address, bytes, count] = Deno.args;

const device = openTun({
  name: "weir0",
  addresses: [parsePrefix("198.18.0.1/30")!, parsePrefix("fd18::1/64")!],
  mtu: 1500,
  routes: [parsePrefix("0.0.0.0/0")!, parsePrefix("::/0")!],
  sources: [],
  offload: offload === "on",
  namespace,
});
const { capabilities } = device.adapter;
const arena = new Arena();
const stack = new Stack(
  {
    mtu: capabilities.mtu,
    checksumsComputed: capabilities.checksumsComputed ?? false,
    segmentationBytesMax: capabilities.segmentationBytesMax ?? 0,
  },
  { uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]! },
  arena,
  device.adapter,
);
const loop = new RunLoop(device.adapter);
const host = new StackHost(stack, new Dialer(), loop);
const stop = new AbortController();
const running = loop.run(new StackBody(device.adapter, arena, stack, host), stop.signal);

function wordsOf(ip: IpAddress): Uint32Array {
  return new Uint32Array([ip.w0, ip.w1, ip.w2, ip.w3]);
}

async function echo(conn: TcpConn): Promise<void> {
  try {
    await conn.readable.pipeTo(conn.writable);
    conn.close();
  } catch {
    conn.abort();
  }
}

// Flows that nobody decides: port 7 is accepted, all else refused.
stack.onFlow = (pending, now) => {
  if (pending.localPort !== 7) return pending.refuse(now);
  const connection = pending.accept(now);
  if (connection !== undefined) echo(host.conn(connection));
};

/** One download as HTTP/1.0 over a socket of ours. */
async function fetchOver(conn: TcpConn, path: string): Promise<Uint8Array> {
  await conn.connected();
  const writer = conn.writable.getWriter();
  await writer.write(new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
  const all = new Uint8Array(await new Response(conn.readable).arrayBuffer());
  conn.close();
  const text = new TextDecoder("latin1").decode(all.subarray(0, 1000));
  return all.subarray(text.indexOf("\r\n\r\n") + 4);
}

async function downloadOne(seed: number): Promise<boolean> {
  const remote = parseIp(address!)!;
  const local = parseIp(remote.version === 4 ? "10.66.0.2" : "fd66::2")!;
  const connection = stack.connect(
    remote.version,
    wordsOf(local),
    20_000 + seed,
    wordsOf(remote),
    8080,
    monotonicClock(),
  );
  if (connection === undefined) return false;
  loop.touched();
  const body = await fetchOver(host.conn(connection), `/bytes/${bytes}/${seed}`);
  return sha256(body) === sha256(randomBytes(Number(bytes), seed));
}

console.log("ready");
const results = await Promise.all(
  Array.from({ length: Number(count) }, (_, seed) => downloadOne(seed).catch((error) => console.log(String(error)))),
);
console.log(`right ${results.filter((right) => right === true).length}`);
await running;
