import { assertEquals } from "@std/assert";
import { addBytes, finishSum } from "../../../core/wire/checksum.ts";
import * as tcp from "../../../core/wire/tcp.ts";
import * as udp from "../../../core/wire/udp.ts";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  HEADER_DATA_VALID,
  HEADER_NEEDS_CHECKSUM,
} from "../../../ffi/linux/layout.ts";
import {
  gsoSize,
  gsoType,
  isVouched,
  OFFLOAD_HEADER_BYTES,
  writeSendHeader,
} from "../../../ffi/linux/offload_header.ts";
import { tcpPacket, transportChecksum, udpPacket } from "./packets.ts";

function headerOf(packet: Uint8Array<ArrayBuffer>, segmentBytes: number): DataView {
  const header = new DataView(new Uint8Array(OFFLOAD_HEADER_BYTES).fill(0xee).buffer);
  writeSendHeader(header, new DataView(packet.buffer), 0, packet.length, segmentBytes);
  return header;
}

/** Does what the kernel does with NEEDS_CSUM: sums from `csum_start` over what stands in the checksum's place. */
function finishAsKernel(packet: Uint8Array<ArrayBuffer>, header: DataView): void {
  const view = new DataView(packet.buffer);
  const start = header.getUint16(6, true);
  const sum = finishSum(addBytes(0, view, start, packet.length - start));
  view.setUint16(start + header.getUint16(8, true), sum);
}

const PAYLOAD = Uint8Array.from({ length: 3001 }, (_, i) => i * 13);

for (const version of [4, 6] as const) {
  Deno.test(`writeSendHeader() lets the kernel reach the right checksum when IPv${version} carries TCP or UDP`, () => {
    const packets = [
      { packet: tcpPacket(version, PAYLOAD, tcp.ACK), protocol: tcp.PROTOCOL },
      { packet: udpPacket(version, PAYLOAD), protocol: udp.PROTOCOL },
    ];
    for (const { packet, protocol } of packets) {
      const header = headerOf(packet, 0);
      assertEquals([header.getUint8(0), gsoType(header)], [1, GSO_NONE]);
      finishAsKernel(packet, header);
      assertEquals(transportChecksum(packet, version, protocol), 0);
    }
  });

  Deno.test(`writeSendHeader() names the size of the pieces when an IPv${version} packet is a super-segment`, () => {
    const packet = tcpPacket(version, PAYLOAD, tcp.ACK | tcp.CWR);
    const header = headerOf(packet, 1000);
    const headers = (version === 4 ? 20 : 40) + 20;
    assertEquals(header.getUint8(1), (version === 4 ? GSO_TCPV4 : GSO_TCPV6) | GSO_ECN);
    assertEquals(gsoType(header), version === 4 ? GSO_TCPV4 : GSO_TCPV6);
    assertEquals([header.getUint16(2, true), gsoSize(header)], [headers, 1000]);
    assertEquals(gsoType(headerOf(packet, PAYLOAD.length)), GSO_NONE);
  });
}

Deno.test("isVouched() is true for checksums that were verified or are to be filled in, not for others", () => {
  const flags = [0, HEADER_NEEDS_CHECKSUM, HEADER_DATA_VALID, 4];
  const header = new DataView(new ArrayBuffer(OFFLOAD_HEADER_BYTES));
  const answers = flags.map((flag) => {
    header.setUint8(0, flag);
    return isVouched(header);
  });
  assertEquals(answers, [false, true, true, false]);
});

Deno.test("writeSendHeader() leaves a packet as it is when its checksum is not the kernel's to fill", () => {
  const fragment = udpPacket(4, PAYLOAD);
  fragment[6] = 0x20;
  const icmp = udpPacket(4, PAYLOAD);
  icmp[9] = 1;
  const extension = udpPacket(6, PAYLOAD);
  extension[6] = 0;
  for (
    const packet of [
      fragment,
      icmp,
      extension,
      new Uint8Array([0x45, 0]),
      new Uint8Array([0x60, 0]),
      udpPacket(4, PAYLOAD).slice(0, 25),
    ]
  ) {
    const before = packet.slice();
    const header = headerOf(packet, 0);
    assertEquals([...new Uint8Array(header.buffer)], new Array(OFFLOAD_HEADER_BYTES).fill(0));
    assertEquals(packet, before);
  }
});
