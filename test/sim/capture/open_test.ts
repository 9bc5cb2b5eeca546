import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { CaptureError, openCapture } from "../../../sim/capture/open.ts";
import { join, pcapHeader, pcapPacket } from "./byte_builder.ts";

async function withFile(bytes: Uint8Array, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".capture" });
  try {
    await Deno.writeFile(path, bytes);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

const HEADER = pcapHeader(true, 0xa1b2c3d4, 0x7fffffff, 1);
const packet = (i: number, length = 1500) => pcapPacket(true, i, 0, new Uint8Array(length).fill(i));

Deno.test("openCapture() reads packets in pieces when the file is larger than the buffer", async () => {
  const count = 3000;
  const plain = join(HEADER, ...Array.from({ length: count }, (_, i) => packet(i)));
  assert(plain.length > 4 << 20);
  const members = join(new Uint8Array(gzipSync(plain.subarray(0, 999))), new Uint8Array(gzipSync(plain.subarray(999))));
  for (
    const [bytes, isCompressed] of [[plain, false], [new Uint8Array(gzipSync(plain)), true], [members, true]] as const
  ) {
    await withFile(bytes, async (path) => {
      using reader = await openCapture(path);
      let next = 0;
      for (;;) {
        const record = reader.tryNext();
        if (record === undefined) {
          if (!await reader.fill()) break;
          continue;
        }
        assertEquals(record.timestampUs, next * 1_000_000);
        assertEquals([record.data[0], record.data[1499], record.view.getUint8(record.dataAt)], [
          next & 255,
          next & 255,
          next & 255,
        ]);
        next++;
      }
      assertEquals([next, reader.packets, reader.bytes], [count, count, count * 1500]);
      assertEquals([reader.format, reader.isCompressed, reader.error], ["pcap", isCompressed, null]);
      assertEquals([reader.fileBytes, reader.fileBytesRead], [bytes.length, bytes.length]);
      assertEquals(await reader.next(), undefined);
      assertEquals(await reader.fill(), false);
    });
  }
});

Deno.test("openCapture() keeps what came before and names file and offset when the file is damaged", async () => {
  const good = join(HEADER, packet(1, 4), packet(2, 4));
  const offset = good.length;
  const cut = join(good, packet(3, 50).subarray(0, 30));
  await withFile(cut, async (path) => {
    using reader = await openCapture(path);
    for (let i = 1; i <= 2; i++) assertEquals((await reader.next())!.data[0], i);
    assertEquals(await reader.next(), undefined);
    assertEquals(reader.error?.offset, offset);
    assertEquals(
      reader.error!.message,
      `Cannot read capture ${path} from byte ${offset} on: the file ends inside a packet: 30 of 66 bytes`,
    );
  });
  await withFile(new Uint8Array(gzipSync(cut)), async (path) => {
    using reader = await openCapture(path);
    while (await reader.next() !== undefined);
    assertStringIncludes(
      reader.error!.message,
      `from byte ${offset} of the decompressed data on: the file ends inside`,
    );
  });
  const gzip = new Uint8Array(gzipSync(join(HEADER, ...Array.from({ length: 100 }, (_, i) => packet(i, i)))));
  await withFile(gzip.subarray(0, gzip.length - 20), async (path) => {
    using reader = await openCapture(path);
    while (await reader.next() !== undefined);
    assert(reader.packets > 0);
    assertStringIncludes(reader.error!.message, `Cannot read capture ${path} from byte `);
    assertStringIncludes(reader.error!.message, "gzip data is damaged");
  });
});

Deno.test("openCapture() rejects and says why when there is no capture", async () => {
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(4096), "not a pcap or pcapng file (it begins with 00 00 00 00 00 00 00 00)"],
    [new Uint8Array(0), "not a pcap or pcapng file (the file is empty)"],
    [new TextEncoder().encode("rules:\n"), "not a pcap or pcapng file (it begins with 72 75 6c 65 73 3a 0a)"],
    [new Uint8Array(gzipSync(new Uint8Array(99))), "not a pcap or pcapng file (it begins with 00 00"],
    [new Uint8Array(gzipSync(new Uint8Array(0))), "not a pcap or pcapng file (the file is empty)"],
    [Uint8Array.of(0x1f, 0x8b, 8, 0, 0), "damaged gzip data"],
    [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 1, 2), "it is compressed with zstd, of which weir reads gzip only"],
  ];
  for (const [bytes, message] of cases) {
    await withFile(bytes, async (path) => {
      const error = await assertRejects(() => openCapture(path), CaptureError);
      assertStringIncludes(error.message, `Cannot read capture ${path}: ${message}`);
    });
  }
  const folder = await Deno.makeTempDir();
  try {
    await assertRejects(() => openCapture(folder), CaptureError, `Cannot read capture ${folder}: it is a directory`);
    const missing = `${folder}/none.pcap`;
    await assertRejects(
      () => openCapture(missing),
      CaptureError,
      `Cannot read capture ${missing}: there is no such file`,
    );
  } finally {
    await Deno.remove(folder);
  }
});

Deno.test("CaptureReader.fill() loses nothing when it is called before the packets at hand were taken", async () => {
  await withFile(join(HEADER, packet(1, 3), packet(2, 3)), async (path) => {
    using reader = await openCapture(path);
    for (let i = 0; i < 5; i++) assertEquals(await reader.fill(), true);
    assertEquals(reader.tryNext()!.timestampUs, 1_000_000);
    assertEquals(await reader.fill(), true);
    assertEquals(reader.tryNext()!.timestampUs, 2_000_000);
    assertEquals(reader.tryNext(), undefined);
    assertEquals(await reader.fill(), false);
    reader.close();
    reader.close();
    assertEquals(await reader.fill(), false);
  });
});
