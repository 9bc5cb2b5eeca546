/** Opens connections to a web server, so many at once, asks each for 500 bytes and reads it to its end: ADDRESS PORT COUNT WIDTH. */
const [hostname, port, count, width] = [Deno.args[0]!, ...Deno.args.slice(1).map(Number)] as [
  string,
  number,
  number,
  number,
];
const REQUEST = new TextEncoder().encode(`GET /bytes/500/1 HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);

let begun = 0;
let carried = 0;

async function askAgainAndAgain(): Promise<void> {
  const buffer = new Uint8Array(2_048);
  while (begun++ < count) {
    const conn = await Deno.connect({ hostname, port });
    await conn.write(REQUEST);
    let bytes = 0;
    for (let read = await conn.read(buffer); read !== null; read = await conn.read(buffer)) bytes += read;
    conn.close();
    if (bytes > 500) carried++;
  }
}

await Promise.all(Array.from({ length: width }, askAgainAndAgain));
console.log(`carried ${carried}`);
