import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { ipFromWords } from "../../../core/base/ip_address.ts";
import {
  type EndpointEvent,
  filterAddressOf,
  readEndpointEvent,
  readPacketAddress,
  writeEndpointEvent,
  writePacketAddress,
} from "../../../ffi/windivert/address.ts";
import { AddressBit, AddressOffset, CHECKSUM_BITS, Size } from "../../../ffi/windivert/layout.ts";
import { OPEN_REMEDIES, openError, WINDIVERT_SYMBOLS } from "../../../ffi/windivert/library.ts";

/** `windivert.h` as a C compiler lays it out, its bit fields written as the integer that they share. */
const C_SOURCE = `
#include <stdio.h>
#include <stdint.h>
#include <stddef.h>
typedef struct { uint32_t IfIdx, SubIfIdx; } NETWORK;
typedef struct {
  uint64_t EndpointId, ParentEndpointId; uint32_t ProcessId, LocalAddr[4], RemoteAddr[4]; uint16_t LocalPort, RemotePort; uint8_t Protocol;
} ENDPOINT;
typedef struct { int64_t Timestamp; uint32_t ProcessId, Layer; uint64_t Flags; int16_t Priority; } REFLECT;
typedef struct {
  int64_t Timestamp;
  uint32_t Layer:8, Event:8, Sniffed:1, Outbound:1, Loopback:1, Impostor:1, IPv6:1, IPChecksum:1, TCPChecksum:1, UDPChecksum:1, Reserved1:8;
  uint32_t Reserved2;
  union { NETWORK Network; ENDPOINT Flow; REFLECT Reflect; uint8_t Reserved3[64]; };
} ADDRESS;
#define OFFSET(name, field) printf("\\"%s\\":%zu,", name, offsetof(ADDRESS, field))
int main(void) {
  ADDRESS a = {0};
  unsigned char *b = (unsigned char *)&a;
  printf("{\\"size\\":%zu,", sizeof(ADDRESS));
  a.Layer = 255; printf("\\"Layer\\":%d,", b[8] == 255 ? 8 : -1);
  a.Event = 255; printf("\\"Event\\":%d,", b[9] == 255 ? 9 : -1);
  a.Sniffed = 1; printf("\\"bits\\":[%d", b[10]);
  a.Outbound = 1; printf(",%d", b[10]); a.Loopback = 1; printf(",%d", b[10]); a.Impostor = 1; printf(",%d", b[10]);
  a.IPv6 = 1; printf(",%d", b[10]); a.IPChecksum = 1; printf(",%d", b[10]); a.TCPChecksum = 1; printf(",%d", b[10]);
  a.UDPChecksum = 1; printf(",%d],", b[10]);
  OFFSET("Timestamp", Timestamp); OFFSET("IfIdx", Network.IfIdx); OFFSET("SubIfIdx", Network.SubIfIdx);
  OFFSET("EndpointId", Flow.EndpointId); OFFSET("ParentEndpointId", Flow.ParentEndpointId); OFFSET("ProcessId", Flow.ProcessId);
  OFFSET("LocalAddr", Flow.LocalAddr); OFFSET("RemoteAddr", Flow.RemoteAddr); OFFSET("LocalPort", Flow.LocalPort);
  OFFSET("RemotePort", Flow.RemotePort); OFFSET("Protocol", Flow.Protocol); OFFSET("ReflectTimestamp", Reflect.Timestamp);
  OFFSET("ReflectProcessId", Reflect.ProcessId); OFFSET("ReflectLayer", Reflect.Layer); OFFSET("ReflectFlags", Reflect.Flags);
  OFFSET("ReflectPriority", Reflect.Priority);
  printf("\\"end\\":0}");
}`;

async function compileAndRun(source: string): Promise<string | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/x.c`, source);
    const built = await new Deno.Command("cc", { args: [`${folder}/x.c`, "-o", `${folder}/x`] }).output().catch(() =>
      undefined
    );
    if (built === undefined || !built.success) return undefined;
    return new TextDecoder().decode((await new Deno.Command(`${folder}/x`).output()).stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("WINDIVERT_ADDRESS has the size, offsets and bits that a C compiler gives it", async () => {
  const output = await compileAndRun(C_SOURCE);
  if (output === undefined) return console.log("skipped: there is no C compiler here");
  const told = JSON.parse(output);
  assertEquals(told.size, Size.WINDIVERT_ADDRESS);
  for (const [name, offset] of Object.entries(AddressOffset)) {
    if (name !== "Bits") assertEquals(told[name], offset, name);
  }
  const sums = Object.values(AddressBit).map((_, i, bits) =>
    bits.slice(0, i + 1).reduce((sum: number, bit) => sum + bit, 0)
  );
  assertEquals(told.bits, sums);
});

Deno.test("AddressOffset is what the documentation says", () => {
  assertEquals(Size.WINDIVERT_ADDRESS, 80);
  assertEquals(AddressOffset.Bits, 10);
  assertEquals([AddressOffset.IfIdx, AddressOffset.SubIfIdx], [16, 20]);
  assertEquals([AddressOffset.ProcessId, AddressOffset.LocalAddr, AddressOffset.RemoteAddr], [32, 36, 52]);
  assertEquals([AddressOffset.LocalPort, AddressOffset.RemotePort, AddressOffset.Protocol], [68, 70, 72]);
  assertEquals(CHECKSUM_BITS, 0xe0);
});

Deno.test("readPacketAddress() reads what writePacketAddress() wrote", () => {
  const byte = fc.nat(255);
  const word = fc.nat(0xffff_ffff);
  const address = fc.record({
    timestamp: fc.bigInt(-(1n << 63n), (1n << 63n) - 1n),
    layer: byte,
    event: byte,
    bits: byte,
    ifIdx: word,
    subIfIdx: word,
  });
  fc.assert(
    fc.property(address, (given) => {
      const view = new DataView(new ArrayBuffer(3 + Size.WINDIVERT_ADDRESS));
      writePacketAddress(view, 3, given);
      assertEquals(readPacketAddress(view, 3), given);
    }),
    { seed: 1 },
  );
});

Deno.test("readEndpointEvent() reads what writeEndpointEvent() wrote, addresses least significant word first", () => {
  const word = fc.nat(0xffff_ffff);
  const ip = fc.oneof(
    fc.tuple(word, word, word, word).map((words) => ipFromWords(...words)),
    word.map((last) => ipFromWords(0, 0, 0xffff, last)),
  );
  const id = fc.bigInt(0n, (1n << 64n) - 1n);
  const port = fc.nat(0xffff);
  const event: fc.Arbitrary<EndpointEvent> = fc.record({
    event: fc.constantFrom(1, 2, 3, 4, 5, 6, 7),
    endpointId: id,
    parentEndpointId: id,
    processId: word,
    localIp: ip,
    localPort: port,
    remoteIp: ip,
    remotePort: port,
    protocol: fc.nat(255),
  });
  fc.assert(
    fc.property(event, (given) => {
      const view = new DataView(new ArrayBuffer(Size.WINDIVERT_ADDRESS));
      writeEndpointEvent(view, 0, given);
      assertEquals(readEndpointEvent(view, 0), given);
      assertEquals(view.getUint32(AddressOffset.LocalAddr, true), given.localIp.w3);
    }),
    { seed: 2 },
  );
});

Deno.test("filterAddressOf() names each bit as the filter language does", () => {
  const names = [
    "sniffed",
    "outbound",
    "loopback",
    "impostor",
    "ipv6",
    "ipChecksum",
    "tcpChecksum",
    "udpChecksum",
  ] as const;
  for (const [i, bit] of Object.values(AddressBit).entries()) {
    const address = filterAddressOf({ timestamp: 0n, layer: 0, event: 0, bits: bit, ifIdx: 3, subIfIdx: 4 });
    assertEquals(names.filter((name) => address[name] === true), [names[i]!]);
    assertEquals([address.ifIdx, address.subIfIdx], [3, 4]);
  }
});

Deno.test("openError() says for each documented code what it means and what to do", () => {
  const table: [code: number, part: string][] = [
    [2, "WinDivert64.sys is not beside WinDivert.dll"],
    [5, "run weir as administrator"],
    [87, "does not accept the filter"],
    [577, "signature"],
    [654, "another version of the WinDivert driver"],
    [1058, "sc delete WinDivert"],
    [1060, "not installed"],
    [1275, "blocked"],
    [1753, "sc start bfe"],
  ];
  for (const [code, part] of table) {
    const { message } = openError("network", "tcp", code);
    assertStringIncludes(message, part);
    assert(
      message.startsWith(`Cannot open WinDivert's network layer with the filter "tcp": `) &&
        message.endsWith(`(error ${code})`),
    );
    assert(code in OPEN_REMEDIES);
  }
  assert(openError("network", "x".repeat(5000), 87).message.length < 400);
});

Deno.test("WINDIVERT_SYMBOLS has every export that is no helper", () => {
  const names = Object.entries(WINDIVERT_SYMBOLS).map(([key, symbol]) => "name" in symbol ? symbol.name : key).sort();
  const wanted = ["Close", "GetParam", "Open", "Recv", "RecvEx", "Send", "SendEx", "SetParam", "Shutdown"];
  assertEquals(names, wanted.map((name) => `WinDivert${name}`));
});
