/** A name server at IPV4 for which every name has just that address: dns_server.ts IPV4. */
import { createSocket } from "node:dgram";

const address = Deno.args[0]!.split(".").map(Number);
const socket = createSocket("udp4");

/** The question's end: a name is labels until an empty one, then come type and class. */
function questionEnd(bytes: Uint8Array): number {
  let at = 12;
  while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
  return at + 5;
}

socket.on("message", (query, from) => {
  const end = questionEnd(query);
  const isA = query[end - 3] === 1;
  const answer = isA ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address] : [];
  const reply = new Uint8Array([...query.subarray(0, end), ...answer]);
  reply.set([0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0], 2);
  socket.send(reply, from.port, from.address);
});
socket.bind(53, Deno.args[0], () => console.log("name server listens"));
