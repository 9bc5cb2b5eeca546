/** A program on a virtual host: it writes, reads, waits, closes and gives up as its plan says, and checks every byte that it gets. */
import { addMicros, type Micros, micros } from "../../core/base/micros.ts";
import type { Prng } from "../../core/base/prng.ts";
import { TcpError, TcpEvent } from "../../core/stack/tcp/tcp_state.ts";
import type { AppPlan } from "./app_plan.ts";
import type { Scheduler } from "./link.ts";
import type { StreamPattern } from "./stream_pattern.ts";
import { Violation } from "./violation.ts";

/** What a program needs of a connection; `TcpConnection` is one. */
export interface Socket {
  readonly readableBytes: number;
  /** Bytes that were sent or wait to be sent, and are not acknowledged. */
  readonly unackedBytes: number;
  readonly isPeerClosed: boolean;
  readonly error: TcpError;
  send(bytes: Uint8Array, from: number, length: number, now: Micros): number;
  receive(into: Uint8Array, at: number, length: number, now: Micros): number;
  shutdownSend(now: Micros): void;
  close(now: Micros): void;
  abort(now: Micros): void;
}

/** How a program's connection stands or ended. */
export type AppOutcome =
  /** No connection yet. */
  | "waiting"
  | "open"
  /** Both directions came to their ends, and it closed. */
  | "done"
  /** It closed without waiting for what the peer still had to say. */
  | "left"
  /** It aborted, as planned. */
  | "aborted"
  /** It waited for a dead peer until it lost patience. */
  | "gaveUp"
  /** The connection said that it failed. */
  | "failed";

const BUFFER_BYTES = 65_536;
const scratch = new Uint8Array(BUFFER_BYTES);

/**
 * One program with one connection: it does what its plan says and compares each byte that it gets with the one that its peer's pattern has in
 * that place. `Host.attach` (or `attach` here) gives it its connection; set `peer` where the other end is an `Application` too, so that nothing
 * may arrive that was not sent. Errors: `Violation` from within the world's next step when something does not hold.
 */
export class Application {
  readonly name: string;
  readonly plan: AppPlan;
  outcome: AppOutcome = "waiting";
  sentBytes = 0;
  receivedBytes = 0;
  /** It will send nothing more, and said so. */
  isSendClosed = false;
  /** It saw the end of the peer's stream. */
  sawEnd = false;
  isConnected = false;
  error: TcpError = TcpError.None;
  /** The program at the other end; set once both are made. */
  peer: Application | undefined = undefined;
  readonly #outgoing: StreamPattern;
  readonly #incoming: StreamPattern;
  readonly #scheduler: Scheduler;
  readonly #prng: Prng;
  /** Called after every look at the connection that an event of the world did not cause: the stack may have something to do. */
  #onTouched: ((now: Micros) => void) | undefined;
  #socket: Socket | undefined = undefined;
  #writeAt: Micros = micros(0);
  #readAt: Micros = micros(0);
  #isHurried = false;

  constructor(
    name: string,
    plan: AppPlan,
    patterns: { outgoing: StreamPattern; incoming: StreamPattern },
    scheduler: Scheduler,
    prng: Prng,
    onTouched?: (now: Micros) => void,
  ) {
    this.name = name;
    this.plan = plan;
    this.#outgoing = patterns.outgoing;
    this.#incoming = patterns.incoming;
    this.#scheduler = scheduler;
    this.#prng = prng;
    this.#onTouched = onTouched;
  }

  /** The connection, once there is one. */
  get socket(): Socket | undefined {
    return this.#socket;
  }

  /** True when nothing more will happen here. */
  get isOver(): boolean {
    return this.outcome !== "open" && this.outcome !== "waiting";
  }

  /** Gives the program its connection. The handshake of one that it opened itself (`isActive`) is not over yet. */
  attach(socket: Socket, isActive: boolean, now: Micros, onTouched?: (now: Micros) => void): void {
    this.#socket = socket;
    this.#onTouched ??= onTouched;
    this.isConnected = !isActive;
    this.outcome = "open";
    this.#writeAt = addMicros(now, this.plan.startDelayUs);
    this.#readAt = addMicros(now, this.plan.readDelayUs);
    if (this.plan.abortAfterUs >= 0) this.#later(addMicros(now, this.plan.abortAfterUs), () => this.#abort("aborted"));
    this.#later(this.#writeAt);
    this.#later(this.#readAt);
  }

  /** Hears what changed about the connection. Shape: bits of `TcpEvent`. */
  onEvents(events: number, now: Micros): void {
    if (this.outcome !== "open") return;
    if ((events & TcpEvent.Connected) !== 0) this.isConnected = true;
    if ((events & TcpEvent.Failed) !== 0) {
      this.error = this.#socket!.error;
      this.outcome = "failed";
      if (this.error === TcpError.None) throw new Violation("failure", `${this.name} failed without an error`);
      return;
    }
    this.pump(now);
  }

  /** The world heals: no more pauses. */
  hurry(now: Micros): void {
    this.#isHurried = true;
    this.#writeAt = now;
    this.#readAt = now;
    if (this.outcome === "open") this.#later(now);
  }

  /** Loses patience with a dead peer. */
  giveUp(now: Micros): void {
    if (this.outcome === "open") this.#abort("gaveUp", now);
  }

  /** Reads, writes and closes as far as plan and connection allow now. */
  pump(now: Micros): void {
    if (this.outcome !== "open") return;
    if (this.#readAt <= now) this.#read(now);
    if (this.#writeAt <= now) this.#write(now);
    const { abortAfterBytes } = this.plan;
    if (abortAfterBytes >= 0 && this.sentBytes + this.receivedBytes >= abortAfterBytes) this.#abort("aborted", now);
    else this.#finish(now);
  }

  #later(at: Micros, act: (now: Micros) => void = (now) => this.pump(now)): void {
    this.#scheduler.schedule(at, (now) => {
      if (this.outcome !== "open") return;
      act(now);
      this.#onTouched?.(now);
    });
  }

  #abort(outcome: AppOutcome, now: Micros = this.#scheduler.now): void {
    this.outcome = outcome;
    this.#socket!.abort(now);
  }

  #read(now: Micros): void {
    const socket = this.#socket!;
    const { plan } = this;
    for (;;) {
      const size = this.#isHurried ? BUFFER_BYTES : this.#prng.between(plan.readBytesMin, plan.readBytesMax);
      const count = socket.receive(scratch, 0, size, now);
      if (count < 0 || count > size) throw new Violation("delivery", `${this.name} received ${count} bytes of ${size}`);
      if (count === 0) break;
      const wrong = this.#incoming.firstDifference(scratch, this.receivedBytes, count);
      if (wrong >= 0) {
        throw new Violation("delivery", `${this.name} got a wrong byte at ${this.receivedBytes + wrong}`);
      }
      this.receivedBytes += count;
      if (this.peer !== undefined && this.receivedBytes > this.peer.sentBytes) {
        throw new Violation("delivery", `${this.name} got more than was sent: ${this.receivedBytes} bytes`);
      }
      if (plan.readGapUs > 0 && !this.#isHurried) {
        this.#readAt = addMicros(now, plan.readGapUs);
        this.#later(this.#readAt);
        break;
      }
    }
    if (!this.sawEnd && socket.isPeerClosed && socket.readableBytes === 0) this.#seeEnd();
  }

  #seeEnd(): void {
    this.sawEnd = true;
    const peer = this.peer;
    if (peer === undefined) return;
    if (!peer.isSendClosed) throw new Violation("end", `${this.name} saw an end that its peer did not make`);
    if (this.receivedBytes !== peer.sentBytes) {
      throw new Violation("end", `${this.name} saw the end after ${this.receivedBytes} of ${peer.sentBytes} bytes`);
    }
  }

  /** Bytes that the plan allows to have sent by now. */
  #allowance(): number {
    const { kind, sendBytes, rounds, requestBytes, responseBytes } = this.plan;
    switch (kind) {
      case "stream":
        return sendBytes;
      case "echo":
        return this.receivedBytes;
      case "request":
        return Math.min(rounds, Math.floor(this.receivedBytes / responseBytes) + 1) * requestBytes;
      case "respond":
        return Math.min(rounds, Math.floor(this.receivedBytes / requestBytes)) * responseBytes;
    }
  }

  /** True when the plan has nothing more to send. */
  #isSent(): boolean {
    const { kind, sendBytes, rounds, requestBytes, responseBytes } = this.plan;
    switch (kind) {
      case "stream":
        return this.sentBytes === sendBytes;
      case "echo":
        return this.sawEnd && this.sentBytes === this.receivedBytes;
      case "request":
        return this.sentBytes === rounds * requestBytes && this.receivedBytes >= rounds * responseBytes;
      case "respond":
        return this.sentBytes === rounds * responseBytes;
    }
  }

  #write(now: Micros): void {
    const socket = this.#socket!;
    const { plan } = this;
    const allowed = this.#allowance();
    while (this.sentBytes < allowed) {
      const wanted = this.#prng.between(plan.writeBytesMin, plan.writeBytesMax);
      const size = Math.min(wanted, allowed - this.sentBytes, BUFFER_BYTES);
      this.#outgoing.fill(scratch, this.sentBytes, size);
      const taken = socket.send(scratch, 0, size, now);
      if (taken > size) {
        throw new Violation("delivery", `${this.name} was told that ${taken} of ${size} bytes were sent`);
      }
      if (taken <= 0) break;
      this.sentBytes += taken;
      if (taken < size) break;
      if (plan.writeGapUs > 0 && !this.#isHurried) {
        this.#writeAt = addMicros(now, plan.writeGapUs);
        this.#later(this.#writeAt);
        break;
      }
    }
  }

  #finish(now: Micros): void {
    const socket = this.#socket!;
    if (!this.isSendClosed && this.#isSent() && this.#writeAt <= now) {
      const { closes } = this.plan;
      if (closes === "early" || (closes === "afterPeer" && !this.sawEnd)) {
        if (closes !== "early") return;
        this.isSendClosed = true;
        this.outcome = this.sawEnd ? "done" : "left";
        socket.close(now);
        return;
      }
      this.isSendClosed = true;
      socket.shutdownSend(now);
    }
    if (!this.isSendClosed || !this.sawEnd) return;
    this.outcome = "done";
    socket.close(now);
  }
}
