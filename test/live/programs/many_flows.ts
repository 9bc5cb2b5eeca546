/**
 * Opens `COUNT` connections to port 7 of each of `NAMES` (separated by commas), `AT_ONCE` at a time: sends some bytes, compares what comes back, closes.
 * Every tenth is closed before anything came back. Prints "right COUNT".
 */
import { randomBytes, sha256 } from "./bytes.ts";

const [names, count, atOnce] = Deno.args;
const hosts = names!.split(",");

async function echoOnce(seed: number): Promise<boolean> {
  const conn = await Deno.connect({ hostname: hosts[seed % hosts.length]!, port: 7 });
  const sent = randomBytes(1 + seed % 3_000, seed);
  if (seed % 10 === 9) {
    await conn.write(sent);
    conn.close();
    return true;
  }
  const received = new Uint8Array(sent.length);
  await conn.write(sent);
  for (let at = 0; at < received.length;) {
    const read = await conn.read(received.subarray(at));
    if (read === null) break;
    at += read;
  }
  conn.close();
  return sha256(received) === sha256(sent);
}

let next = 0;
let right = 0;
async function work(): Promise<void> {
  while (next < Number(count)) {
    const seed = next++;
    try {
      if (await echoOnce(seed)) right++;
    } catch (error) {
      console.log(`flow ${seed}: ${error}`);
    }
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, work));
console.log(`right ${right}`);
Deno.exit(0);
