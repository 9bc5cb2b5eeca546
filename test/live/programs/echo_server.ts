/** Echoes TCP on the port that is given, at once and byte for byte. */
const listener = Deno.listen({ hostname: "::", port: Number(Deno.args[0]) });
console.log("echo server listens");
for await (const conn of listener) {
  conn.setNoDelay(true);
  conn.readable.pipeTo(conn.writable).catch(() => {});
}
