import { assertEquals } from "@std/assert";
import fc from "fast-check";
import * as dns from "../../core/wire/dns.ts";
import { hexBytes, viewOf } from "../support/hello_build.ts";

const header = "123481800001000200000000";

function nameAt(hex: string, offset: number): string | undefined {
  const bytes = hexBytes(header + hex);
  return dns.readName(viewOf(bytes), 0, bytes.length, offset);
}

Deno.test("readName() follows compression, makes capitals small and escapes odd bytes", () => {
  const cases: [string, number, string | undefined][] = [
    ["0346554e00", 12, "fun"],
    ["00", 12, ""],
    ["036f726700" + "0161c00c", 17, "a.org"],
    ["036f726700" + "0161c00c" + "0162c011", 21, "b.a.org"],
    ["03612e6200", 12, "a\\.b"],
    ["035c000100", 12, "\\\\\\000\\001"],
    ["02ff2000", 12, "\\255\\032"],
    ["c00c", 12, undefined], // points at itself
    ["0161c00e", 12, undefined], // a loop of two
    ["c00e0161c00c", 12, undefined], // forwards
    ["c004", 12, undefined], // into the header
    ["4061", 12, undefined], // a label type that nobody uses
    ["0561", 12, undefined], // the label is cut off
    ["0161", 12, undefined], // no end
    ["", 12, undefined],
    ["c0", 12, undefined],
  ];
  for (const [hex, offset, expected] of cases) assertEquals(nameAt(hex, offset), expected, hex);
});

Deno.test("readName() refuses more than 255 bytes, also behind pointers", () => {
  const label = "3f" + "61".repeat(63);
  assertEquals(nameAt(label.repeat(3) + "3d" + "61".repeat(61) + "00", 12)?.length, 253);
  assertEquals(nameAt(label.repeat(4) + "00", 12), undefined);
  const half = label.repeat(3) + "00";
  assertEquals(nameAt(half + label + "c00c", 12 + half.length / 2), undefined);
});

Deno.test("readRecord() reads a record, and refuses one that is not whole", () => {
  const record = "c00c" + "0001" + "0001" + "0000003c" + "0004" + "c0000201";
  const bytes = hexBytes(header + "036f726700" + record);
  const cursor = dns.createRecordCursor();
  assertEquals(dns.readRecord(viewOf(bytes), 0, bytes.length, 17, cursor), true);
  assertEquals(cursor, { nameAt: 17, type: 1, class: 1, ttl: 60, dataAt: 29, dataLength: 4, next: 33 });
  for (let length = 17; length < bytes.length; length++) {
    assertEquals(dns.readRecord(viewOf(bytes), 0, length, 17, cursor), false);
  }
  bytes[23] = 0x80;
  dns.readRecord(viewOf(bytes), 0, bytes.length, 17, cursor);
  assertEquals(cursor.ttl, 0); // RFC 2181 section 8
});

Deno.test("readName() and readRecord() end on any bytes", () => {
  const pointer = fc.tuple(fc.constant(0xc0), fc.nat(60)).map(([a, b]) => [a, b]);
  const label = fc.uint8Array({ maxLength: 5 }).map((bytes) => [bytes.length, ...bytes]);
  const message = fc.array(fc.oneof(pointer, label), { maxLength: 30 }).map((parts) =>
    new Uint8Array([...hexBytes(header), ...parts.flat()])
  );
  fc.assert(
    fc.property(message, fc.nat(40), (bytes, offset) => {
      const name = dns.readName(viewOf(bytes), 0, bytes.length, 12 + offset);
      const cursor = dns.createRecordCursor();
      const ok = dns.readRecord(viewOf(bytes), 0, bytes.length, 12 + offset, cursor);
      return (name === undefined || name.length <= 4 * 255) && (!ok || cursor.next <= bytes.length);
    }),
    { seed: 9, numRuns: 5_000 },
  );
});
