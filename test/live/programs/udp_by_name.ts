/**
 * Sends datagrams to `NAME` port `PORT` from one socket, again while their echoes are missing, and prints "echoed SIZES from ADDRESSES" or
 * "silence". Only what comes from where it was sent to counts.
 */
import { lookup } from "node:dns/promises";
import { createSocket } from "node:dgram";
import { randomBytes, sha256 } from "./bytes.ts";

const [name, port] = Deno.args;
const SIZES = [1, 500, 1300];

const { address } = await lookup(name!, 4);
const socket = createSocket("udp4");
const missing = new Map(SIZES.map((size) => [sha256(randomBytes(size, size)), size]));
const echoed = new Set<number>();
const from = new Set<string>();
const done = Promise.withResolvers<string>();
socket.on("message", (bytes, { address, port: fromPort }) => {
  const sum = sha256(bytes);
  from.add(fromPort === Number(port) ? address : `${address}:${fromPort}`);
  if (missing.has(sum)) echoed.add(missing.get(sum)!);
  missing.delete(sum);
  if (missing.size === 0) {
    done.resolve(`echoed ${[...echoed].sort((a, b) => a - b).join(" ")} from ${[...from].sort().join(" ")}`);
  }
});
const send = () => {
  for (const size of SIZES) socket.send(randomBytes(size, size), Number(port), address);
};
send();
const timer = setInterval(send, 500);
console.log(
  await Promise.race([done.promise, new Promise<string>((resolve) => setTimeout(resolve, 6_000, "silence"))]),
);
clearInterval(timer);
Deno.exit(0);
