/** Echoes datagrams on the port that is given, and once more from another port: whoever knows a source may send to it. */
import { createSocket } from "node:dgram";

const port = Number(Deno.args[0]);
const first = createSocket("udp6");
const second = createSocket("udp6");
first.on("message", (bytes, from) => {
  first.send(bytes, from.port, from.address);
  second.send(bytes, from.port, from.address);
});
second.bind(port + 1, "::");
first.bind(port, "::", () => console.log("udp server listens"));
