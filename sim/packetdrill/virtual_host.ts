/** weir's stack as the host under test: its clock is the script's, its device keeps what it sends for the script to look at. */
import { type Arena, Arena as SlotArena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { SCRIPT_PACKETS_MAX, SLOT_BYTES } from "../../core/base/limits.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { Unreachable } from "../../core/stack/icmp_output.ts";
import type { TcpListener } from "../../core/stack/listener.ts";
import { Stack } from "../../core/stack/stack.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { PROTOCOL as UDP } from "../../core/wire/udp.ts";
import { wordsOf } from "./endpoints.ts";
import type { Host } from "./host.ts";
import type { DatagramPort, LiveOption, StreamConnection, StreamListener } from "./net_port.ts";
import { decodePacket, type LivePacket } from "./packet_decode.ts";
import type { Settings } from "./settings.ts";
import { VirtualDatagrams } from "./virtual_datagrams.ts";

/** Slots of a script's arena: two scripts' worth of what is ever held at once. */
const SLOT_COUNT = 64;

/** Where virtual time begins, so that nothing is due at 0. Units: µs. */
const START_US = 1_000_000_000;

/** First local port that a socket gets without asking. */
const FIRST_EPHEMERAL_PORT = 50_000;

/** Timers that may run without time passing, before the stack counts as running in circles. */
const POLLS_MAX = 1_000;

/** One host of one script. */
export class VirtualHost implements Host {
  now: Micros = micros(START_US);
  readonly sent: LivePacket[] = [];
  fault: string | undefined;
  readonly #settings: Settings;
  readonly #arena = new SlotArena(SLOT_COUNT);
  readonly #meta = new PacketMeta();
  readonly #random: Prng;
  readonly #stack: Stack;
  readonly #datagrams: VirtualDatagrams;
  /** Connections that are being opened, with the user timeout that they get then. */
  readonly #opening = new Map<TcpConnection, number>();
  readonly #doors: Door[] = [];
  #nextPort = FIRST_EPHEMERAL_PORT;

  constructor(settings: Settings, seed: number = 1) {
    this.#settings = settings;
    this.#random = new Prng(seed);
    const { mtu, tcp, synCookies } = settings;
    const env = { uint32: () => this.#random.uint32() };
    const sink = { send: (arena: Arena, slot: Slot, now: Micros) => this.#send(arena, slot, now) };
    this.#stack = new Stack({ mtu, tcp, synCookies }, env, this.#arena, sink);
    this.#datagrams = new VirtualDatagrams(this.#stack, settings, () => this.now);
  }

  #send(arena: Arena, slot: Slot, now: Micros): boolean {
    const at = arena.at(slot);
    const live = decodePacket(arena.bytes.slice(at, at + arena.length[slot]!), now);
    if (typeof live === "string") this.fault ??= live;
    else if (this.sent.length >= SCRIPT_PACKETS_MAX) {
      this.fault ??= `the stack sent more than ${SCRIPT_PACKETS_MAX} packets`;
    } else this.sent.push(live);
    return true;
  }

  inject(bytes: Uint8Array): void {
    const arena = this.#arena;
    const slot = arena.acquire();
    if (slot === NO_SLOT || bytes.length > SLOT_BYTES) {
      this.fault ??= slot === NO_SLOT ? "the stack kept all slots" : "the packet is too long for the stack";
      if (slot !== NO_SLOT) arena.release(slot);
      return;
    }
    arena.bytes.set(bytes, arena.at(slot));
    arena.length[slot] = bytes.length;
    arena.wireLength[slot] = bytes.length;
    const meta = this.#meta;
    if (parse(arena, slot, Verify.All, meta) === DropReason.None) {
      const isClosed = meta.protocol === UDP && !this.#datagrams.isOpen(meta.destinationPort);
      if (isClosed) this.#stack.unreachable(meta, Unreachable.Port, this.now);
      else this.#stack.receive(slot, meta, this.now);
    }
    arena.release(slot);
  }

  settle(): Micros {
    let next = this.#stack.poll(this.now);
    for (let i = 0; next <= this.now; i++) {
      if (i === POLLS_MAX) {
        this.fault ??= "the stack runs in circles: its next timer never lies ahead";
        break;
      }
      next = this.#stack.poll(this.now);
    }
    while (this.#stack.takeReady() !== undefined) { /* sockets look at their connections themselves */ }
    this.#datagrams.drain();
    this.#roundBuffers();
    return next;
  }

  moveTo(at: Micros): void {
    if (at > this.now) this.now = at;
  }

  ephemeralPort(): number {
    return this.#nextPort++;
  }

  connect(
    localPort: number,
    remotePort: number,
    options: TcpOptions,
    openTimeoutUs: number,
    now: Micros,
  ): StreamConnection | undefined {
    const { version, local, remote } = this.#settings;
    // The stack's user timeout bounds opening too; afterwards the socket's own one counts.
    const chosen = {
      ...options,
      userTimeoutUs: openTimeoutUs > 0 ? openTimeoutUs : options.userTimeoutUs,
    };
    const ends = [wordsOf(local), localPort, wordsOf(remote), remotePort] as const;
    const connection = this.#stack.connect(version, ...ends, now, chosen);
    if (connection !== undefined) this.#opening.set(connection, options.userTimeoutUs);
    return connection;
  }

  listen(port: number, backlog: number, options: TcpOptions): StreamListener | undefined {
    const listener = this.#stack.listen(undefined, port, backlog, options);
    if (listener === undefined) return undefined;
    const door = new Door(listener);
    this.#doors.push(door);
    return door;
  }

  datagram(localPort: number): DatagramPort | undefined {
    return this.#datagrams.open(localPort);
  }

  adjust(connection: StreamConnection, options: TcpOptions, what: LiveOption, now: Micros): boolean {
    const live = connection as TcpConnection;
    switch (what) {
      case "nagle":
        live.setNagle(options.nagle, now);
        return true;
      case "keepAlive":
      case "userTimeout":
        live.options.keepAliveUs = options.keepAliveUs;
        live.options.keepAliveIntervalUs = options.keepAliveIntervalUs;
        live.options.keepAliveProbes = options.keepAliveProbes;
        live.options.userTimeoutUs = options.userTimeoutUs;
        live.optionsChanged(now);
        return true;
      case "receiveBuffer":
        live.receiveLimit = options.receiveBufferBytes;
        live.options.receiveBufferBytesMax = options.receiveBufferBytesMax;
        return true;
      case "sendBuffer":
        live.sendLimit = options.sendBufferBytes;
        live.options.sendBufferBytesMax = options.sendBufferBytesMax;
        return true;
      default:
        return false;
    }
  }

  /** BSD makes a receive buffer a multiple of the segment size once it is known. Source: FreeBSD tcp_input.c, tcp_mss(). */
  #roundBuffers(): void {
    for (const door of this.#doors) {
      door.collect((connection) => this.#opening.set(connection, connection.options.userTimeoutUs));
    }
    for (const [connection, userTimeoutUs] of this.#opening) {
      if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) continue;
      this.#opening.delete(connection);
      connection.options.userTimeoutUs = userTimeoutUs;
      if (this.#settings.profile !== "bsd") continue;
      const { receiveLimit, receiveMss } = connection;
      if (receiveMss > 0 && receiveLimit > receiveMss) {
        connection.receiveLimit = Math.ceil(receiveLimit / receiveMss) * receiveMss;
      }
    }
  }
}

/** A listening socket. It takes connections off the stack's hands as soon as they are complete. */
class Door implements StreamListener {
  readonly #listener: TcpListener;
  readonly #waiting: TcpConnection[] = [];

  constructor(listener: TcpListener) {
    this.#listener = listener;
  }

  configure(options: TcpOptions): void {
    this.#listener.options = { ...options };
  }

  /** Takes what the stack has. */
  collect(taken: (connection: TcpConnection) => void): void {
    for (let next = this.#listener.accept(); next !== undefined; next = this.#listener.accept()) {
      this.#waiting.push(next);
      taken(next);
    }
  }

  accept(): StreamConnection | undefined {
    return this.#waiting.shift();
  }

  get acceptableCount(): number {
    return this.#waiting.length;
  }

  close(now: Micros): void {
    this.#listener.close(now);
    for (const connection of this.#waiting) connection.abort(now);
    this.#waiting.length = 0;
  }
}
