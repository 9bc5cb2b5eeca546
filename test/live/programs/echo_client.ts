/** Connects with the kernel's own sockets to `ADDRESS` port 7, `COUNT` times at once, sends `BYTES`, closes its half, and compares what comes back. */
import { randomBytes, sha256 } from "./bytes.ts";

const [address, bytes, count] = Deno.args;

async function echoOnce(seed: number): Promise<boolean> {
  const conn = await Deno.connect({ hostname: address!, port: 7 });
  const sent = randomBytes(Number(bytes), seed);
  const received = new Response(conn.readable).arrayBuffer();
  for (let at = 0; at < sent.length;) at += await conn.write(sent.subarray(at, at + 100_000));
  await conn.closeWrite();
  return sha256(new Uint8Array(await received)) === sha256(sent);
}

const results = await Promise.all(Array.from({ length: Number(count) }, (_, seed) => echoOnce(seed)));
console.log(`right ${results.filter((right) => right).length}`);
Deno.exit(0);
