/**
 * `deno task fuzz [--seed N] [--packets N] [--stack N] [--files N] [--configs N] [--filters N] [--outbound N]`: a long run of mutated packets, at an
 * engine and at a stack, captures, configurations, filters, and answers of proxy and name servers. Each input must give exactly one outcome, without an exception and within two seconds. What
 * fails is kept in test/seeds/.
 */
import { parseArgs } from "@std/cli/parse-args";
import { Prng } from "../core/base/prng.ts";
import { openCapture } from "../sim/capture/open.ts";
import { createLinkFrame, stripLink } from "../sim/capture/link_layer.ts";
import { buildCaptures, pcapOf } from "../test/fuzz/build_captures.ts";
import {
  drawRequest,
  FUZZ_CONFIG,
  FUZZ_FILE_BYTES_MAX,
  mutateCapture,
  replayChecked,
} from "../test/fuzz/capture_fuzz.ts";
import { drawOutbound, readOutboundInput } from "../test/fuzz/outbound_fuzz.ts";
import { builtConversations, type Conversation, FuzzWorld, runWorld } from "../test/fuzz/packet_fuzz.ts";
import { fuzzStack } from "../test/fuzz/stack_fuzz.ts";
import { drawConfig, drawFilter, loadChecked, matchChecked } from "../test/fuzz/text_fuzz.ts";
import { ROOT } from "./project.ts";

const WORLD_PACKETS = 2_000;
/** Packets that one stack gets; each seed has its own. */
const STACK_PACKETS = 1_000_000;
const INPUT_MS_MAX = 2_000;
/** Inputs that are many packets, of which each is measured by itself or not at all. */
const LONG_KINDS: readonly string[] = ["packets", "stack"];
const CAPTURES = new URL("../shared/corpora/captures/", ROOT);

/** Says which input it was when one never ends: a thread of its own watches a counter. */
class Watchdog {
  readonly #beat = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  constructor() {
    const code = `onmessage = ({ data }) => { let last = -1; setInterval(() => {
      const now = Atomics.load(data, 0);
      if (now === last) { console.error("input " + now + " does not end"); Deno.kill(Deno.pid, "SIGKILL"); }
      last = now; }, 20_000); };`;
    this.#worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module" });
    this.#worker.postMessage(this.#beat);
  }

  beat(): void {
    Atomics.add(this.#beat, 0, 1);
  }

  stop(): void {
    this.#worker.terminate();
  }
}

/** What a kind of input came to. */
interface Tally {
  readonly kind: string;
  inputs: number;
  failures: number;
  slowest: number;
  readonly outcomes: Map<string, number>;
}

const KINDS = ["packets", "stack", "files", "configs", "filters", "outbound"] as const;
const watchdog = new Watchdog();

function keep(kind: string, extension: string, bytes: Uint8Array, error: unknown): void {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  const folder = new URL(`test/seeds/${kind}/`, ROOT);
  Deno.mkdirSync(folder, { recursive: true });
  const name = `${(hash >>> 0).toString(16).padStart(8, "0")}.${extension}`;
  Deno.writeFileSync(new URL(name, folder), bytes);
  console.error(`test/seeds/${kind}/${name}: ${error instanceof Error ? error.stack : error}`);
}

function begin(kind: string): Tally {
  return { kind, inputs: 0, failures: 0, slowest: 0, outcomes: new Map() };
}

function count(tally: Tally, outcome: string, packets = 1): void {
  tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + packets);
}

/** Runs one input, measures it, and keeps it when it fails or takes too long. `input` is asked for only then. */
async function run(
  tally: Tally,
  extension: string,
  input: () => Uint8Array,
  work: () => Promise<string> | string,
): Promise<void> {
  watchdog.beat();
  const start = performance.now();
  try {
    const outcome = await work();
    if (outcome !== "") count(tally, outcome);
    const took = performance.now() - start;
    tally.slowest = Math.max(tally.slowest, took);
    if (took > INPUT_MS_MAX && !LONG_KINDS.includes(tally.kind)) throw new Error(`it took ${Math.round(took)} ms`);
  } catch (error) {
    tally.failures++;
    keep(tally.kind, extension, input(), error);
  }
}

async function fuzzPackets(seed: Prng, packets: number, conversations: readonly Conversation[]): Promise<Tally> {
  const tally = begin("packets");
  for (let i = 0; tally.inputs < packets; i++) {
    const prng = seed.fork(`world-${i}`);
    const world = new FuzzWorld(prng, () => performance.now());
    await run(tally, "pcap", () => pcapOf(world.given), () => {
      runWorld(world, prng, conversations, Math.min(WORLD_PACKETS, packets - tally.inputs));
      if (world.report.slowest > INPUT_MS_MAX) throw new Error(`one packet took ${world.report.slowest} ms`);
      return "";
    });
    tally.inputs += world.report.packets;
    tally.slowest = i === 0 ? world.report.slowest : Math.max(tally.slowest, world.report.slowest);
    for (const [reason, dropped] of Object.entries(world.report.dropped)) count(tally, reason, dropped);
  }
  return tally;
}

/** What is allocated now, after a collection where `--v8-flags=--expose-gc` allows one. Units: bytes. */
function heapBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Deno.memoryUsage().heapUsed;
}

async function fuzzStacks(seed: Prng, packets: number): Promise<Tally> {
  const tally = begin("stack");
  const total = { bytesIn: 0, bytesOut: 0, packetsOut: 0 };
  const heapBefore = heapBytes();
  for (let i = 0; tally.inputs < packets; i++) {
    const number = seed.fork(`stack-${i}`).uint32();
    const size = Math.min(STACK_PACKETS, packets - tally.inputs);
    let given = 0;
    await run(tally, "txt", () => new TextEncoder().encode(`fuzzStack(${number}, ${size})\n`), () => {
      const report = fuzzStack(number, size, () => {
        if ((++given & 0xffff) === 0) watchdog.beat();
      });
      for (const name of ["bytesIn", "bytesOut", "packetsOut"] as const) total[name] += report[name];
      for (const [reason, times] of report.outcomes) count(tally, reason, times);
      return "";
    });
    tally.inputs += size;
    if (i === 0) console.log(`stack: heap ${heapBefore} bytes before, ${heapBytes()} after the first ${size} packets`);
  }
  const { bytesIn, bytesOut, packetsOut } = total;
  console.log(
    `stack: heap ${heapBytes()} bytes after all; ${bytesIn} bytes in, ${bytesOut} bytes out in ${packetsOut} packets`,
  );
  return tally;
}

async function fuzzFiles(seed: Prng, files: number, captures: readonly Uint8Array[]): Promise<Tally> {
  const tally = begin("captures");
  const folder = await Deno.makeTempDir();
  const [path, config] = [`${folder}/mutated`, `${folder}/config.yaml`];
  await Deno.writeTextFile(config, FUZZ_CONFIG);
  for (; tally.inputs < files; tally.inputs++) {
    const prng = seed.fork(`file-${tally.inputs}`);
    const bytes = mutateCapture(prng, captures);
    await Deno.writeFile(path, bytes);
    const request = drawRequest(prng, config);
    await run(tally, "capture", () => bytes, async () => {
      const { captures: [capture] } = await replayChecked(path, request);
      return capture!.format === null ? "no capture" : capture!.error === null ? "whole" : "damaged";
    });
  }
  await Deno.remove(folder, { recursive: true });
  return tally;
}

async function fuzzTexts(
  kind: "configs" | "filters",
  seed: Prng,
  inputs: number,
  work: (prng: Prng) => { text: string; work: () => Promise<string> | string },
): Promise<Tally> {
  const tally = begin(kind);
  for (; tally.inputs < inputs; tally.inputs++) {
    const drawn = work(seed.fork(`${kind}-${tally.inputs}`));
    await run(tally, "txt", () => new TextEncoder().encode(drawn.text), drawn.work);
  }
  return tally;
}

async function fuzzOutbounds(seed: Prng, inputs: number): Promise<Tally> {
  const tally = begin("outbound");
  const heapBefore = heapBytes();
  for (; tally.inputs < inputs; tally.inputs++) {
    const prng = seed.fork(`outbound-${tally.inputs}`);
    const input = drawOutbound(prng);
    const asText = () => new TextEncoder().encode(`${input.reader} ${input.which} ${input.bytes.join(",")}\n`);
    await run(tally, "txt", asText, () => readOutboundInput(prng, input));
  }
  if (inputs > 0) console.log(`outbound: heap ${heapBefore} bytes before, ${heapBytes()} after`);
  return tally;
}

/** The captures that are there: files to damage, and their packets as conversations. */
async function readCaptures(): Promise<{ files: Uint8Array[]; conversations: Conversation[] }> {
  const files: Uint8Array[] = [];
  const conversations: Conversation[] = [];
  const walk = async (folder: URL): Promise<void> => {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      const url = new URL(isDirectory ? `${name}/` : name, folder);
      if (isDirectory) await walk(url);
      else if (/\.pcap(ng)?$/.test(name)) {
        const bytes = Deno.readFileSync(url);
        files.push(bytes.subarray(0, FUZZ_FILE_BYTES_MAX));
        conversations.push(await packetsOf(url.pathname));
      }
    }
  };
  try {
    await walk(CAPTURES);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("../shared/corpora/captures is absent: only what is built here is mutated");
  }
  return { files, conversations: conversations.filter((list) => list.length > 0) };
}

async function packetsOf(path: string): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  const link = createLinkFrame();
  using reader = await openCapture(path);
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
    stripLink(record.linkType, record.view, record.dataAt, record.dataLength, link);
    const at = link.ipAt - record.dataAt;
    if (link.family !== 0) packets.push(record.data.slice(at, at + link.ipLength));
  }
  return packets;
}

function print(tally: Tally, ms: number): void {
  const outcomes = [...tally.outcomes].sort((a, b) => b[1] - a[1]).map(([name, times]) => `${name} ${times}`).join(
    ", ",
  );
  const { kind, inputs, failures, slowest } = tally;
  console.log(
    `${kind}: ${inputs} inputs, ${failures} failures, ${Math.round(ms)} ms, slowest ${slowest.toFixed(1)} ms`,
  );
  console.log(`  ${outcomes}`);
}

if (import.meta.main) {
  const options = parseArgs(Deno.args, { string: ["seed", ...KINDS] });
  const number = (name: "seed" | (typeof KINDS)[number], otherwise: number): number => {
    const value = options[name] === undefined ? otherwise : Number(options[name]);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    console.error(`Cannot take --${name} ${options[name]}: expected a whole number`);
    Deno.exit(2);
  };
  const seed = number("seed", 20260606);
  console.log(`seed ${seed}`);
  const prng = new Prng(seed);
  const shared = await readCaptures();
  const conversations = [...builtConversations(), ...shared.conversations];
  const captures = [...buildCaptures(builtConversations()), ...shared.files];
  const runs: (() => Promise<Tally>)[] = [
    () => fuzzPackets(prng.fork("packets"), number("packets", 1_000_000), conversations),
    () => fuzzStacks(prng.fork("stack"), number("stack", 1_000_000)),
    () => fuzzFiles(prng.fork("files"), number("files", 10_000), captures),
    () => fuzzTexts("configs", prng.fork("configs"), number("configs", 10_000), drawConfigRun),
    () => fuzzTexts("filters", prng.fork("filters"), number("filters", 10_000), drawFilterRun),
    () => fuzzOutbounds(prng.fork("outbound"), number("outbound", 200_000)),
  ];
  let failures = 0;
  for (const each of runs) {
    const start = performance.now();
    const tally = await each();
    print(tally, performance.now() - start);
    failures += tally.failures;
  }
  watchdog.stop();
  Deno.exit(failures === 0 ? 0 : 1);
}

function drawConfigRun(prng: Prng) {
  const text = drawConfig(prng);
  return { text, work: () => loadChecked(text) };
}

function drawFilterRun(prng: Prng) {
  const layer = prng.chance(1, 2) ? 0 : prng.below(5) as 0 | 1 | 2 | 3 | 4;
  const text = drawFilter(prng, layer);
  return { text, work: () => matchChecked(prng, text, layer) };
}
