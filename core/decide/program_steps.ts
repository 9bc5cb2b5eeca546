/**
 * Reads the steps of a packet program from plain values, whoever wrote them: a configuration, a policy's answer.
 *
 * It runs inside a policy's worker too, and so imports nothing but limits. Filters are only compiled by `createProgram`.
 */
import {
  PROGRAM_COPIES_MAX,
  PROGRAM_DELAY_US_MAX,
  PROGRAM_FILTER_LENGTH_MAX,
  PROGRAM_QUEUE_BYTES_MAX,
  PROGRAM_RATE_BYTES_MAX,
  PROGRAM_REORDER_DISTANCE_MAX,
  PROGRAM_STEPS_MAX,
} from "../base/limits.ts";

/** How fast a step lets packets go on. Units: as named. */
export interface ThrottleFields {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly queueBytes: number;
}

/** One step with its numbers read. Units: as named; odds in parts per million. Absent: not done. */
export interface StepFields {
  when?: string;
  oddsPpm?: number;
  duplicate?: number;
  ceilingBytesPerSecond?: number;
  adaptive?: boolean;
  drop?: boolean;
  delayUs?: number;
  jitterUs?: number;
  reorderUs?: number;
  reorderDistance?: number;
  throttle?: ThrottleFields;
  corrupt?: boolean;
}

/** What is wrong with a value, and on the way to it the keys and indexes that lead there. */
export interface StepFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The keys of a step. */
export const STEP_KEYS: readonly string[] = [
  "when",
  "probability",
  "duplicate",
  "ceiling",
  "adaptive",
  "drop",
  "delay",
  "jitter",
  "reorder",
  "throttle",
  "corrupt",
];

const THROTTLE_KEYS: readonly string[] = ["rate", "burst", "queue"];
const ODDS_PPM = 1_000_000;
const BURST_US = 10_000;
const BURST_BYTES_MIN = 3_000;
const QUEUE_US = 200_000;
const QUEUE_BYTES_MIN = 32_768;
const SECOND_US = 1_000_000;

/** A value that cannot be used; caught by `readSteps`. */
class Refusal {
  readonly path: (string | number)[] = [];
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

function show(value: unknown): string {
  if (typeof value === "string") {
    return value.length > 60 ? `a text of ${value.length} characters` : JSON.stringify(value);
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Runs a reader one step further down the path. */
function inside<T>(key: string | number, read: () => T): T {
  try {
    return read();
  } catch (refusal) {
    if (refusal instanceof Refusal) refusal.path.unshift(key);
    throw refusal;
  }
}

const TIME_US: Readonly<Record<string, number>> = { us: 1, "µs": 1, ms: 1_000, s: 1_000_000 };

/** A duration: a number of milliseconds, or a text with its unit. Units: µs. */
function readTime(value: unknown): number {
  const match = typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|s)\s*$/.exec(value) : null;
  const us = typeof value === "number" ? value * 1_000 : match === null ? NaN : Number(match[1]) * TIME_US[match[2]!]!;
  if (us >= 0 && us <= PROGRAM_DELAY_US_MAX) return Math.round(us);
  const max = PROGRAM_DELAY_US_MAX / SECOND_US;
  throw new Refusal(
    `expected a time from 0 to ${max} s like "20ms", or a number of milliseconds, found ${show(value)}`,
  );
}

const RATE_BYTES: Readonly<Record<string, number>> = {
  bit: 1 / 8,
  kbit: 1e3 / 8,
  mbit: 1e6 / 8,
  gbit: 1e9 / 8,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

function amount(value: unknown, suffix: RegExp): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string") return NaN;
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(value.replace(suffix, ""));
  return match === null ? NaN : Number(match[1]) * (RATE_BYTES[match[2]!.toLowerCase()] ?? NaN);
}

/** A rate: a number of bytes per second, or a text with its unit. Units: bytes per second. */
function readRate(value: unknown): number {
  const rate = amount(value, /(?:\/s|ps)\s*$/i);
  if (rate >= 1 && rate <= PROGRAM_RATE_BYTES_MAX) return Math.round(rate);
  throw new Refusal(
    `expected a rate up to 100 Gbit/s like "10mbit" or "2MB", or a number of bytes per second, found ${show(value)}`,
  );
}

/** A size: a number of bytes, or a text with its unit. Units: bytes. */
function readSize(value: unknown): number {
  const bytes = amount(value, /$/);
  if (bytes >= 0 && bytes <= PROGRAM_QUEUE_BYTES_MAX) return Math.round(bytes);
  const max = PROGRAM_QUEUE_BYTES_MAX / 1024 ** 2;
  throw new Refusal(`expected a size up to ${max} MiB like "64KiB", or a number of bytes, found ${show(value)}`);
}

function readWhole(value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw new Refusal(`expected a whole number from ${min} to ${max}, found ${show(value)}`);
}

function readFlag(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new Refusal(`expected true or false, found ${show(value)}`);
}

function readOdds(value: unknown): number {
  const percent = typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value) : null;
  const odds = typeof value === "number" ? value : percent === null ? NaN : Number(percent[1]) / 100;
  if (odds >= 0 && odds <= 1) return Math.round(odds * ODDS_PPM);
  throw new Refusal(`expected a probability from 0 to 1, or a text like "5%", found ${show(value)}`);
}

function readFilter(value: unknown): string {
  if (typeof value !== "string" || value.trim() === "") {
    throw new Refusal(`expected a WinDivert filter, found ${show(value)}`);
  }
  if (value.length <= PROGRAM_FILTER_LENGTH_MAX) return value;
  throw new Refusal(`a filter has at most ${PROGRAM_FILTER_LENGTH_MAX} characters, found ${show(value)}`);
}

/** The own entries of a table. Errors: for anything else, and for a key that is not among `keys`. */
function entriesOf(value: unknown, keys: readonly string[], what: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(`expected ${what}, found ${show(value)}`);
  }
  const entries: [string, unknown][] = Object.keys(value).map((key) => [key, (value as Record<string, unknown>)[key]]);
  for (const [key] of entries) {
    if (!keys.includes(key)) {
      inside(key, () => {
        throw new Refusal(`there is no ${show(key)} in ${what}; there are ${keys.join(", ")}`);
      });
    }
  }
  return entries.filter(([, part]) => part !== undefined);
}

/** A rate alone, or a table of rate, burst and queue. */
function readThrottle(value: unknown): ThrottleFields {
  const isAlone = typeof value === "number" || typeof value === "string";
  const given = isAlone ? new Map<string, unknown>([["rate", value]]) : new Map(
    entriesOf(value, THROTTLE_KEYS, "a throttle"),
  );
  const rate = given.get("rate");
  if (rate === undefined) throw new Refusal("a throttle needs its rate");
  const bytesPerSecond = isAlone ? readRate(rate) : inside("rate", () => readRate(rate));
  const carries = (us: number) => Math.min(PROGRAM_QUEUE_BYTES_MAX, Math.ceil(bytesPerSecond * us / SECOND_US));
  const size = (key: string, otherwise: number) => {
    const part = given.get(key);
    return part === undefined ? otherwise : inside(key, () => readSize(part));
  };
  return {
    bytesPerSecond,
    burstBytes: size("burst", Math.max(BURST_BYTES_MIN, carries(BURST_US))),
    queueBytes: size("queue", Math.max(QUEUE_BYTES_MIN, carries(QUEUE_US))),
  };
}

/** A distance as a number of packets, or a time. */
function readReorder(value: unknown, into: StepFields): void {
  if (typeof value === "number") into.reorderDistance = readWhole(value, 0, PROGRAM_REORDER_DISTANCE_MAX);
  else into.reorderUs = readTime(value);
}

const READERS: Readonly<Record<string, (value: unknown, into: StepFields) => void>> = {
  when: (value, into) => void (into.when = readFilter(value)),
  probability: (value, into) => void (into.oddsPpm = readOdds(value)),
  duplicate: (value, into) => void (into.duplicate = readWhole(value, 1, PROGRAM_COPIES_MAX)),
  ceiling: (value, into) => void (into.ceilingBytesPerSecond = readRate(value)),
  adaptive: (value, into) => void (into.adaptive = readFlag(value)),
  drop: (value, into) => void (into.drop = readFlag(value)),
  delay: (value, into) => void (into.delayUs = readTime(value)),
  jitter: (value, into) => void (into.jitterUs = readTime(value)),
  reorder: readReorder,
  throttle: (value, into) => void (into.throttle = readThrottle(value)),
  corrupt: (value, into) => void (into.corrupt = readFlag(value)),
};

function readStep(value: unknown): StepFields {
  const step: StepFields = {};
  for (const [key, part] of entriesOf(value, STEP_KEYS, "a step")) inside(key, () => READERS[key]!(part, step));
  if (step.duplicate === undefined && (step.ceilingBytesPerSecond !== undefined || step.adaptive !== undefined)) {
    throw new Refusal("ceiling and adaptive belong to duplicate, which is missing");
  }
  return step;
}

/** Reads a list of steps, or one step. Errors: returned, about the first value that cannot be used. */
export function readSteps(value: unknown): StepFields[] | StepFault {
  try {
    if (!Array.isArray(value)) return [readStep(value)];
    if (value.length > PROGRAM_STEPS_MAX) {
      throw new Refusal(`a program has at most ${PROGRAM_STEPS_MAX} steps, found ${value.length}`);
    }
    return Array.from(value, (part: unknown, index) => inside(index, () => readStep(part)));
  } catch (refusal) {
    if (refusal instanceof Refusal) return { path: refusal.path, message: refusal.message };
    throw refusal;
  }
}

/** A step as it may be written: what `readSteps` reads to the same fields again. */
export type PlainStep = Readonly<Record<string, unknown>>;

/** Steps as values that can cross to another thread, in one way of writing. */
export function plainSteps(steps: readonly StepFields[]): PlainStep[] {
  const time = (us: number | undefined) => us === undefined ? undefined : `${us}us`;
  return steps.map((step) => {
    const { throttle } = step;
    const plain = {
      when: step.when,
      probability: step.oddsPpm === undefined ? undefined : step.oddsPpm / ODDS_PPM,
      drop: step.drop,
      corrupt: step.corrupt,
      throttle: throttle &&
        { rate: throttle.bytesPerSecond, burst: throttle.burstBytes, queue: throttle.queueBytes },
      delay: time(step.delayUs),
      jitter: time(step.jitterUs),
      reorder: step.reorderDistance ?? time(step.reorderUs),
      duplicate: step.duplicate,
      ceiling: step.ceilingBytesPerSecond,
      adaptive: step.adaptive,
    };
    return Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
  });
}

/** A path for people: `[1].throttle.rate`. */
export function pathText(path: readonly (string | number)[]): string {
  return path.map((key) => typeof key === "number" ? `[${key}]` : `.${key}`).join("").replace(/^\./, "");
}
