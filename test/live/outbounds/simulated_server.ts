/**
 * Our own simulated server of Shadowsocks 2022 on real sockets: no server of Debian's speaks it.
 *
 *     deno run -A simulated_server.ts CIPHER KEY PORT
 */
import { formatIp } from "../../../core/base/ip_address.ts";
import { createOutboundCrypto } from "../../../core/host/outbound_crypto.ts";
import { shadowsocksKey, shadowsocksMethod } from "../../../core/outbound/shadowsocks/method.ts";
import type { ByteQueue } from "../../../core/outbound/byte_queue.ts";
import type { OutboundEnv } from "../../../core/outbound/tunnel.ts";
import { ShadowsocksServer } from "../../../sim/servers/shadowsocks_server.ts";

const env: OutboundEnv = {
  crypto: createOutboundCrypto(),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  unixSeconds: () => Math.floor(Date.now() / 1000),
};

async function drain(queue: ByteQueue, conn: Deno.TcpConn): Promise<void> {
  for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
    for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at));
  }
}

async function serve(client: Deno.TcpConn, server: ShadowsocksServer): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let target: Deno.TcpConn | undefined;
  let answering: Promise<void> | undefined;
  for (let count = await client.read(buffer); count !== null; count = await client.read(buffer)) {
    server.receive(buffer.slice(0, count));
    if (server.refusal !== undefined) return;
    if (target === undefined && server.destination !== undefined) {
      const { address, host, port } = server.destination;
      target = await Deno.connect({ hostname: address === undefined ? host : formatIp(address), port });
      server.accept();
      answering = answer(client, target, server);
    }
    if (target !== undefined) await drain(server.toTarget, target);
  }
  await target?.closeWrite();
  await answering;
}

async function answer(client: Deno.TcpConn, target: Deno.TcpConn, server: ShadowsocksServer): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (let count = await target.read(buffer); count !== null; count = await target.read(buffer)) {
      server.write(buffer.slice(0, count));
      await drain(server.toClient, client);
    }
    server.end();
    await drain(server.toClient, client);
    await client.closeWrite();
  } finally {
    target.close();
  }
}

const [cipher = "", password = "", port = ""] = Deno.args;
const method = shadowsocksMethod(cipher)!;
const key = shadowsocksKey(method, password, env.crypto);
if (typeof key === "string") throw new Error(key);
for await (const client of Deno.listen({ hostname: "127.0.0.1", port: Number(port) })) {
  serve(client, new ShadowsocksServer(method, key, env)).catch(() => {}).finally(() => client.close());
}
