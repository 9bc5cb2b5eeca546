import { assert, assertEquals } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { Dialer, dialErrorOf } from "../../core/host/dial.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import { LoopbackServer } from "./linked_stacks.ts";

const LOOPBACK = parseIp("127.0.0.1")!;
const BOUND = { v4: parseIp("127.0.0.9")!, v6: undefined };

async function readAll(stream: Duplex): Promise<number> {
  const buffer = new Uint8Array(50_000);
  let sum = 0;
  for (let read = await stream.read(buffer); read !== null; read = await stream.read(buffer)) sum += read;
  return sum;
}

for (const [kind, sources] of [["Deno's sockets", undefined], ["bound sockets", BOUND]] as const) {
  Deno.test(`Dialer.dial() gives a stream with halves of its own when it uses ${kind}`, async () => {
    const peers: string[] = [];
    await using server = new LoopbackServer(async (conn) => {
      peers.push(conn.remoteAddr.hostname);
      await conn.readable.pipeTo(conn.writable);
    });
    const { stream } = await new Dialer(sources).dial(LOOPBACK, server.port);
    const total = 3_000_000;
    const reading = readAll(stream!);
    for (let sent = 0; sent < total;) sent += await stream!.write(new Uint8Array(Math.min(77_777, total - sent)));
    await stream!.closeWrite();
    assertEquals(await reading, total);
    stream!.close();
    stream!.close();
    assertEquals(peers, [sources === undefined ? "127.0.0.1" : "127.0.0.9"]);
  });

  Deno.test(`Dialer.dial() says "refused" when nobody listens and it uses ${kind}`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    assertEquals((await new Dialer(sources).dial(LOOPBACK, port)).failure, "refused");
  });
}

Deno.test("Dialer.dial() ends when the application has given up", async () => {
  await using server = new LoopbackServer((conn) => conn.read(new Uint8Array(1)).then(() => {}));
  const result = await new Dialer().dial(LOOPBACK, server.port, AbortSignal.abort());
  assert(result.failure === "failed");
  assertEquals(result.message, "the application gave up");
});

Deno.test("Dialer.isOwn() knows the addresses of its sockets", () => {
  const dialer = new Dialer(BOUND);
  assertEquals([BOUND.v4, LOOPBACK, parseIp("::1")!].map((ip) => dialer.isOwn(ip)), [true, false, false]);
  assertEquals(new Dialer().isOwn(LOOPBACK), false);
});

Deno.test("dialErrorOf() tells errors apart by their code", () => {
  const codes = ["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EACCES", "EMFILE"];
  assertEquals(codes.map((code) => dialErrorOf({ code })), [
    "refused",
    "refused",
    "timedOut",
    "hostUnreachable",
    "networkUnreachable",
    "prohibited",
    "failed",
  ]);
  assertEquals([undefined, new Error(), { code: 7 }].map(dialErrorOf), ["failed", "failed", "failed"]);
});
