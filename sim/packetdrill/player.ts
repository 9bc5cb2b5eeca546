/**
 * Plays a script against a host, event by event, in virtual time.
 *
 * Source for when what is due and how far it may be off: google/packetdrill run.c, `verify_time` and `adjust_relative_event_times`.
 */
import { SCRIPT_STEPS_MAX, SCRIPT_TIME_US_MAX } from "../../core/base/limits.ts";
import { addMicros, type Micros, micros } from "../../core/base/micros.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { FIN, SYN, URG } from "../../core/wire/tcp.ts";
import { type CallContext, type CallOutcome, runCall } from "./calls.ts";
import { runCode } from "./code_block.ts";
import type { Flow } from "./flow.ts";
import { Flows } from "./flows.ts";
import { formatPacket, formatSeconds } from "./format.ts";
import type { Host } from "./host.ts";
import { inboundBytes } from "./inbound.ts";
import { differenceOf, trimToExpected } from "./match.ts";
import { belongsTo, coalesce, cut, expectedLength, wrongPayload } from "./outbound.ts";
import type { LivePacket } from "./packet_decode.ts";
import { MismatchError, UnsupportedError } from "./script_error.ts";
import type { CallSpec, EventTime, PacketSpec, Script, ScriptEvent } from "./script.ts";
import type { Profile, Settings } from "./settings.ts";
import { type ScriptSocket, Sockets } from "./sockets.ts";
import { numberOf, sameErrno } from "./symbols.ts";
import { runCommand } from "./sysctl.ts";
import { tcpInfoValues } from "./tcpi.ts";

/** When an event is due, in virtual time. */
interface Due {
  readonly from: number;
  readonly to: number;
  readonly toleranceUs: number;
}

/** A call that waits. */
interface Waiting {
  readonly event: ScriptEvent;
  readonly call: CallSpec;
  readonly since: Micros;
  /** When it must return; undefined: as soon as it can. */
  readonly due: Due;
}

function describe(outcome: CallOutcome["outcome"]): string {
  if (outcome.kind === "blocked") return "nothing: the call waits";
  return outcome.kind === "done" ? `${outcome.value}` : `-1 ${outcome.errno}`;
}

/** Fast Open is not ours. Linux's suite switches it on without cookies, so that data in a SYN already means it. */
function refuseFastOpen({ action, line }: ScriptEvent, profile: Profile): void {
  if (action.kind !== "in" && action.kind !== "out") return;
  const { packet } = action;
  if (packet.protocol !== "tcp") return;
  const hasOption = packet.options?.some(({ kind }) => kind === "fastOpen") ?? false;
  const hasData = profile === "linux" && packet.length > 0 && (packet.flags & SYN) !== 0;
  if (hasOption || hasData) throw new UnsupportedError(line, "TCP Fast Open");
}

/** One run of one script. */
export class Player {
  readonly #script: Script;
  readonly #settings: Settings;
  readonly #host: Host;
  readonly #sockets: Sockets;
  readonly #flows: Flows;
  readonly #waiting: Waiting[] = [];
  /** Where absolute times begin. */
  readonly #origin: number;
  /** The time that the event before was due. */
  #lastDue: number | undefined;
  #steps = 0;
  /** Mismatches that `--non_fatal` lets pass. */
  readonly warnings: string[] = [];

  constructor(script: Script, settings: Settings, host: Host) {
    this.#script = script;
    this.#settings = settings;
    this.#host = host;
    this.#sockets = new Sockets(host);
    this.#flows = new Flows(settings);
    const first = script.events[0]?.time;
    this.#origin = host.now - (first?.kind === "absolute" || first?.kind === "absoluteRange" ? first.atUs : 0);
  }

  /** Plays to the end. Errors: `MismatchError`, `UnsupportedError`. */
  run(): void {
    if (this.#script.initCommand !== undefined) runCommand(this.#settings, this.#script.initCommand, 1);
    for (const event of this.#script.events) {
      try {
        this.#play(event);
      } catch (error) {
        const kind = event.action.kind === "call" ? "syscall" : "packet";
        if (!(error instanceof MismatchError) || !this.#settings.nonFatal.has(kind)) throw error;
        this.warnings.push(error.message);
      }
    }
    for (const waiting of [...this.#waiting]) this.#finish(waiting);
  }

  #play(event: ScriptEvent): void {
    refuseFastOpen(event, this.#settings.profile);
    const due = this.#dueOf(event.time);
    const action = event.action;
    if (action.kind === "out") {
      this.#expect(event, action.packet, due);
    } else {
      this.#waitUntil(due.from, event);
      if (this.#host.now > due.to + due.toleranceUs) {
        const times = `${formatSeconds(due.to - this.#origin)} s, and it is ${formatSeconds(this.#scriptNow())} s`;
        throw new MismatchError(event.line, `timing: the event is due at ${times}\n  ${event.text}`);
      }
      if (action.kind === "in") this.#inject(event, action.packet);
      else if (action.kind === "call") this.#call(event, action.call, due);
      else if (action.kind === "command") runCommand(this.#settings, action.text, event.line);
      else if (action.kind === "code") this.#code(event, action.text);
    }
    if (event.time.kind !== "any") this.#lastDue = due.from;
    this.#settle(event.line);
  }

  #scriptNow(): number {
    return this.#host.now - this.#origin;
  }

  #toleranceUs(due: number): number {
    const { toleranceUs, tolerancePercent } = this.#settings;
    const since = this.#lastDue === undefined ? 0 : due - this.#lastDue;
    return Math.max(toleranceUs, since * tolerancePercent / 100);
  }

  #dueOf(time: EventTime): Due {
    if (time.kind === "any") return { from: -Infinity, to: SCRIPT_TIME_US_MAX, toleranceUs: 0 };
    const base = time.kind === "relative" || time.kind === "relativeRange" ? this.#host.now : this.#origin;
    const from = base + time.atUs;
    const to = "endUs" in time ? base + time.endUs : from;
    return { from, to, toleranceUs: this.#toleranceUs(from) };
  }

  /** Runs what is due now, packets' and timers' work alike, and asks waiting calls again. */
  #settle(line: number): Micros {
    const next = this.#host.settle();
    if (this.#host.fault !== undefined) throw new MismatchError(line, this.#host.fault);
    if (this.#sockets.corrupted !== undefined) throw new MismatchError(line, this.#sockets.corrupted);
    if (this.#waiting.length === 0) return next;
    let earliest = next;
    for (const waiting of [...this.#waiting]) earliest = micros(Math.min(earliest, this.#retry(waiting)));
    return earliest;
  }

  /** Moves on to the next thing that happens, at most to `limit`. Shape: false when `limit` is reached. */
  #step(limit: number, line: number): boolean {
    const before = this.#host.sent.length;
    const next = this.#settle(line);
    if (this.#host.sent.length > before) return true; // a packet is worth looking at before time goes on
    if (++this.#steps > SCRIPT_STEPS_MAX) {
      throw new MismatchError(line, `the stack ran ${SCRIPT_STEPS_MAX} timers and found no rest`);
    }
    if (next > limit) {
      if (limit > this.#host.now) this.#host.moveTo(micros(limit));
      this.#settle(line);
      return false;
    }
    this.#host.moveTo(micros(Math.max(next, this.#host.now)));
    return true;
  }

  #waitUntil(at: number, event: ScriptEvent): void {
    while (this.#host.now < at && this.#step(at, event.line)) { /* timers on the way */ }
    this.#settle(event.line); // what is due at that very moment goes first
  }

  // ── packets ────────────────────────────────────────────────────────────────────────────────────────────────────

  #inject(event: ScriptEvent, packet: PacketSpec): void {
    const flow = this.#flows.forInbound(packet);
    const bytes = inboundBytes(packet, flow, this.#flows.isPassive(flow), event.line);
    if (packet.protocol === "tcp") {
      if ((packet.flags & URG) !== 0 || packet.absoluteSequence) this.#sockets.isVerifying = false;
      const isSynFin = (packet.flags & SYN) !== 0 && (packet.flags & FIN) !== 0;
      if (this.#settings.dropSynFin && isSynFin) return;
    }
    this.#host.inject(bytes);
  }

  /** The next packet of the stack on `flow`, waiting for it until `limit`. */
  #take(flow: Flow | undefined, limit: number, line: number): LivePacket | undefined {
    for (;;) {
      const sent = this.#host.sent;
      while (sent.length > 0) {
        const packet = sent.shift()!;
        const owner = flow ?? this.#flows.current;
        if (owner !== undefined && belongsTo(packet, owner)) return packet;
      }
      if (this.#host.now >= limit) {
        this.#settle(line);
        if (sent.length === 0) return undefined;
      } else if (!this.#step(limit, line) && sent.length === 0) return undefined;
    }
  }

  /** The next packet in the size that the script expects. */
  #takeSized(flow: Flow, expected: PacketSpec, limit: number, line: number): LivePacket | undefined {
    let packet = this.#take(flow, limit, line);
    const wanted = expectedLength(expected);
    while (packet !== undefined && packet.payload.length < wanted && !this.#settings.strictSegments) {
      const next = this.#take(flow, this.#host.now, line);
      const both = next === undefined ? undefined : coalesce(packet, next);
      if (both === undefined) {
        if (next !== undefined) this.#host.sent.unshift(next);
        break;
      }
      packet = both;
    }
    const parts = packet !== undefined && packet.payload.length > wanted ? cut(packet, wanted) : undefined;
    if (parts === undefined) return packet;
    this.#host.sent.unshift(parts[1]);
    return parts[0];
  }

  #expect(event: ScriptEvent, expected: PacketSpec, due: Due): void {
    const flow = this.#flows.forOutbound(expected);
    if (flow === undefined) {
      throw new MismatchError(event.line, `no connection is open that could send this\n  expected: ${event.text}`);
    }
    const live = this.#takeSized(flow, expected, due.to + due.toleranceUs, event.line);
    if (live === undefined) {
      const until = formatSeconds(this.#scriptNow());
      throw new MismatchError(event.line, `the stack sent nothing until ${until} s\n  expected: ${event.text}`);
    }
    let seen = live.spec;
    if (live.spec.protocol === "tcp" && expected.protocol === "tcp") {
      if ((live.spec.flags & SYN) !== 0) this.#learnSyn(flow, live.spec.sequence);
      flow.learnOutbound(live.spec, expected);
      seen = flow.toScript(live.spec, expected);
    }
    const rules = {
      ignorePush: this.#settings.profile === "linux",
      tickUs: this.#settings.timestampTickUs,
      toleranceUs: Math.max(
        this.#settings.toleranceUs,
        (due.from - this.#origin) * this.#settings.tolerancePercent / 100,
      ),
    };
    const wrong = differenceOf(expected, seen, rules) ??
      (this.#sockets.isVerifying ? wrongPayload(live, flow) : undefined) ??
      this.#lateness(live, due);
    if (live.spec.protocol === "tcp" && expected.protocol === "tcp") flow.learnTimestamps(live.spec, expected);
    if (wrong === undefined) return;
    const actual = `${formatSeconds(live.atUs - this.#origin)} > ${formatPacket(trimToExpected(seen, expected))}`;
    throw new MismatchError(event.line, `${wrong}\n  expected: ${event.text}\n  actual:   ${actual}`);
  }

  /** A second SYN with another number means that the port pair is used again: offsets of the stream begin anew. */
  #learnSyn(flow: Flow, sequence: number): void {
    if (flow.localInitial !== 0 && flow.localInitial !== sequence) this.#sockets.isVerifying = false;
  }

  #lateness(live: LivePacket, due: Due): string | undefined {
    if (live.atUs >= due.from - due.toleranceUs && live.atUs <= due.to + due.toleranceUs) return undefined;
    const from = formatSeconds(due.from - this.#origin);
    const range = due.to === due.from ? `${from} s` : `${from} to ${formatSeconds(due.to - this.#origin)} s`;
    return `timing: expected at ${range}, seen at ${formatSeconds(live.atUs - this.#origin)} s`;
  }

  // ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #try(event: ScriptEvent, call: CallSpec, since: Micros, isRetry: boolean): CallOutcome {
    const context: CallContext = {
      sockets: this.#sockets,
      port: this.#host,
      settings: this.#settings,
      line: event.line,
      now: this.#host.now,
      since,
      isRetry,
      wanted: call.result.kind === "integer" ? call.result.value : -1,
    };
    return runCall(context, call);
  }

  #socketOf(call: CallSpec, line: number): ScriptSocket | undefined {
    const fd = call.args[0];
    return fd === undefined || fd.kind !== "integer" ? undefined : this.#sockets.get(numberOf(fd, line));
  }

  #call(event: ScriptEvent, call: CallSpec, due: Due): void {
    const socket = this.#socketOf(call, event.line);
    const before = socket?.connection ?? socket?.datagram;
    const result = this.#try(event, call, this.#host.now, false);
    if (call.name === "listen" && socket?.listener !== undefined) this.#flows.listening(socket.port);
    if (call.name === "bind" && socket?.datagram !== undefined) this.#flows.listening(socket.port);
    if (call.name === "connect" && socket !== undefined && (socket.connection ?? socket.datagram) !== before) {
      const port = socket.connection?.remotePort ?? this.#settings.connectPort;
      this.#flows.connecting(socket.port, port);
    }
    if (result.outcome.kind !== "blocked") {
      if (call.endUs !== undefined) this.#checkEnd(event, this.#endOf(event, call, due));
      return this.#check(event, call, result);
    }
    if (call.endUs !== undefined) {
      this.#waiting.push({ event, call, since: this.#host.now, due: this.#endOf(event, call, due) });
      return;
    }
    this.#finish({ event, call, since: this.#host.now, due });
  }

  /** When a `...` call must return. */
  #endOf(event: ScriptEvent, call: CallSpec, due: Due): Due {
    const start = event.time.kind === "relative" ? event.time.atUs : 0;
    const at = event.time.kind === "relative" ? due.from - start + call.endUs! : this.#origin + call.endUs!;
    return { from: at, to: at, toleranceUs: this.#toleranceUs(at) };
  }

  #check(event: ScriptEvent, call: CallSpec, { outcome, difference }: CallOutcome): void {
    const expected = call.result.kind === "any" ? undefined : numberOf(call.result, event.line);
    const value = outcome.kind === "done" ? outcome.value : -1;
    const errno = outcome.kind === "failed" ? outcome.errno : undefined;
    let wrong = difference;
    const isAnyError = expected === -1 && call.errno === undefined && errno !== undefined;
    if ((expected !== undefined && expected !== value) || (!isAnyError && !sameErrno(errno, call.errno))) {
      wrong = `${call.name}: expected ${expected ?? "any"}${call.errno === undefined ? "" : ` ${call.errno}`}, seen ${
        describe(outcome)
      }`;
    }
    if (wrong !== undefined) throw new MismatchError(event.line, `${wrong}\n  expected: ${event.text}`);
  }

  #checkEnd(event: ScriptEvent, due: Due): void {
    const now = this.#host.now;
    if (now >= due.from - due.toleranceUs && now <= due.to + due.toleranceUs) return;
    const times = `${formatSeconds(due.to - this.#origin)} s, seen at ${formatSeconds(this.#scriptNow())} s`;
    throw new MismatchError(event.line, `timing: the call returns at ${times}\n  expected: ${event.text}`);
  }

  /** Asks a waiting call again. Shape: when to ask at the latest. */
  #retry(waiting: Waiting): number {
    const { event, call, since, due } = waiting;
    const result = this.#try(event, call, since, true);
    if (result.outcome.kind === "blocked") return call.name === "poll" ? this.#pollEnd(waiting) : Infinity;
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
    if (call.endUs !== undefined) this.#checkEnd(event, due);
    this.#check(event, call, result);
    return this.#host.settle();
  }

  #pollEnd({ event, call, since }: Waiting): number {
    const timeoutMs = numberOf(call.args[2], event.line);
    return timeoutMs < 0 ? Infinity : addMicros(since, timeoutMs * 1_000);
  }

  /** Waits for a call's end. */
  #finish(waiting: Waiting): void {
    if (!this.#waiting.includes(waiting)) this.#waiting.push(waiting);
    const limit = waiting.due.to + waiting.due.toleranceUs;
    while (this.#waiting.includes(waiting)) {
      if (this.#step(limit, waiting.event.line) || !this.#waiting.includes(waiting)) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      const until = formatSeconds(this.#scriptNow());
      throw new MismatchError(
        waiting.event.line,
        `${waiting.call.name} still waits at ${until} s\n  expected: ${waiting.event.text}`,
      );
    }
  }

  #socketOn(flow: Flow | undefined): ScriptSocket | undefined {
    const ends = flow?.ends;
    return [...this.#sockets.all()].findLast(({ connection }) =>
      connection !== undefined && connection.localPort === ends?.localPort && connection.remotePort === ends.remotePort
    );
  }

  #stateOf(flow: Flow): TcpState | undefined {
    return this.#socketOn(flow)?.connection?.state;
  }

  // ── code ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** TCP_INFO of the connection that was opened last. Source: packetdrill's code.c takes the socket under test. */
  #code(event: ScriptEvent, text: string): void {
    const socket = this.#socketOn(this.#flows.current);
    if (socket?.connection === undefined) throw new UnsupportedError(event.line, "Python code without a connection");
    const values = tcpInfoValues(socket.connection);
    const broken = runCode(text, event.line, values);
    if (broken === undefined) return;
    const names = [...new Set(broken.match(/tcpi_\w+/g) ?? [])].map((name) => `${name} = ${values(name)}`);
    throw new MismatchError(event.line, `assert ${broken}: seen ${names.join(", ")}`);
  }
}
