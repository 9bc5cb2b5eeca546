import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UsageError } from "../../core/cli/arguments.ts";
import { filterCommand, type FilterPacket, type FilterPackets } from "../../core/cli/filter.ts";

const PACKETS: FilterPacket[] = [true, false, true].map((outbound) => ({
  data: Uint8Array.from([
    0x45,
    0,
    0,
    28,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    10,
    0,
    0,
    1,
    8,
    8,
    8,
    8,
    0xc3,
    0x50,
    0,
    53,
    0,
    8,
    0,
    0,
  ]),
  address: { outbound, ipv6: false },
}));

class Source implements FilterPackets {
  error: FilterPackets["error"] = null;
  readonly #damage: FilterPackets["error"];

  constructor(damage: FilterPackets["error"]) {
    this.#damage = damage;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FilterPacket> {
    yield* PACKETS;
    this.error = await Promise.resolve(this.#damage);
  }
}

async function run(args: string[], damage: FilterPackets["error"] = null) {
  let out = "";
  let err = "";
  const io = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    color: false,
    isTerminal: false,
    columns: 80,
  };
  const status = await filterCommand(args, io, () => Promise.resolve(new Source(damage)));
  return { status, out, err };
}

Deno.test("filterCommand() prints the normal form when given a filter", async () => {
  const { status, out, err } = await run(["udp.DstPort==53&&!loopback"]);
  assertEquals([status, out, err], [0, "udp.DstPort = 53 and not loopback\n", ""]);
});

Deno.test("filterCommand() counts what matches when given a capture", async () => {
  const { status, out } = await run(["udp.DstPort == 53 and outbound", "a.pcapng"]);
  assertEquals([status, out], [0, "udp.DstPort = 53 and outbound\n2 of 3 packets match\n"]);
});

Deno.test("filterCommand() prints one JSON document when asked for JSON", async () => {
  const { status, out, err } = await run(["outbound", "a.pcapng", "--json"]);
  assertEquals([status, err], [0, ""]);
  assertEquals(JSON.parse(out), {
    schema: "weir.filter/1",
    filter: "outbound",
    layer: "network",
    normalized: "outbound",
    object: "@WinDiv_WX_YXWWAX",
    error: null,
    capture: { file: "a.pcapng", packets: 3, matched: 2, error: null },
  });
  const flow = await run(["event = 1", "--layer", "flow", "--json"]);
  assertEquals(JSON.parse(flow.out).normalized, "event = ESTABLISHED");
});

Deno.test("filterCommand() points at the mistake when the filter is none", async () => {
  const text = await run(["tcp and Udp"]);
  assertEquals([text.status, text.out], [2, ""]);
  assertEquals(
    text.err,
    "weir: Cannot use filter: Filter expression contains a bad token (position 8)\n  tcp and Udp\n          ^\n",
  );
  const json = await run(["tcp and Udp", "a.pcapng", "--json"]);
  assertEquals(json.status, 2);
  const { normalized, error, capture } = JSON.parse(json.out);
  assertEquals([normalized, capture], [null, null]);
  assertEquals(error, { message: "Filter expression contains a bad token", position: 8 });
  const early = await run(["Udp: 1"]);
  assertStringIncludes(early.err, "(position 4294967295)\n  Udp: 1\n  ^\n");
  const hostile = await run([`tcp \x1b[31m${"x".repeat(5000)}`]);
  assertEquals(hostile.err.includes("\x1b") || hostile.err.length > 400, false);
});

Deno.test("filterCommand() says what was lost when the capture is damaged", async () => {
  const { status, out, err } = await run(["udp", "a.pcapng"], {
    message: "Cannot read a.pcapng: cut short",
    offset: 99,
  });
  assertEquals([status, out, err], [1, "udp\n3 of 3 packets match\n", "weir: Cannot read a.pcapng: cut short\n"]);
});

Deno.test("filterCommand() refuses arguments that make no sense", async () => {
  await assertRejects(() => run([]), UsageError, "none is given");
  await assertRejects(() => run(["tcp", "and", "udp"]), UsageError, "quote a filter");
  await assertRejects(() => run(["tcp", "--layer", "transport"]), UsageError, "expected network");
  await assertRejects(() => run(["tcp", "a.pcapng", "--layer", "socket"]), UsageError, "has none");
});
