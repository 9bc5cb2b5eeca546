/** `weir speeder`: sends each packet that leaves more than once, so that a path that loses packets loses fewer of them. */
import { RUN_PACKETS_PER_POLL_MAX, SLOT_BYTES } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import type { PacketProgram } from "../decide/packet_program.ts";
import type { Engine } from "../engine.ts";
import type { LiveDevice, OpenDevice } from "../host/live_device.ts";
import { RunLoop } from "../host/run_loop.ts";
import { compileFilter, FilterSyntaxError } from "../filter/mod.ts";
import { type CommandLine, parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import { LOG_LEVELS, RunLog } from "./run_log.ts";
import {
  createSpeederEngine,
  SPEEDER_FILTER,
  type SpeederChoices,
  speederDeviceFilter,
  speederProgram,
} from "./speeder_engine.ts";

/** What the command needs of the machine. */
export interface SpeederDoors {
  /** The kinds of device that divert packets on this system, by the word after `--adapter`. */
  readonly devices: Readonly<Record<string, OpenDevice>>;
  /** Secret randomness. Units: 0 … 2³²−1. */
  readonly uint32: () => number;
  /** Resolves when somebody wants weir to end, with what to call that; `stopping` is told when it need not be watched for any more. */
  readonly untilStopped: (stopping: AbortSignal) => Promise<string>;
}

const OPTIONS = {
  flags: ["adaptive"],
  values: ["adapter", "filter", "multiplicity", "ceiling", "netns", "log"],
} as const;

const MULTIPLICITY = 2;
const MULTIPLICITY_MAX = 10;

/** Runs `weir speeder` until it is stopped. Exit status 2 when the arguments cannot be used, 1 when the device fails. */
export async function speederCommand(args: readonly string[], io: CommandIo, doors: SpeederDoors): Promise<number> {
  const line = parseCommandLine(args, OPTIONS);
  if (line.positionals.length > 0) {
    throw new UsageError(`Cannot take ${line.positionals[0]}: expected options only; a filter goes after --filter`);
  }
  const log = new RunLog(io, line.choice("log", LOG_LEVELS, "info"));
  const open = openerOf(line, doors);
  const choices = choicesOf(line);
  const program = programOf(choices);
  const device = await open({
    name: "weir-speeder",
    addresses: [],
    mtu: SLOT_BYTES,
    routes: [],
    sources: [],
    offload: false,
    namespace: line.value("netns"),
    divert: { filter: speederDeviceFilter(choices), priority: 0 },
  });
  try {
    await run(device, choices, program, doors, log);
  } finally {
    device.close();
  }
  return 0;
}

function openerOf(line: CommandLine, { devices }: SpeederDoors): OpenDevice {
  const kinds = Object.keys(devices);
  const first = kinds[0];
  if (first === undefined) {
    throw new UsageError(`Cannot divert packets: weir has no device for that on ${Deno.build.os} yet`);
  }
  return devices[line.choice("adapter", kinds, first)]!;
}

function choicesOf(line: CommandLine): SpeederChoices {
  const filter = line.value("filter") ?? SPEEDER_FILTER;
  try {
    compileFilter(filter, "network");
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    const place = `character ${error.position + 1}`;
    throw new UsageError(`Cannot use --filter: ${error.message} at ${place}, expected a WinDivert filter`);
  }
  const multiplicity = line.wholeNumber("multiplicity", MULTIPLICITY_MAX, MULTIPLICITY);
  if (multiplicity < 2) throw new UsageError(`Cannot use --multiplicity ${multiplicity}: expected 2 to 10`);
  const given = line.value("ceiling");
  const ceiling = given !== undefined && /^\d+$/.test(given) ? Number(given) : given;
  return { filter, multiplicity, ceiling, isAdaptive: line.flag("adaptive") };
}

function programOf(choices: SpeederChoices): PacketProgram {
  try {
    return speederProgram(choices);
  } catch (error) {
    throw error instanceof Error ? new UsageError(error.message) : error;
  }
}

async function run(
  device: LiveDevice,
  choices: SpeederChoices,
  program: PacketProgram,
  doors: SpeederDoors,
  log: RunLog,
): Promise<void> {
  const loop = new RunLoop(device.adapter);
  const engine = createSpeederEngine(device.adapter, program, doors.uint32());
  const stop = new AbortController();
  const stopped = doors.untilStopped(stop.signal).then((why) => {
    log.say("info", `stopping: ${why}`);
    stop.abort();
  });
  log.say("info", `speeder is up: ${describe(choices)}`);
  try {
    await loop.run({ turn: (now) => turn(engine, now) }, stop.signal);
  } finally {
    stop.abort();
    await stopped;
    engine.endFlows();
    tellCounts(engine, log);
  }
}

function turn(engine: Engine, now: Micros): Micros {
  const received = engine.counters.received;
  const deadline = engine.poll(now, RUN_PACKETS_PER_POLL_MAX);
  return engine.counters.received === received ? deadline : now;
}

function describe({ filter, multiplicity, ceiling, isAdaptive }: SpeederChoices): string {
  const when = isAdaptive ? " while packets get lost" : "";
  const bound = ceiling === undefined
    ? ""
    : `, copies up to ${typeof ceiling === "number" ? `${ceiling} bytes/s` : ceiling}`;
  return `each packet leaves ${multiplicity} times${when}${bound}, where ${filter}`;
}

function tellCounts(engine: Engine, log: RunLog): void {
  const { counters, programs } = engine;
  const dropped = Object.entries(counters.droppedByName()).map(([name, count]) => `, ${count} lost (${name})`).join("");
  log.say("info", `${counters.received} packets received, ${counters.delivered} sent on${dropped}`);
  for (const { counts } of programs.results()) {
    const { copies, copiesUnmade, copiesLost, quiet } = counts;
    log.say(
      "info",
      `${copies} copies sent, ${copiesUnmade} not made (ceiling), ${copiesLost} not taken by the device, ` +
        `${quiet} packets not copied (no loss seen)`,
    );
  }
}
