/**
 * Runs on Linux: sends COUNT made-up packets from the addresses V4 and V6 to the servers', as they are, and prints each in hexadecimal digits.
 * raw_packets.ts COUNT V4 SERVER-V4 V6 SERVER-V6; IPv6 addresses with all their groups.
 */
import { Arena } from "../../../core/adapter/arena.ts";
import { Prng } from "../../../core/base/prng.ts";
import { calcChecksums } from "../../../core/filter/checksums.ts";
import { Libc } from "../../../ffi/linux/libc.ts";
import { RawSender } from "../../../ffi/linux/raw_sender.ts";
import { tcpPacket, udpPacket } from "../../support/packets.ts";

const [count, v4, server4, v6, server6] = Deno.args as [string, string, string, string, string];
/** So many that each flow has some packets, whose order can be compared. */
const FLOW_PORTS = 40;
const prng = new Prng(20_261);
const begun = new Set<string>();
const arena = new Arena(2);
const sender = new RawSender(Libc.open(), 0);
const slot = arena.acquire();

/** A number below `end`, or from `first` on. */
function random(end: number, first = 0): number {
  return first + prng.below(end - first);
}

function makePacket(number: number): Uint8Array<ArrayBuffer> {
  const isV6 = random(3) === 0;
  const isTcp = random(2) === 0;
  const port = 1024 + random(FLOW_PORTS);
  // A program that begins a flow anew before the old one has its decision gets what it deserves: only the first packet is a SYN.
  const flow = `${isV6} ${isTcp} ${port}`;
  const flags = begun.has(flow) ? ["A", "PA", "AU"][random(3)]! : "S";
  begun.add(flow);
  const choices = {
    source: isV6 ? v6 : v4,
    destination: isV6 ? server6 : server4,
    sourcePort: port,
    destinationPort: 9,
    id: 1 + (number % 65_535),
    tos: random(64) * 4,
    options: random(4) === 0 ? [1, 1, 1, 0] : [],
    payload: Array.from({ length: random(1_400) }, () => random(256)),
    sequence: random(0x7fff_ffff),
    flags,
  };
  const packet = isTcp ? tcpPacket(choices) : udpPacket(choices);
  if (isV6) packet.set([0x60 | random(16), random(256), random(256), random(256)]);
  else if (random(2) === 0) packet[6] = 0x40;
  packet[isV6 ? 7 : 8] = random(256, 2);
  calcChecksums(packet);
  return packet;
}

for (let number = 0; number < Number(count); number++) {
  const packet = makePacket(number);
  arena.bytes.set(packet, arena.at(slot));
  arena.length[slot] = packet.length;
  if (sender.send(arena, slot)) console.log(packet.toHex());
  // Slower than the slowest on the way: nobody may have to drop.
  if (number % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log("END");
