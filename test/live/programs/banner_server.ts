/** Speaks first on every port that is given, then echoes. */
for (const port of Deno.args) {
  const listener = Deno.listen({ hostname: "::", port: Number(port) });
  (async () => {
    for await (const conn of listener) {
      conn.write(new TextEncoder().encode("220 welcome\r\n")).then(() => conn.readable.pipeTo(conn.writable)).catch(
        () => {},
      );
    }
  })();
}
console.log("banner server listens");
