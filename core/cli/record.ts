/**
 * `weir record`: live traffic with the process of each flow, as a pcapng file that `weir replay` reads.
 *
 * Packets that a device diverts are looked at and go on untouched. A TUN device is a network of its own: there `weir run` carries the flows on, and what
 * passes the device is written.
 */
import { Arena, Direction, NO_SLOT } from "../adapter/arena.ts";
import { PcapTap } from "../adapter/tap.ts";
import { RECORD_IDLE_US, RECORD_PACKETS_MAX, RECORD_SECONDS_MAX } from "../base/limits.ts";
import { addMicros, type Micros } from "../base/micros.ts";
import { compileFilter } from "../filter/compile.ts";
import type { DeviceSettings, LiveDevice, OpenDevice } from "../host/live_device.ts";
import { ProcessLookup } from "../host/process_lookup.ts";
import { monotonicClock, RunLoop } from "../host/run_loop.ts";
import { type CommandLine, parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import { Recorder, type RecordWriter } from "./record_packets.ts";
import { OutputFile } from "./replay.ts";
import { runCommand, type RunDoors } from "./run.ts";

/** What the command needs of the machine. */
export interface RecordDoors extends RunDoors {
  /** A writer of pcapng over a sink. */
  readonly createWriter: (sink: (bytes: Uint8Array) => void) => RecordWriter;
  /** The kinds of device that divert the system's packets. */
  readonly divertDevices: readonly string[];
}

const OWN_VALUES = ["out", "filter", "count", "seconds", "adapter", "netns", "mtu"] as const;
/** Options that `weir run` gets as they are. */
const RUN_VALUES = ["config", "policy", "device", "address", "route", "source-address", "offload", "log"] as const;
const MTU = 1500;
const MILLISECONDS = 1000;

/** Runs `weir record` until it is stopped, or has what it was asked for. Exit status 1 when the device or the file fails. */
export async function recordCommand(args: readonly string[], io: CommandIo, doors: RecordDoors): Promise<number> {
  const line = parseCommandLine(args, { flags: [], values: [...OWN_VALUES, ...RUN_VALUES] });
  if (line.positionals.length > 0) throw new UsageError(`Cannot record ${line.positionals[0]}: expected options only`);
  const path = line.value("out");
  if (path === undefined) throw new UsageError("Cannot record: name the file with --out FILE");
  const kind = line.choice("adapter", Object.keys(doors.devices), defaultKind(doors));
  const filterText = line.value("filter") ?? "true";
  const filter = compileFilter(filterText);
  const seconds = line.wholeNumber("seconds", RECORD_SECONDS_MAX, 0);
  const count = line.wholeNumber("count", RECORD_PACKETS_MAX, 0);
  const file = await OutputFile.open(path, []);
  const stop = new AbortController();
  try {
    file.begin();
    const writer = doors.createWriter((bytes) => {
      file.write(bytes);
      if (file.failure !== undefined) stop.abort();
    });
    writer.addInterface({ name: kind, filter: filterText });
    const recorder = new Recorder({ writer, filter, count, secret: doors.uint32(), onFull: () => stop.abort() });
    const timer = seconds === 0 ? undefined : setTimeout(() => stop.abort(), seconds * MILLISECONDS);
    try {
      const isDivert = doors.divertDevices.includes(kind);
      const status = isDivert
        ? await sniff(line, doors.devices[kind]!, filterText, recorder, stop, doors, io)
        : await runRecorded(line, kind, recorder, stop, doors, io);
      if (status !== 0) return status;
    } finally {
      clearTimeout(timer);
      writer.flush();
    }
  } finally {
    file.close();
  }
  if (file.failure !== undefined) throw file.failure;
  return 0;
}

function defaultKind(doors: RecordDoors): string {
  const kinds = Object.keys(doors.devices);
  const kind = kinds.find((each) => doors.divertDevices.includes(each)) ?? kinds[0];
  if (kind === undefined) throw new UsageError(`Cannot record: weir has no device for ${Deno.build.os} yet`);
  return kind;
}

/** Everything that the device diverts goes on as it came. */
async function sniff(
  line: CommandLine,
  open: OpenDevice,
  filter: string,
  recorder: Recorder,
  stop: AbortController,
  doors: RecordDoors,
  io: CommandIo,
): Promise<number> {
  const settings: DeviceSettings = {
    name: "record",
    addresses: [],
    mtu: line.wholeNumber("mtu", 0xffff, MTU),
    routes: [],
    sources: [],
    offload: false,
    namespace: line.value("netns"),
    divert: { filter, priority: 0 },
  };
  const device = await open(settings);
  const stopped = doors.untilStopped(stop.signal).then(() => stop.abort());
  try {
    recorder.lookup = lookupOf(device);
    io.err(`weir: recording to ${line.value("out")}\n`);
    await passOn(device, recorder, stop.signal);
  } finally {
    stop.abort();
    device.close();
    await stopped;
  }
  io.out(`${recorder.summary()} to ${line.value("out")}\n`);
  return 0;
}

function lookupOf({ processes }: LiveDevice): ProcessLookup | undefined {
  return processes === undefined ? undefined : new ProcessLookup(processes, monotonicClock);
}

async function passOn({ adapter }: LiveDevice, recorder: Recorder, signal: AbortSignal): Promise<void> {
  const arena = new Arena();
  const turn = (now: Micros): Micros => {
    const count = adapter.receive(arena, now);
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      // Written first: once it is sent, it may be gone, and its program with it.
      recorder.see(arena, slot, arena.direction[slot]!, now);
      adapter.send(arena, slot, now);
      arena.release(slot);
    }
    return count > 0 ? now : addMicros(now, RECORD_IDLE_US);
  };
  await new RunLoop(adapter).run({ turn }, signal);
}

/** `weir run` with a tap at its device. */
async function runRecorded(
  line: CommandLine,
  kind: string,
  recorder: Recorder,
  stop: AbortController,
  doors: RecordDoors,
  io: CommandIo,
): Promise<number> {
  const open: OpenDevice = async (settings) => {
    const device = await doors.devices[kind]!(settings);
    recorder.lookup = lookupOf(device);
    // What comes out of the device was sent by programs.
    const adapter = new PcapTap(
      device.adapter,
      (arena, slot, isReceived, now) =>
        recorder.see(arena, slot, isReceived ? Direction.Outbound : Direction.Inbound, now),
    );
    return { ...device, adapter, close: () => device.close() };
  };
  const untilStopped = (stopping: AbortSignal): Promise<string> =>
    Promise.race([
      doors.untilStopped(stopping),
      new Promise<string>((resolve) =>
        stop.signal.addEventListener("abort", () => resolve("everything is recorded"), { once: true })
      ),
    ]);
  const runArgs = [...RUN_VALUES, "netns", "mtu"].flatMap((name) => {
    const value = line.value(name);
    return value === undefined ? [] : [`--${name}=${value}`];
  });
  const status = await runCommand([`--adapter=${kind}`, ...runArgs], io, {
    ...doors,
    devices: { [kind]: open },
    untilStopped,
  });
  stop.abort();
  if (status === 0) io.out(`${recorder.summary()} to ${line.value("out")}\n`);
  return status;
}
