/** Ten thousand connections at once through engine, stack, relay and host sockets: what each keeps, what each costs to open. */
import type { Adapter } from "../../core/adapter/adapter.ts";
import { Arena, NO_SLOT } from "../../core/adapter/arena.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { loadConfig } from "../../core/config/load.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";
import { Dialer, type DialResult } from "../../core/host/dial.ts";
import { LiveEngine } from "../../core/host/live_engine.ts";
import { type LoopBody, RunLoop } from "../../core/host/run_loop.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import { Cable, createClassify, NO_OBSERVER, Programs } from "./cabled_engine.ts";
import { collect, cpuSeconds, heapBytes, residentBytes } from "./process_cost.ts";
import type { BenchRow } from "./row.ts";

const CONNECTIONS = 10_000;
/** Handshakes under way at once: fewer than the dialer's bound. */
const OPENING = 128;
const REQUEST_BYTES = 1_000;
const MTU = 1_500;

/** Finds everything in the echo server. */
class EchoDialer extends Dialer {
  readonly #port: number;

  constructor(port: number) {
    super();
    this.#port = port;
  }

  override dial(_address: unknown, _port: number, signal?: AbortSignal): Promise<DialResult> {
    return super.dial(parseIp("127.0.0.1")!, this.#port, signal);
  }
}

/** A live engine whose device is a cable to a stack that plays the programs; both take turns in one loop. */
class LiveRig implements LoopBody {
  readonly programs: Programs;
  readonly connections: TcpConnection[] = [];
  readonly loop: RunLoop;
  readonly #live: LiveEngine;
  readonly #request = new Uint8Array(REQUEST_BYTES);
  readonly #into = new Uint8Array(REQUEST_BYTES);
  #opening = 0;
  #answered = 0;
  #wake: (() => void) | undefined = undefined;
  /** How many connections there shall be. */
  #wanted = 0;

  constructor(decider: ConstructorParameters<typeof LiveEngine>[0]["decider"], port: number) {
    // The packets under way between both have an arena of their own: the engine's is behind its adapter.
    const between = new Arena(512);
    const [toEngine, toPrograms] = [new Cable(between, MTU), new Cable(between, MTU)];
    const adapter = device(between, toEngine, toPrograms);
    this.loop = new RunLoop(adapter);
    this.programs = new Programs(between, toPrograms, toEngine);
    this.#live = new LiveEngine({
      adapter,
      loop: this.loop,
      dialer: new EchoDialer(port),
      lookups: {
        resolve: () => Promise.resolve([]),
        findProcess: () => Promise.resolve(undefined),
        askPolicy: undefined,
      },
      decider,
      classify: createClassify(),
      observer: NO_OBSERVER,
      uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
      onCarried: () => {},
    });
  }

  turn(now: Micros): Micros {
    const deadline = this.#live.turn(now);
    const count = this.programs.poll(now);
    this.#drain(now);
    while (this.#opening < OPENING && this.connections.length < this.#wanted) {
      this.connections.push(this.programs.connect(now));
      this.#opening++;
    }
    const next = Math.min(deadline, this.programs.stack.nextDeadline());
    return count > 0 || this.#opening > 0 ? now : micros(next);
  }

  #drain(now: Micros): void {
    const stack = this.programs.stack;
    for (let ready = stack.takeReady(); ready !== undefined; ready = stack.takeReady()) {
      ready.takeEvents();
      if (ready.bytesOut === 0) ready.send(this.#request, 0, REQUEST_BYTES, now);
      const read = ready.receive(this.#into, 0, REQUEST_BYTES, now);
      this.#answered += read;
      if (read > 0 && ready.bytesIn === REQUEST_BYTES) this.#opening--;
    }
    if (this.#answered === this.#wanted * REQUEST_BYTES) this.#wake?.();
  }

  /** Opens connections until there are `count`, each with a request and its answer. */
  async open(count: number): Promise<void> {
    this.#wanted = count;
    const done = new Promise<void>((resolve) => this.#wake = resolve);
    this.loop.touched();
    await done;
  }

  close(): void {
    this.#live.close();
  }
}

/** A device over cables whose slots are not the engine's: packets are copied in and out, as from a driver's ring. */
function device(between: Arena, arrives: Cable, leaves: Cable): Adapter {
  const copy = (from: Arena, slot: number, to: Arena, into: number) => {
    const at = from.at(slot);
    to.bytes.set(from.bytes.subarray(at, at + from.length[slot]!), to.at(into));
    to.length[into] = from.length[slot]!;
    to.wireLength[into] = from.length[slot]!;
  };
  return {
    capabilities: arrives.capabilities,
    receive: (arena) => {
      let count = 0;
      for (let slot = arrives.take(); slot !== NO_SLOT; slot = count < 64 ? arrives.take() : NO_SLOT, count++) {
        const into = arena.acquire();
        if (into !== NO_SLOT) {
          copy(between, slot, arena, into);
          arena.arrive(into);
        }
        between.release(slot);
      }
      return count;
    },
    send: (arena, slot, now) => {
      const into = between.acquire();
      if (into === NO_SLOT) return false;
      copy(arena, slot, between, into);
      const isSent = leaves.send(between, into, now);
      between.release(into);
      return isSent;
    },
    // The rig's own turns find what is there.
    ready: () => new Promise(() => {}),
    close: () => {},
  };
}

/** Memory that the programs' side takes for itself, measured alone: two stacks without anything between. Units: bytes a connection. */
function programsBytes(): number {
  const arena = new Arena(512);
  const [one, two] = [new Cable(arena, MTU), new Cable(arena, MTU)];
  const [near, far] = [new Programs(arena, one, two), new Programs(arena, two, one)];
  far.stack.listen(undefined, 443, 1_024);
  const now = micros(1_000_000);
  const kept: TcpConnection[] = [];
  const into = new Uint8Array(REQUEST_BYTES);
  const open = () => {
    const connection = near.connect(now);
    kept.push(connection);
    while (far.poll(now) + near.poll(now) > 0);
    connection.send(into, 0, REQUEST_BYTES, now);
    while (far.poll(now) + near.poll(now) > 0);
    for (let ready = far.stack.takeReady(); ready !== undefined; ready = far.stack.takeReady()) {
      ready.takeEvents();
      ready.receive(into, 0, REQUEST_BYTES, now);
    }
  };
  for (let i = 0; i < 100; i++) open();
  const before = heapBytes();
  for (let i = 0; i < 1_000; i++) open();
  const bytes = (heapBytes() - before) / 1_000;
  return kept.length > 0 ? bytes / 2 : 0;
}

/** Measures. */
export async function bench(): Promise<BenchRow[]> {
  const own = programsBytes();
  const { config } = await loadConfig(undefined, new HostConfigFiles());
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("echo_program.ts", import.meta.url).pathname],
    stdout: "piped",
  });
  const server = command.spawn();
  const reader = server.stdout.getReader();
  const port = Number(new TextDecoder().decode((await reader.read()).value));
  const rig = new LiveRig(config!.decider, port);
  const stop = new AbortController();
  const running = rig.loop.run(rig, stop.signal);
  await rig.open(100);
  collect();
  const [heap, resident] = [heapBytes(), residentBytes()];
  const start = cpuSeconds();
  await rig.open(100 + CONNECTIONS);
  const seconds = cpuSeconds() - start;
  const grown = heapBytes() - heap - own * CONNECTIONS;
  const grownResident = residentBytes() - resident - own * CONNECTIONS;
  rig.close();
  stop.abort();
  await running;
  await reader.cancel();
  server.kill();
  await server.status;
  const count = CONNECTIONS.toLocaleString("en-US");
  return [
    {
      what: "connections opened through engine, stack, relay and a host socket, with 1,000 bytes and back",
      value: CONNECTIONS / seconds,
      unit: "1/s a core",
    },
    { what: `heap of ${count} live ones of them`, value: grown / 1e6, unit: "MB" },
    { what: "the same, each", value: grown / CONNECTIONS, unit: "bytes" },
    { what: `resident memory of the same ${count}`, value: grownResident / 1e6, unit: "MB" },
  ];
}
