/**
 * Sends datagrams of several sizes to `ADDRESS` port `PORT` from one socket, again while their answers are missing, and prints the ports that
 * each answer came from: "answers PORT PORT", or "error NAME".
 */
import { createSocket } from "node:dgram";
import { randomBytes, sha256 } from "./bytes.ts";

const [address, port] = Deno.args;
const SIZES = [1, 500, 1400, 4000, 20_000];

const socket = createSocket(address!.includes(":") ? "udp6" : "udp4");
const ports = new Set<number>();
const missing = new Map(SIZES.map((size) => [sha256(randomBytes(size, size)), size]));
const done = Promise.withResolvers<string>();
socket.on("message", (bytes, from) => {
  ports.add(from.port);
  missing.delete(sha256(bytes));
  if (missing.size === 0 && ports.size === 2) done.resolve(`answers ${[...ports].sort().join(" ")}`);
});
socket.on("error", (error) => done.resolve(`error ${(error as { code?: string }).code}`));
const send = () => {
  for (const size of SIZES) socket.send(randomBytes(size, size), Number(port), address!);
};
send();
const timer = setInterval(send, 300);
console.log(
  await Promise.race([done.promise, new Promise<string>((resolve) => setTimeout(resolve, 5_000, "silence"))]),
);
clearInterval(timer);
Deno.exit(0);
