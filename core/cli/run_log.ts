/** What `weir run` says while it runs: one line for each flow that is decided, one for each that ends. */
import type { Counters } from "../act/counters.ts";
import { formatIp } from "../base/ip_address.ts";
import { type FlowFacts, ruleHost } from "../classify/facts.ts";
import type { FlowRecord } from "../classify/flow_record.ts";
import type { Deliberation } from "../decide/deliberation.ts";
import type { EngineObserver } from "../engine.ts";
import type { LeftBehind } from "../host/live_engine.ts";
import type { FlowEnd } from "../host/stack_host.ts";
import type { CommandIo } from "./io.ts";
import { visible } from "./report/visible.ts";

/** The levels, from nothing to everything. Source: Clash `log-level`. */
export const LOG_LEVELS = ["silent", "error", "warning", "info", "debug"] as const;
/** A value of `LOG_LEVELS`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One side as people write it: IPv6 in brackets. */
function endpoint(ip: FlowFacts["sourceIp"], port: number, host: string): string {
  if (ip === undefined) return `${host}:${port}`;
  const text = ip.version === 4 ? formatIp(ip) : `[${formatIp(ip)}]`;
  return host === "" ? `${text}:${port}` : `${text}:${port} (${host})`;
}

/** A flow in one line: `tcp 198.18.0.1:50100 [curl] → 192.0.2.1:443 (example.org)`. What it carried is shown as visible text. */
export function describeFlow(facts: FlowFacts): string {
  const program = facts.process === "" ? "" : ` [${facts.process}]`;
  const from = endpoint(facts.sourceIp, facts.sourcePort, "") + program;
  const to = endpoint(facts.destinationIp, facts.destinationPort, ruleHost(facts));
  return visible(`${facts.network} ${from} → ${to}`);
}

/** Writes lines of a level or a graver one to standard error. */
export class RunLog implements EngineObserver {
  readonly #io: CommandIo;
  readonly #rank: number;

  constructor(io: CommandIo, level: LogLevel) {
    this.#io = io;
    this.#rank = LOG_LEVELS.indexOf(level);
  }

  /** Writes one line. */
  say(level: LogLevel, text: string): void {
    if (LOG_LEVELS.indexOf(level) > this.#rank) return;
    this.#io.err(`${new Date().toISOString()} ${level.padEnd(7)} ${text}\n`);
  }

  flowStarted(): void {}

  flowDecided(_flow: number, record: FlowRecord, { verdict }: Deliberation): void {
    const rule = verdict.rule === "" ? "no rule" : `${verdict.rule}(${verdict.rulePayload})`;
    this.say("info", `${describeFlow(record.facts)} ${visible(`${rule} → ${verdict.chains.join(" ← ")}`)}`);
  }

  flowEnded(): void {}

  /** A TCP flow was carried, or could not be. */
  carried(facts: FlowFacts, { end, message, upload, download }: FlowEnd): void {
    const flow = describeFlow(facts);
    if (end === "closed" || end === "broken" || end === "idle") {
      this.say("debug", `${flow} ${end}: ${upload} bytes up, ${download} bytes down`);
    } else if (end !== "cancelled") this.say("warning", `${flow} ${end}: ${visible(message)}`);
  }

  /** What is still there at the end, before it is ended. */
  left(left: LeftBehind): void {
    const counts = Object.entries(left).map(([name, count]) => `${count} ${name}`);
    this.say("debug", `at the end: ${counts.join(", ")}`);
  }

  /** What became of all packets. */
  counters(counters: Counters): void {
    const dropped = Object.entries(counters.droppedByName()).map(([name, count]) => `${count} ${name}`);
    const { received, consumed, generated } = counters;
    const lost = dropped.length === 0 ? "" : `, dropped ${dropped.join(", ")}`;
    this.say("info", `${received} packets received, ${consumed} consumed, ${generated} sent${lost}`);
  }
}
