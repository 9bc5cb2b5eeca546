import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../../core/base/prng.ts";
import { TcpState } from "../../../core/stack/tcp/tcp_state.ts";
import type { TcpOptions } from "../../../core/stack/tcp/tcp_options.ts";
import { type End, Pair, type WireFaults } from "./lab.ts";

/** An application that writes a stream of known bytes, reads what comes, and closes when both are done. */
class Application {
  readonly #end: End;
  readonly #prng: Prng;
  readonly #total: number;
  readonly #key: number;
  readonly #peerKey: number;
  readonly #buffer = new Uint8Array(16_384);
  written = 0;
  read = 0;
  wrong = 0;
  shut = false;
  #opened = false;

  constructor(end: End, prng: Prng, total: number, key: number, peerKey: number) {
    this.#end = end;
    this.#prng = prng;
    this.#total = total;
    this.#key = key;
    this.#peerKey = peerKey;
  }

  run(pair: Pair): void {
    const connection = this.#end.connection;
    if (connection.state >= TcpState.Established) this.#opened = true;
    if (!this.#opened) return;
    while (this.written < this.#total) {
      const wanted = Math.min(this.#total - this.written, this.#prng.between(1, this.#buffer.length));
      for (let i = 0; i < wanted; i++) this.#buffer[i] = byteAt(this.written + i, this.#key);
      const count = connection.send(this.#buffer, 0, wanted, pair.now);
      if (count <= 0) break;
      this.written += count;
    }
    if (this.written === this.#total && !this.shut) {
      this.shut = true;
      connection.shutdownSend(pair.now);
    }
    for (;;) {
      const count = connection.receive(this.#buffer, 0, this.#prng.between(1, this.#buffer.length), pair.now);
      if (count === 0) break;
      for (let i = 0; i < count; i++) if (this.#buffer[i] !== byteAt(this.read + i, this.#peerKey)) this.wrong++;
      this.read += count;
    }
  }
}

function byteAt(at: number, key: number): number {
  return (Math.imul(at + key, 0x9e3779b1) >>> 24) & 255;
}

interface Run {
  seed: number;
  faults: WireFaults;
  options: Partial<TcpOptions>;
  up: number;
  down: number;
  /** Payload of a super-segment that the device of both ends cuts; 0: none. */
  segmentBytesMax?: number;
}

function drawRun(seed: number): Run {
  const prng = new Prng(seed).fork("options");
  const pick = <T>(values: readonly T[]): T => values[prng.below(values.length)]!;
  return {
    seed,
    faults: {
      loss: pick([0, 0, 5, 20, 100]),
      duplicate: pick([0, 0, 10, 100]),
      reorder: pick([0, 0, 20, 200]),
      delayUs: pick([10, 1_000, 20_000, 100_000]),
      jitterUs: pick([0, 0, 100, 30_000]),
      rate: pick([0, 0, 1e6, 1e7]),
      queueBytes: pick([20_000, 200_000]),
      mark: prng.chance(1, 2),
    },
    options: {
      mss: pick([536, 1460, 8960]),
      windowScale: pick([-1, 0, 7]),
      sack: prng.chance(3, 4),
      timestamps: prng.chance(3, 4),
      ecn: prng.chance(1, 2),
      nagle: prng.chance(1, 2),
      rackTlp: prng.chance(3, 4),
      congestion: pick(["cubic", "reno"]),
      receiveBufferBytes: pick([2_000, 16_384, 262_144]),
      receiveBufferBytesMax: pick([0, 1 << 20]),
      sendBufferBytes: pick([3_000, 65_536, 262_144]),
      delayedAckUs: pick([0, 40_000, 200_000]),
      quickAckSegments: pick([0, 16]),
      batchAckSegmentsMax: pick([2, 44]),
      timeWaitUs: 60_000_000,
    },
    up: pick([0, 1, 1_000, 60_000, 200_000]),
    down: pick([0, 1, 1_000, 60_000, 200_000]),
    segmentBytesMax: pick([0, 0, 9_000, 60_000]),
  };
}

function play(run: Run): { pair: Pair; steps: number } {
  const pair = new Pair(run.seed, run.faults, run.options, run.options);
  pair.a.segmentBytesMax = pair.b.segmentBytesMax = run.segmentBytesMax ?? 0;
  const prng = new Prng(run.seed).fork("applications");
  const a = new Application(pair.a, prng.fork("a"), run.up, 1, 7);
  const b = new Application(pair.b, prng.fork("b"), run.down, 7, 1);
  pair.connect();
  let steps = 0;
  while (pair.step()) {
    a.run(pair);
    b.run(pair);
    steps++;
    assert(steps < 300_000, `seed ${run.seed}: it does not end`);
  }
  const what = `seed ${run.seed} ${
    JSON.stringify(run)
  } states ${pair.a.connection.state} ${pair.b.connection.state} errors ${pair.a.connection.error} ${pair.b.connection.error}`;
  assertEquals([a.wrong, b.wrong], [0, 0], what);
  assertEquals([a.read, b.read], [run.down, run.up], what);
  assertEquals([pair.a.connection.state, pair.b.connection.state], [0, 0], what);
  assertEquals([pair.a.connection.error, pair.b.connection.error], [0, 0], what);
  assertEquals([pair.a.buffers.lentBytes, pair.b.buffers.lentBytes], [0, 0], `${what}: rings are given back`);
  return { pair, steps };
}

Deno.test("TcpConnection carries every byte once and in order over a clean wire", () => {
  play({ seed: 1, faults: {}, options: {}, up: 1_000_000, down: 100_000 });
});

const FROM = 1;
const COUNT = 1_000;

Deno.test(`TcpConnection carries every byte once and in order through ${COUNT} seeded bad wires`, () => {
  for (let seed = FROM; seed < FROM + COUNT; seed++) play(drawRun(seed));
});
