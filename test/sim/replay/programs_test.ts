/** Packet programs in a replay: what leaves, when it leaves, and what the result says of it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { loadConfig } from "../../../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../../../core/config/sniffing.ts";
import type { ReplayResult } from "../../../core/cli/replay_result.ts";
import { createQuicCrypto } from "../../../core/host/quic_crypto.ts";
import { Verify } from "../../../core/parse/parse.ts";
import { LINKTYPE } from "../../../sim/capture/link_types.ts";
import { openCapture } from "../../../sim/capture/open.ts";
import { PcapngWriter } from "../../../sim/capture/write.ts";
import { runReplay } from "../../../sim/replay/run_replay.ts";
import { MemoryFiles } from "../../config/memory_files.ts";
import { udpPacket } from "../../support/packets.ts";
import { checkReplayDocument } from "../../support/replay_schema.ts";

const START_US = 1_700_000_000_000_000;
const COUNT = 200;

/** A capture of numbered datagrams, 1 ms apart. */
function capture(): Uint8Array {
  const written: number[] = [];
  const writer = new PcapngWriter((bytes) => void written.push(...bytes), { application: "test" });
  writer.addInterface({ linkType: LINKTYPE.RAW, name: "test" });
  for (let n = 0; n < COUNT; n++) {
    const packet = udpPacket({ payload: [n, 0, 0, 0] });
    writer.writePacket(packet, 0, packet.length, { timestampUs: START_US + n * 1000, direction: 2 });
  }
  writer.flush();
  return new Uint8Array(written);
}

interface Replayed {
  readonly result: ReplayResult;
  readonly output: Uint8Array;
}

async function replayWith(program: string, seed: number): Promise<Replayed> {
  const text = `weir: { programs: { p: ${program} } }\nrules: ["MATCH,DIRECT,program=p"]\n`;
  const { config, issues } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": text }));
  assertEquals(issues, []);
  const path = await Deno.makeTempFile({ suffix: ".pcapng" });
  const written: number[] = [];
  try {
    await Deno.writeFile(path, capture());
    const result = await runReplay({
      captures: [{ path, open: () => openCapture(path) }],
      decider: config!.decider,
      sniff: sniffOptionsOf(config!.sniffer),
      names: namePolicyOf(config!.sniffer),
      crypto: createQuicCrypto(),
      policy: undefined,
      processes: undefined,
      mode: "divert",
      verify: Verify.None,
      seed,
      explain: false,
      output: (bytes) => void written.push(...bytes),
      onProgress: undefined,
    });
    assertEquals(checkReplayDocument(result), []);
    return { result, output: new Uint8Array(written) };
  } finally {
    await Deno.remove(path);
  }
}

/** The packets of an output capture. Shape: first payload byte, and when it left after the start in µs. */
async function packetsOf(output: Uint8Array): Promise<[number, number][]> {
  const path = await Deno.makeTempFile({ suffix: ".pcapng" });
  await Deno.writeFile(path, output);
  const packets: [number, number][] = [];
  try {
    using reader = await openCapture(path);
    do {
      for (let record = reader.tryNext(); record !== undefined; record = reader.tryNext()) {
        packets.push([record.view.getUint8(record.dataAt + 28), record.timestampUs - START_US]);
      }
    } while (await reader.fill());
    return packets;
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("runReplay() holds packets back in the capture's own time, beyond its end", async () => {
  const { result, output } = await replayWith("{ delay: 50ms }", 1);
  assertEquals(await packetsOf(output), Array.from({ length: COUNT }, (_, n) => [n, n * 1000 + 50_000]));
  assertEquals([result.counters.delivered, result.counters.queued], [COUNT, 0]);
  const { name, text, packets, held } = result.programs![0]!;
  assertEquals([name, text, packets, held], ["p", "each packet delayed 50 ms", COUNT, COUNT]);
  assertEquals(result.flows[0]!.program, "program p");
  assertStringIncludes(new TextDecoder("latin1").decode(output), "weir: direct by Match via DIRECT, program p");
});

Deno.test("runReplay() gives the same bytes for the same seed, and others for another", async () => {
  const program =
    "[{ duplicate: 2 }, { probability: 30%, drop: true }, { delay: 1ms, jitter: 20ms }, { probability: 0.1, corrupt: true }]";
  const [one, again, other] = [
    await replayWith(program, 7),
    await replayWith(program, 7),
    await replayWith(program, 8),
  ];
  assertEquals(one.output, again.output);
  assertEquals({ ...one.result, captures: [] }, { ...again.result, captures: [] });
  assert(one.output.length !== other.output.length || one.output.some((byte, i) => byte !== other.output[i]));
  const dropped = one.result.counters.dropped["programDrop"]!;
  assert(Math.abs(dropped / COUNT - 0.3) < 0.1, `${dropped} dropped`);
  assertEquals(one.result.counters.delivered + dropped, COUNT);
});
