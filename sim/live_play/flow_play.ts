/**
 * One captured TCP flow, played against weir's own stack: the captured client's packets go in, at their times; a scripted server answers
 * with the captured server's bytes, at theirs. What reaches either side must be what the capture holds. Where the flow's proxy is known, the
 * bytes go through its protocol on their way: the client's machine and a simulated server lie between stack and scripted server.
 *
 * ```
 *  captured client ──packets, translated──► Stack ──bytes──► compared with the captured client's stream
 *                 ◄────────packets───────  Stack ◄──bytes──  the captured server's stream
 *        │ compared with the captured server's stream
 * ```
 */
import { Arena, type Slot } from "../../core/adapter/arena.ts";
import { invariant } from "../../core/base/invariant.ts";
import { LIVE_PLAY_STREAM_BYTES_MAX, LIVE_PLAY_TIMERS_MAX } from "../../core/base/limits.ts";
import { addMicros, type Micros, micros, NEVER, SECOND_US } from "../../core/base/micros.ts";
import type { ReplayPlay } from "../../core/cli/replay_result.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { ACKNOWLEDGMENT, PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import { Stack } from "../../core/stack/stack.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { TcpError } from "../../core/stack/tcp/tcp_state.ts";
import { seqAdd, seqDiff } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";
import type { ProxiedStream } from "../proxied/proxied_stream.ts";
import { CapturedSide } from "./captured_side.ts";
import { ClientTranslation, segmentEnd } from "./client_translation.ts";
import { emitAck } from "./client_ack.ts";

const SLOT_COUNT = 64;
const BUFFER_BYTES = 4 << 20;
const UNSCALED_BYTES = 65_535;
const CHUNK_BYTES = 65_536;
/** Where the play's own clock begins: far enough from 0 for everything that looks back. */
const START_US = 10 * SECOND_US;

const scratch = new Uint8Array(CHUNK_BYTES);

/** Opens the way of a flow through its proxies. Shape: as `ProxiedStream.open`, with the protocols' names. Units: seconds since 1970. */
export interface ProxyWay {
  readonly protocols: readonly string[];
  open(unixSeconds: number): ProxiedStream | string | undefined;
}

/** A flow on the stack's stage. `packet` one captured packet after the other, then `finish`. */
export class FlowPlay {
  readonly #arena: Arena;
  readonly #stack: Stack;
  readonly #meta = new PacketMeta();
  readonly #sentMeta = new PacketMeta();
  readonly #client = new CapturedSide();
  readonly #server = new CapturedSide();
  readonly #translation = new ClientTranslation();
  readonly #result: ReplayPlay = {
    outcome: "unplayed",
    reason: "",
    bytesToServer: 0,
    bytesToClient: 0,
    clientRetransmissions: 0,
    stackRetransmissions: 0,
    resets: 0,
  };
  #pending: PendingFlow | undefined = undefined;
  #connection: TcpConnection | undefined = undefined;
  /** Captured time minus the play's own. Units: µs. */
  #shiftUs: number | undefined = undefined;
  #now: Micros = micros(START_US);
  #deadline: Micros = NEVER;
  #clientPort = -1;
  /** Where in the server's stream the next byte that the scripted server writes lies. */
  #written = 0;
  #isWriteClosed = false;
  readonly #way: ProxyWay | undefined;
  #proxied: ProxiedStream | undefined = undefined;
  /** Where in the server's stream the next byte that the proxy's server gets lies. */
  #given = 0;
  /** What came out of the proxy's client and the stack did not take. */
  #rest: Uint8Array | undefined = undefined;
  #isReadClosed = false;
  /** Why nothing more is played. */
  #stopped = false;
  #ackedOfClient = 0;
  #windowField = 0;
  #clientTimestamp: number | undefined = undefined;

  /** All plays of one replay share an arena: between two packets none of them holds a slot. */
  constructor(arena: Arena, secret: () => number, way?: ProxyWay) {
    this.#arena = arena;
    this.#way = way;
    const choices = { mtu: 1_500, connectionCountMax: 64, halfOpenCountMax: 8, udpEndpointCountMax: 64, udp: false };
    this.#stack = new Stack(choices, { uint32: secret }, arena, this);
    this.#stack.onFlow = (pending) => {
      // A second SYN of the same ports after the flow's end is another flow's.
      if (this.#pending === undefined) this.#pending = pending;
      else pending.ignore();
    };
  }

  /** An arena that serves the plays of one replay. */
  static createArena(): Arena {
    return new Arena(SLOT_COUNT);
  }

  /** Plays one captured packet. Units: `at` is the capture's clock in µs. */
  packet(bytes: Uint8Array, at: Micros): void {
    if (this.#stopped) return;
    const arena = this.#arena;
    const slot = arena.acquire();
    arena.bytes.set(bytes, arena.at(slot));
    arena.length[slot] = bytes.length;
    arena.wireLength[slot] = bytes.length;
    if (parse(arena, slot, Verify.None, this.#meta) !== DropReason.None) {
      this.#stop("a packet is cut short in the capture");
    } else {
      this.#advance(at);
      this.#play(slot);
    }
    arena.release(slot);
    if (this.#connection !== undefined) this.#serve();
  }

  /** Says why the rest cannot be played; what was played counts. */
  giveUp(reason: string): void {
    this.#stop(reason);
  }

  #stop(reason: string): void {
    this.#stopped = true;
    if (this.#result.reason === "") this.#result.reason = reason;
  }

  /** Lets the stack's timers run up to a captured time. */
  #advance(at: Micros): void {
    this.#shiftUs ??= at - this.#now;
    const to = addMicros(at, -this.#shiftUs);
    for (let count = 0; this.#deadline <= to && count < LIVE_PLAY_TIMERS_MAX; count++) {
      if (this.#deadline > this.#now) this.#now = this.#deadline;
      this.#deadline = this.#stack.poll(this.#now);
      if (this.#connection !== undefined) this.#serve();
    }
    if (to > this.#now) this.#now = to;
  }

  #play(slot: Slot): void {
    const meta = this.#meta;
    if (meta.protocol !== tcp.PROTOCOL || meta.fragment !== 0) return this.#stop("a packet came in fragments");
    if (this.#clientPort < 0) {
      const isSyn = (meta.flags & (tcp.SYN | tcp.ACK)) === tcp.SYN;
      if (!isSyn) return this.#stop("no SYN in the capture");
      if (meta.payloadLength > 0) return this.#stop("the SYN carries data");
      this.#clientPort = meta.sourcePort;
      this.#client.begin(meta.words[SEQUENCE]!);
    }
    if (meta.sourcePort === this.#clientPort) this.#playClient(slot);
    else this.#playServer();
  }

  // ── the client ──

  #playClient(slot: Slot): void {
    const meta = this.#meta;
    const { view } = this.#arena;
    const isSyn = (meta.flags & tcp.SYN) !== 0;
    if (isSyn && meta.words[SEQUENCE] !== this.#client.isn) return this.#stop("the ports were used again");
    if ((meta.flags & tcp.RST) !== 0) this.#result.resets++;
    if (!isSyn && (meta.flags & tcp.ACK) !== 0 && this.#pending !== undefined && this.#connection === undefined) {
      // The answer to the SYN is not in the capture, but the client has seen it.
      this.#meetServer(seqAdd(meta.words[ACKNOWLEDGMENT]!, -1), view, undefined);
    }
    this.#client.segment(meta, this.#arena.bytes);
    this.#windowField = tcp.window(view, meta.transportAt);
    const timestampAt = tcp.findOption(view, meta.transportAt, tcp.OPTION_TIMESTAMPS);
    if (timestampAt >= 0) this.#clientTimestamp = view.getUint32(timestampAt + 2);
    this.#skipMissedOfServer();
    this.#translation.rewrite(this.#arena, slot, meta);
    this.#inject(slot);
  }

  /** What the client has acknowledged was there, even if the capture missed it. */
  #skipMissedOfServer(): void {
    const meta = this.#meta;
    if ((meta.flags & tcp.ACK) === 0 || this.#server.isn === undefined) return;
    const acked = this.#server.offsetOf(meta.words[ACKNOWLEDGMENT]!);
    while (this.#server.follower.hasHole && this.#server.window.end < acked) this.#server.follower.skipHole();
  }

  #inject(slot: Slot): void {
    const reason = parse(this.#arena, slot, Verify.All, this.#meta);
    // Checksums over the address at the end of a routing header are beyond this stage.
    if (reason !== DropReason.None) return this.#stop("a packet goes by a routing header");
    this.#stack.receive(slot, this.#meta, this.#now);
    this.#deadline = this.#stack.poll(this.#now);
  }

  // ── the server ──

  #playServer(): void {
    const meta = this.#meta;
    const { view } = this.#arena;
    if ((meta.flags & tcp.RST) !== 0) return this.#playServerReset();
    const isSyn = (meta.flags & tcp.SYN) !== 0;
    if (isSyn && (meta.flags & tcp.ACK) === 0) return this.#stop("both sides opened the connection");
    if (this.#connection === undefined) {
      const isn = isSyn ? meta.words[SEQUENCE]! : seqAdd(meta.words[SEQUENCE]!, -1);
      this.#meetServer(isn, view, isSyn ? meta : undefined);
      if (this.#connection === undefined) return;
    }
    if (!isSyn) this.#server.segment(meta, this.#arena.bytes);
    const acked = this.#client.offsetOf(meta.words[ACKNOWLEDGMENT]!);
    if ((meta.flags & tcp.ACK) !== 0 && acked > this.#ackedOfClient) this.#ackedOfClient = acked;
    this.#serve();
    const timestampAt = tcp.findOption(view, meta.transportAt, tcp.OPTION_TIMESTAMPS);
    if (timestampAt >= 0) this.#translation.pairTimestamp(view.getUint32(timestampAt + 2));
  }

  #playServerReset(): void {
    this.#result.resets++;
    if (this.#connection === undefined) this.#pending?.refuse(this.#now);
    else {
      this.#serve();
      this.#connection.abort(this.#now);
    }
    this.#deadline = this.#stack.poll(this.#now);
  }

  /** The far side is there: the SYN is answered, with the options that the captured server agreed to. */
  #meetServer(isn: number, view: DataView, syn: PacketMeta | undefined): void {
    this.#server.begin(isn);
    this.#translation.capturedIsn = isn;
    const has = (kind: number) => syn === undefined || tcp.findOption(view, syn.transportAt, kind) >= 0;
    const isScaled = has(tcp.OPTION_WINDOW_SCALE);
    const options: Partial<TcpOptions> = {
      windowScale: isScaled ? 8 : -1,
      sack: has(tcp.OPTION_SACK_PERMITTED),
      timestamps: has(tcp.OPTION_TIMESTAMPS),
      receiveBufferBytes: isScaled ? BUFFER_BYTES : UNSCALED_BYTES,
      receiveBufferBytesMax: isScaled ? BUFFER_BYTES : UNSCALED_BYTES,
      sendBufferBytes: BUFFER_BYTES,
      sendBufferBytesMax: BUFFER_BYTES,
      tolerateMissingTimestamps: true,
    };
    this.#connection = this.#pending?.accept(this.#now, options);
    if (this.#connection === undefined) this.#stop("the stack did not take the SYN");
    else this.#openProxied();
    this.#deadline = this.#stack.poll(this.#now);
  }

  /** The flow's way through its proxies, where it has one. */
  #openProxied(): void {
    const way = this.#way;
    const proxied = way?.open(Math.floor((this.#now + this.#shiftUs!) / SECOND_US));
    if (typeof proxied === "string") return this.#stop(proxied);
    if (way === undefined || proxied === undefined) return;
    this.#proxied = proxied;
    this.#result.proxy = { protocols: [...way.protocols], bytesToServer: 0, bytesToClient: 0, failure: "" };
    if (!this.#hasProxyFailed(proxied) && !proxied.isOpen) this.#differ("the proxy's server did not answer");
  }

  /** True when the way through the proxies does not stand; the play is over then. */
  #hasProxyFailed(proxied: ProxiedStream): boolean {
    if (proxied.failure === undefined) return false;
    this.#result.proxy!.failure = proxied.failure;
    this.#differ(`the proxy does not carry it: ${proxied.failure}`);
    return true;
  }

  /** The scripted server reads what is there, writes what is due, and closes when its stream is over. */
  #serve(): void {
    const connection = this.#connection!;
    for (let round = 0; round < LIVE_PLAY_TIMERS_MAX; round++) {
      for (let ready = this.#stack.takeReady(); ready !== undefined; ready = this.#stack.takeReady()) {
        ready.takeEvents();
      }
      const before = this.#written + this.#result.bytesToServer + this.#translation.saidOffset;
      this.#readAll(connection);
      this.#writeAll(connection);
      this.#deadline = this.#stack.poll(this.#now);
      this.#acknowledge();
      if (before === this.#written + this.#result.bytesToServer + this.#translation.saidOffset) break;
    }
    if (
      this.#server.window.length > LIVE_PLAY_STREAM_BYTES_MAX || this.#client.window.length > LIVE_PLAY_STREAM_BYTES_MAX
    ) {
      this.#stop("too many bytes wait to be compared");
    }
  }

  #readAll(connection: TcpConnection): void {
    const proxied = this.#proxied;
    while (!this.#stopped) {
      const count = connection.receive(scratch, 0, CHUNK_BYTES, this.#now);
      if (count <= 0) break;
      if (proxied === undefined) this.#compareReceived(scratch, count);
      else {
        proxied.write(scratch.slice(0, count));
        this.#receiveBehind(proxied);
      }
    }
    if (proxied === undefined || this.#stopped || this.#isReadClosed || !connection.isPeerClosed) return;
    this.#isReadClosed = true;
    proxied.end();
    this.#receiveBehind(proxied);
  }

  /** The scripted server gets what comes out behind the proxies. */
  #receiveBehind(proxied: ProxiedStream): void {
    if (this.#hasProxyFailed(proxied)) return;
    for (let chunk = proxied.takeForTarget(); chunk !== undefined; chunk = proxied.takeForTarget()) {
      this.#compareReceived(chunk, chunk.length);
    }
  }

  #compareReceived(bytes: Uint8Array, count: number): void {
    const { window } = this.#client;
    const offset = this.#result.bytesToServer;
    // Behind bytes that the capture missed nothing can be compared: the stack cannot have got them either.
    if (!window.holds(offset, bytes, 0, count)) {
      return this.#differ(`the server got other bytes than the client sent, at ${offset}`);
    }
    this.#result.bytesToServer += count;
    window.dropUntil(offset + count);
  }

  /** What the scripted server says goes through the proxies, and what comes out before them into the stack. */
  #writeProxied(connection: TcpConnection, proxied: ProxiedStream): void {
    const { window } = this.#server;
    while (!this.#stopped && connection.error === TcpError.None) {
      const chunk = this.#rest ?? proxied.takeForApplication();
      if (chunk === undefined) {
        if (this.#given >= window.end) break;
        const piece = window.from(this.#given).slice(0, CHUNK_BYTES);
        this.#given += piece.length;
        proxied.answer(piece);
        this.#hasProxyFailed(proxied);
        continue;
      }
      if (!window.holds(this.#written, chunk, 0, chunk.length)) {
        return this.#differ(`the proxy handed on other bytes than the server sent, at ${this.#written}`);
      }
      const count = connection.send(chunk, 0, chunk.length, this.#now);
      this.#rest = count < chunk.length ? chunk.subarray(Math.max(0, count)) : undefined;
      if (count <= 0) return;
      this.#written += count;
    }
    if (this.#stopped || this.#isWriteClosed || this.#written < window.end || !this.#server.isComplete) return;
    this.#isWriteClosed = true;
    proxied.answerEnd();
    if (this.#hasProxyFailed(proxied)) return;
    if (proxied.client.isServerDone) connection.shutdownSend(this.#now);
    else this.#differ("the proxy did not hand on the end of the server's stream");
  }

  #writeAll(connection: TcpConnection): void {
    if (this.#proxied !== undefined) return this.#writeProxied(connection, this.#proxied);
    const { window } = this.#server;
    while (this.#written < window.end && connection.error === TcpError.None) {
      const rest = window.from(this.#written);
      const count = connection.send(rest, 0, Math.min(rest.length, CHUNK_BYTES), this.#now);
      if (count <= 0) return;
      this.#written += count;
    }
    if (this.#isWriteClosed || this.#written < window.end || !this.#server.isComplete) return;
    this.#isWriteClosed = true;
    connection.shutdownSend(this.#now);
  }

  /** The captured client acknowledged more than it could say when it did: it says so as soon as the stack has sent it. */
  #acknowledge(): void {
    const translation = this.#translation;
    if (translation.stackIsn === undefined || this.#stopped) return;
    const due = Math.min(translation.ackedOffset, translation.sentOffset);
    if (due <= translation.saidOffset || this.#connection!.error !== TcpError.None) return;
    translation.saidOffset = due;
    const slot = this.#arena.acquire();
    emitAck(this.#arena, slot, this.#connection!, {
      sequence: this.#client.end,
      acknowledgment: translation.sequenceOf(due),
      window: this.#windowField,
      timestamp: this.#clientTimestamp,
      echo: translation.stackTimestamp,
    });
    this.#inject(slot);
    this.#arena.release(slot);
  }

  #differ(reason: string): void {
    this.#result.outcome = "different";
    this.#result.reason = reason;
    this.#stopped = true;
  }

  /** A packet of the stack, on its way to the captured client. */
  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    const meta = this.#sentMeta;
    const reason = parse(arena, slot, Verify.All, meta);
    invariant(reason === DropReason.None, "the stack sends sound packets");
    if (meta.protocol !== tcp.PROTOCOL) return true;
    const translation = this.#translation;
    const sequence = meta.words[SEQUENCE]!;
    if ((meta.flags & tcp.RST) !== 0) {
      this.#result.resets++;
      return true;
    }
    if ((meta.flags & tcp.SYN) !== 0) translation.stackIsn = sequence;
    const timestampAt = tcp.findOption(arena.view, meta.transportAt, tcp.OPTION_TIMESTAMPS);
    if (timestampAt >= 0) translation.stackTimestamp = arena.view.getUint32(timestampAt + 2);
    if (translation.stackIsn === undefined || (meta.flags & tcp.SYN) !== 0) return true;
    const offset = seqDiff(sequence, seqAdd(translation.stackIsn, 1));
    const end = seqDiff(segmentEnd(meta), seqAdd(translation.stackIsn, 1));
    if (meta.payloadLength > 0) this.#compareSent(arena, meta, offset);
    if (end > translation.sentOffset) translation.sentOffset = end;
    return true;
  }

  #compareSent(arena: Arena, meta: PacketMeta, offset: number): void {
    const { window } = this.#server;
    const end = offset + meta.payloadLength;
    if (end <= this.#translation.sentOffset) this.#result.stackRetransmissions++;
    // What the client has acknowledged may be forgotten, but only then.
    const from = Math.max(offset, window.start);
    if (from < end && !window.holds(from, arena.bytes, meta.payloadAt + from - offset, end - from)) {
      return this.#differ(`the client got other bytes than the server sent, at ${offset}`);
    }
    if (end > this.#result.bytesToClient) this.#result.bytesToClient = end;
    window.dropUntil(Math.min(this.#translation.saidOffset, this.#written));
  }

  // ── the end ──

  /** What came of it. */
  finish(): ReplayPlay {
    const result = this.#result;
    result.clientRetransmissions = this.#client.retransmissions;
    if (this.#proxied !== undefined) {
      result.proxy!.bytesToServer = this.#proxied.bytesToServer;
      result.proxy!.bytesToClient = this.#proxied.bytesToClient;
    }
    if (result.outcome === "different") return result;
    if (this.#clientPort < 0 || this.#connection === undefined) {
      if (result.reason === "") result.reason = this.#clientPort < 0 ? "no packet to play" : "nobody answered the SYN";
      return result;
    }
    if (this.#client.follower.hasHole || this.#ackedOfClient > this.#client.window.end + 1) {
      if (result.reason === "") result.reason = `the capture misses bytes of the client, at ${this.#client.window.end}`;
    }
    if (result.reason === "" && this.#server.missing > 0) {
      result.reason = `the capture misses ${this.#server.missing} bytes of the server, at ${this.#server.firstMissing}`;
    }
    const isLacking = result.bytesToServer < this.#client.window.end;
    if (isLacking && !this.#stopped && result.resets === 0 && !this.#client.follower.hasHole) {
      const { bytesToServer } = result;
      result.outcome = "different";
      result.reason = `the server got ${bytesToServer} of the client's ${this.#client.window.end} bytes`;
      return result;
    }
    if (this.#proxied !== undefined && !this.#stopped && this.#written + (this.#rest?.length ?? 0) < this.#given) {
      result.outcome = "different";
      result.reason = `the proxy handed on ${this.#written} of the server's ${this.#given} bytes`;
      return result;
    }
    result.outcome = result.reason === "" && !isLacking ? "equal" : "partial";
    if (result.outcome === "partial" && result.reason === "") result.reason = "a reset came before the last byte";
    return result;
  }
}
