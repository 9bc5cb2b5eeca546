/** A server of its own process for `stack_live_bench.ts`: echoes on a port of 127.0.0.1 that it prints first. */
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(listener.addr.port);
for await (const conn of listener) void echo(conn);

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(2_048);
  try {
    for (let read = await conn.read(buffer); read !== null; read = await conn.read(buffer)) {
      for (let at = 0; at < read;) at += await conn.write(buffer.subarray(at, read));
    }
  } catch {
    // The bench is over.
  }
  conn.close();
}
