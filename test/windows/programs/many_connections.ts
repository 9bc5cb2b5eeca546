/** Opens COUNT connections to HOST PORT, 50 at a time; each asks for a little and reads it all. many_connections.ts HOST PORT COUNT */
const [hostname, port, count] = Deno.args;
const REQUEST = new TextEncoder().encode("GET /bytes/100/1 HTTP/1.0\r\n\r\n");
let left = Number(count);
let good = 0;

async function work(): Promise<void> {
  const part = new Uint8Array(4096);
  while (left-- > 0) {
    using connection = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await connection.write(REQUEST);
    let bytes = 0;
    for (let got = 0; (got = await connection.read(part) ?? 0) > 0;) bytes += got;
    if (bytes > 100) good++;
  }
}

await Promise.all(Array.from({ length: 50 }, work));
console.log(`good ${good}`);
