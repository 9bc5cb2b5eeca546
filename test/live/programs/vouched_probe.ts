/**
 * Opens a TUN device with offloads and sends two datagrams into it: one of a plain socket, whose checksum the kernel leaves to the device, and
 * one of a raw socket with a wrong checksum. Prints what weir makes of each: "vouched N reason R".
 */
import { createSocket } from "node:dgram";
import { Arena, NO_SLOT } from "../../../core/adapter/arena.ts";
import { micros } from "../../../core/base/micros.ts";
import { parsePrefix } from "../../../core/base/ip_address.ts";
import { DROP_REASON_NAMES } from "../../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../../core/parse/parse.ts";
import * as udp from "../../../core/wire/udp.ts";
import { AF_INET, SOCK_RAW } from "../../../ffi/linux/layout.ts";
import { Libc } from "../../../ffi/linux/libc.ts";
import { openTun } from "../../../ffi/linux/tun_setup.ts";
import { udpPacket } from "../../ffi/linux/packets.ts";

/** Source: linux/in.h. The sender brings its own IP header. */
const IPPROTO_RAW = 255;
const PORT = 443;

const device = openTun({
  name: "probe0",
  mtu: 1500,
  addresses: [parsePrefix("198.18.0.1/30")!],
  routes: [parsePrefix("198.51.100.0/24")!],
  sources: [],
  offload: true,
  namespace: undefined,
});
const libc = Libc.open();
const arena = new Arena(64);
const meta = new PacketMeta();

/** Waits for the next datagram to `PORT`; the kernel sends others of its own accord. */
async function report(what: string): Promise<void> {
  for (;;) {
    device.adapter.receive(arena, micros(0));
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      const reason = parse(arena, slot, Verify.All, meta);
      const isOurs = meta.protocol === udp.PROTOCOL && meta.destinationPort === PORT;
      if (isOurs) console.log(`${what}: vouched ${arena.vouched[slot]} reason ${DROP_REASON_NAMES[reason]}`);
      arena.release(slot);
      if (isOurs) return;
    }
    await device.adapter.ready();
  }
}

const socket = createSocket("udp4");
socket.send(new Uint8Array(100), PORT, "198.51.100.10");
await report("plain");

const raw = libc.check(libc.calls.socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "open a raw socket");
const to = new Uint8Array([AF_INET, 0, 0, 0, 198, 51, 100, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
libc.check(libc.calls.connect(raw, to, to.length), "choose the raw socket's destination");
for (const damage of [0, 1]) {
  const packet = udpPacket(4, new Uint8Array(100));
  packet[50]! ^= damage;
  libc.check(libc.calls.send(raw, packet, BigInt(packet.length), 0), "send a raw packet");
  await report(damage === 0 ? "raw" : "damaged");
}
socket.close();
device.close();
Deno.exit(0);
