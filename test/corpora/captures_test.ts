/** The capture readers against third-party captures: every file there is, and the conformance set of pcapng readers. */
import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { decoderFor } from "../../sim/capture/decode.ts";
import { createLinkFrame, stripLink } from "../../sim/capture/link_layer.ts";
import { openCapture } from "../../sim/capture/open.ts";
import { DECODE } from "../../sim/capture/record.ts";
import { drain } from "../sim/capture/drain.ts";
import expectedFiles from "./captures_expected.json" with { type: "json" };

const FOLDER = new URL("../../../shared/corpora/captures/", import.meta.url).pathname;

function isAbsent(): boolean {
  try {
    return !Deno.statSync(FOLDER).isDirectory;
  } catch {
    return true;
  }
}

const ignore = isAbsent();
if (ignore) console.log("skipped: ../shared/corpora/captures is absent");

/** As Wireshark's capinfos counts: packets, bytes on the wire, earliest and latest time, which are null when one packet has none. */
type Expected = readonly [number, number, string | null, string | null];

const FILES = Object.entries(expectedFiles) as unknown as readonly (readonly [string, Expected])[];

function* capturesBelow(folder: string, prefix = ""): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const name = prefix + entry.name;
    if (entry.isDirectory) yield* capturesBelow(`${folder}${entry.name}/`, `${name}/`);
    else if (/\.pcap(ng)?$/.test(name)) yield name;
  }
}

function formatTime(us: number, nsRest: number, digits: number): string {
  const seconds = Math.floor(us / 1_000_000);
  const ns = (us - seconds * 1_000_000) * 1000 + nsRest;
  return `${seconds}.${String(ns).padStart(9, "0").slice(0, digits)}`;
}

Deno.test({
  name: "openCapture() counts packets, bytes and times as capinfos does when it reads each corpus file",
  ignore,
  async fn() {
    assertEquals([...capturesBelow(FOLDER)].sort(), FILES.map(([file]) => file).sort());
    for (const [file, [packets, originalBytes, first, last]] of FILES) {
      using reader = await openCapture(FOLDER + file);
      let [low, high] = [Infinity, -Infinity];
      let [lowText, highText] = ["", ""];
      const [firstDigits, lastDigits] = [first, last].map((time) => time?.split(".")[1]?.length ?? 6);
      for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
        const time = record.timestampUs;
        if (time < low) [low, lowText] = [time, formatTime(time, record.timestampNsRest, firstDigits!)];
        if (time >= high) [high, highText] = [time, formatTime(time, record.timestampNsRest, lastDigits!)];
      }
      assertEquals(reader.error, null, file);
      assertEquals(reader.ignoredFacts, 0, file);
      assertEquals([reader.packets, reader.originalBytes], [packets, originalBytes], file);
      if (first !== null) assertEquals([lowText, highText], [first, last], file);
    }
  },
});

Deno.test({
  name: "PcapngDecoder meets the blocks in the order that the conformance set describes",
  ignore,
  fn() {
    let count = 0;
    for (const [file] of FILES) {
      if (!file.startsWith("pcapng-test-generator/")) continue;
      const text = Deno.readTextFileSync(FOLDER + file.replace(/\.pcapng$/, ".txt"));
      const sequence = /^Block sequence: (.*)$/m.exec(text)![1]!.split(", ");
      const counts = Object.fromEntries(
        [...text.matchAll(/^\t(\w+): (\d+)$/gm)].map(([, kind, number]) => [kind!, Number(number)]),
      );
      const seen: string[] = [];
      const bytes = Deno.readFileSync(FOLDER + file);
      const decoder = decoderFor(bytes, (kind) => seen.push(kind))!;
      const packets = drain(decoder, bytes);
      assertEquals(decoder.error, null, file);
      assertEquals(seen, sequence, file);
      const tally: Record<string, number> = {};
      for (const kind of seen) tally[kind] = (tally[kind] ?? 0) + 1;
      assertEquals(tally, counts, file);
      assertEquals(
        packets.length,
        seen.filter((kind) => kind === "EPB" || kind === "SPB" || kind === "PB").length,
        file,
      );
      count++;
    }
    assertEquals(count, 48);
  },
});

Deno.test({
  name: "PcapngDecoder reads the same from both byte orders when the conformance set has both",
  ignore,
  fn() {
    for (const [file] of FILES) {
      if (!file.startsWith("pcapng-test-generator/output_le/")) continue;
      const big = Deno.readFileSync(FOLDER + file.replace("_le", "_be"));
      const little = Deno.readFileSync(FOLDER + file);
      const [bigDecoder, littleDecoder] = [decoderFor(big)!, decoderFor(little)!];
      assertEquals(drain(bigDecoder, big), drain(littleDecoder, little), file);
      assertEquals(bigDecoder.nameRecords, littleDecoder.nameRecords, file);
      assertEquals(bigDecoder.interfaces, littleDecoder.interfaces, file);
    }
  },
});

Deno.test({
  name: "openCapture() names the process when mpeg.pcap has Darwin's process blocks",
  ignore,
  async fn() {
    using reader = await openCapture(`${FOLDER}ndpi/mpeg.pcap`);
    const processes: (string | undefined)[] = [];
    for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
      processes.push(record.process && `${record.process.pid} ${record.process.name}`);
    }
    assertEquals(processes.length, 19);
    assert(processes.includes("224 acwebsecagent"));
    assertEquals(new Set(processes), new Set([undefined, "224 acwebsecagent"]));
  },
});

/** Link type and family to frames; it agrees with the outermost IP header that tshark's dissector finds in each frame. */
const EXPECTED_FAMILIES: Record<string, number> = {
  "0/4": 18,
  "0/6": 1,
  "1/0": 163,
  "1/4": 11269,
  "1/6": 182,
  "1/truncated": 3,
  "12/6": 81,
  "101/4": 1008,
  "101/6": 69,
  "113/0": 7,
  "113/4": 510,
  "113/6": 20,
  "228/4": 15,
  "253/0": 13,
  "276/4": 3,
};

Deno.test({
  name: "stripLink() finds IP in every frame but the ones that have none when it reads the corpus",
  ignore,
  async fn() {
    const counts: Record<string, number> = {};
    const frame = createLinkFrame();
    for (const [file] of FILES) {
      using reader = await openCapture(FOLDER + file);
      for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
        stripLink(record.linkType, record.view, record.dataAt, record.dataLength, frame);
        const key = `${record.linkType}/${frame.truncated ? "truncated" : frame.family}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
    }
    assertEquals(counts, EXPECTED_FAMILIES);
  },
});

Deno.test({
  name: "the decoders end with one outcome when corpus files are mutated",
  ignore,
  fn() {
    const prng = new Prng(11);
    const small = FILES.map(([file]) => Deno.readFileSync(FOLDER + file)).filter((bytes) => bytes.length < 20_000);
    const frame = createLinkFrame();
    for (let run = 0; run < 10_000; run++) {
      const bytes = small[prng.below(small.length)]!.slice(0, prng.chance(1, 4) ? prng.between(4, 2000) : undefined);
      for (let i = prng.between(1, 8); i > 0; i--) bytes[prng.between(4, bytes.length - 1)] = prng.uint32();
      const decoder = decoderFor(bytes)!;
      decoder.push(bytes);
      decoder.finish();
      let steps = 0;
      while (decoder.next() === DECODE.PACKET) {
        const { linkType, view, dataAt, dataLength } = decoder.record;
        stripLink(linkType, view, dataAt, dataLength, frame);
        assert(frame.ipAt + frame.ipLength === dataAt + dataLength);
        assert(++steps <= bytes.length);
      }
      assertEquals(decoder.packets, steps);
    }
  },
});
