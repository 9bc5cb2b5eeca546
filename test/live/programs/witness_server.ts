/** Says how each connection on the port that is given ended: "ended" after the other side's last byte, or "reset". It sends 100,000 bytes first. */
const listener = Deno.listen({ hostname: "::", port: Number(Deno.args[0]) });
console.log("witness listens");
for await (const conn of listener) {
  (async () => {
    for (let left = 100_000; left > 0;) left -= await conn.write(new Uint8Array(left));
    const buffer = new Uint8Array(10_000);
    while (await conn.read(buffer) !== null);
    console.log("ended");
    conn.close();
  })().catch((error: Error) => console.log(error instanceof Deno.errors.ConnectionReset ? "reset" : error.name));
}
