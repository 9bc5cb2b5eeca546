/** Sends one byte to `ADDRESS` port `PORT` and waits for its echo, `COUNT` times; prints the times' percentiles in µs: "p50 N p99 N". */
const [address, port, count] = Deno.args;

const conn = await Deno.connect({ hostname: address!, port: Number(port) });
conn.setNoDelay(true);
const byte = new Uint8Array(1);
const times: number[] = [];
for (let i = 0; i < Number(count); i++) {
  const start = performance.now();
  await conn.write(byte);
  await conn.read(byte);
  times.push((performance.now() - start) * 1000);
}
times.sort((a, b) => a - b);
const percentile = (part: number) => Math.round(times[Math.floor(times.length * part)]!);
console.log(`p50 ${percentile(0.5)} p99 ${percentile(0.99)}`);
Deno.exit(0);
