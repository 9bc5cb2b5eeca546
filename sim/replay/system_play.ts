/**
 * The TCP flows of a replay as the stack `system` would carry them: each packet is rewritten to a listener that is only played, and back.
 *
 * ```
 *  captured client ──► translator ──► listener?   the tuple leads back to the flow, and the bytes to those that were captured
 *  captured server ──► as the listener would send it ──► translator ──► client?   byte for byte what was captured
 * ```
 */
import { Counters } from "../../core/act/counters.ts";
import type { Command } from "../../core/act/command.ts";
import { rewriteTuple } from "../../core/act/rewrite_tcp.ts";
import { Translator } from "../../core/act/translate.ts";
import type { TranslateListeners } from "../../core/act/translate_options.ts";
import { NO_ENTRY } from "../../core/act/nat_table.ts";
import { type Adapter } from "../../core/adapter/adapter.ts";
import { Arena, Direction, Frame, type Slot } from "../../core/adapter/arena.ts";
import { invariant } from "../../core/base/invariant.ts";
import { ipFromWords, parseIp } from "../../core/base/ip_address.ts";
import { LIVE_PLAY_WAITING_PACKETS_MAX, SLOT_BYTES } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import type { ReplayPlay } from "../../core/cli/replay_result.ts";
import type { Verdict, VerdictAction } from "../../core/decide/verdict.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { DESTINATION, Fragment, PacketMeta, SOURCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import * as tcp from "../../core/wire/tcp.ts";
import type { FlowPlays } from "./flow_plays.ts";

const LISTEN_PORT = 7_170;
const TUN_LISTENERS: TranslateListeners = {
  way: "tun",
  v4: { address: parseIp("198.18.0.1")!, peer: parseIp("198.18.0.2")!, port: LISTEN_PORT },
  v6: { address: parseIp("fdfe:dcba:9876::1")!, peer: parseIp("fdfe:dcba:9876::2")!, port: LISTEN_PORT },
};
const REFLECT_LISTENERS: TranslateListeners = { way: "reflect", v4: { port: LISTEN_PORT }, v6: { port: LISTEN_PORT } };

/** A flow needs a verdict to be carried; which one does not matter here. */
const VERDICT: Verdict = {
  action: "direct",
  rule: "",
  rulePayload: "",
  target: "DIRECT",
  chains: [],
  ruleIndex: -1,
  effects: undefined,
};

interface CapturedPacket {
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly at: Micros;
}

/** One flow: packets that wait for its verdict, then what came of those that followed. */
interface Entry {
  waiting: CapturedPacket[];
  isPlayed: boolean;
  /** Address and port of the side whose SYN came first. */
  client: string | undefined;
  reason: string;
  isDifferent: boolean;
  readonly result: { bytesToServer: number; bytesToClient: number; resets: number };
}

/** Keeps the packet that was sent last. */
class LastSent implements Adapter {
  readonly capabilities = { kind: "tun", mtu: SLOT_BYTES, batch: 1, checksumsVouched: true } as const;
  slot: Slot = -1;
  bytes: Uint8Array = new Uint8Array(0);

  send(arena: Arena, slot: Slot): boolean {
    const at = arena.at(slot);
    this.bytes = arena.bytes.slice(at, at + arena.length[slot]!);
    this.slot = slot;
    return true;
  }

  /** The packet that was sent since the last call. */
  take(): Uint8Array | undefined {
    const bytes = this.slot < 0 ? undefined : this.bytes;
    this.slot = -1;
    return bytes;
  }

  receive(): number {
    return 0;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

function endOf(meta: PacketMeta, at: number, port: number): string {
  return `${meta.words.subarray(at, at + 4).join(".")}:${port}`;
}

/** Where the checksums of a packet stand. */
function checksumPlaces(meta: PacketMeta): number[] {
  const tcpAt = meta.transportAt - meta.ipAt + 16;
  return meta.version === 4 ? [10, tcpAt] : [tcpAt];
}

/** True when two packets are the same; a checksum of 0 and one of 0xffff are. Source: RFC 1624 section 3. */
function isSamePacket(a: Uint8Array, b: Uint8Array, checksumsAt: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const hidden = new Set(checksumsAt.flatMap((at) => [at, at + 1]));
  if (!a.every((byte, at) => byte === b[at] || hidden.has(at))) return false;
  return checksumsAt.every((at) => {
    const [one, two] = [a, b].map((bytes) => (bytes[at]! << 8) | bytes[at + 1]!);
    return one! % 0xffff === two! % 0xffff;
  });
}

/** Plays beside a replay. */
export class SystemPlay implements FlowPlays {
  readonly #arena = new Arena(4);
  readonly #device = new LastSent();
  readonly #commands: Command[] = [];
  readonly #counters = new Counters();
  readonly #translator: Translator;
  readonly #meta = new PacketMeta();
  readonly #carried: (action: VerdictAction) => boolean;
  readonly #entries = new Map<number, Entry>();
  readonly #results = new Map<number, ReplayPlay>();
  #seen: CapturedPacket | undefined = undefined;

  /** On a TUN device all that goes on is carried, where packets are diverted what is proxied. */
  constructor(mode: "tun" | "divert", secret: number) {
    const listeners = mode === "tun" ? TUN_LISTENERS : REFLECT_LISTENERS;
    this.#carried = (action) => action === "proxy" || (mode === "tun" && action === "direct");
    const observer = { packetTranslated: () => {} };
    this.#translator = new Translator(
      { listeners, secret },
      this.#arena,
      this.#device,
      this.#device,
      this.#counters,
      this.#commands,
      observer,
      undefined,
    );
  }

  see(arena: Arena, slot: Slot, now: Micros): void {
    const at = arena.at(slot);
    const bytes = arena.bytes.slice(at, at + arena.length[slot]!);
    this.#seen = arena.frame[slot] === Frame.Ip ? { bytes, wireLength: arena.wireLength[slot]!, at: now } : undefined;
  }

  started(flow: number): void {
    const result = { bytesToServer: 0, bytesToClient: 0, resets: 0 };
    this.#entries.set(flow, {
      ...{ waiting: [], isPlayed: false, client: undefined, reason: "", isDifferent: false, result },
    });
  }

  packet(flow: number): void {
    const seen = this.#seen;
    this.#seen = undefined;
    const entry = this.#entries.get(flow);
    if (seen === undefined || entry === undefined) return;
    if (entry.isPlayed) this.#play(flow, entry, seen);
    else if (entry.waiting.length < LIVE_PLAY_WAITING_PACKETS_MAX) entry.waiting.push(seen);
    else entry.reason = "too many packets came before the verdict";
  }

  decided(flow: number, action: VerdictAction): void {
    const entry = this.#entries.get(flow);
    if (entry === undefined || entry.isPlayed) return;
    if (!this.#carried(action)) return void this.#entries.delete(flow);
    entry.isPlayed = true;
    this.#translator.decided(0, flow, emptyFacts("tcp"), VERDICT);
    for (const packet of entry.waiting) this.#play(flow, entry, packet);
    entry.waiting = [];
  }

  ended(flow: number): void {
    const entry = this.#entries.get(flow);
    this.#entries.delete(flow);
    this.#translator.ended(flow);
    if (entry === undefined || !entry.isPlayed) return;
    const outcome = entry.isDifferent
      ? "different"
      : entry.client === undefined
      ? "unplayed"
      : entry.reason === ""
      ? "equal"
      : "partial";
    const reason = entry.client === undefined && !entry.isDifferent
      ? "the flow began before the capture"
      : entry.reason;
    this.#results.set(flow, { outcome, reason, ...entry.result, clientRetransmissions: 0, stackRetransmissions: 0 });
  }

  resultOf(flow: number): ReplayPlay | undefined {
    return this.#results.get(flow);
  }

  #play(flow: number, entry: Entry, packet: CapturedPacket): void {
    const arena = this.#arena;
    const meta = this.#meta;
    this.#translator.expire(packet.at);
    const slot = arena.acquire();
    arena.bytes.set(packet.bytes, arena.at(slot));
    arena.length[slot] = packet.bytes.length;
    arena.wireLength[slot] = packet.wireLength;
    const reason = parse(arena, slot, Verify.None, meta);
    if (reason !== DropReason.None || meta.fragment !== Fragment.Whole) {
      entry.reason ||= "packets that could not be read, or in fragments";
      return arena.release(slot);
    }
    if (entry.client === undefined && (meta.flags & (tcp.SYN | tcp.ACK)) === tcp.SYN) {
      entry.client = endOf(meta, SOURCE, meta.sourcePort);
    }
    if (entry.client === undefined) return arena.release(slot);
    const isFromClient = endOf(meta, SOURCE, meta.sourcePort) === entry.client;
    if ((meta.flags & tcp.RST) !== 0) entry.result.resets++;
    const payload = meta.payloadLength;
    const isCarried = isFromClient
      ? this.#playToListener(flow, entry, packet, slot)
      : this.#playToClient(flow, entry, packet, slot);
    invariant(this.#counters.lawHolds() && this.#counters.queued === 0, "every packet that is played ends once");
    invariant(arena.freeCount === arena.slotCount, "every slot that is played with comes back");
    if (!isCarried) entry.reason ||= "packets after the connection's end";
    else if (isFromClient) entry.result.bytesToServer += payload;
    else entry.result.bytesToClient += payload;
  }

  /** A packet of the client: what reaches the listener must belong to this flow, and be what was captured but for its tuple. */
  #playToListener(flow: number, entry: Entry, packet: CapturedPacket, slot: Slot): boolean {
    const translator = this.#translator;
    this.#counters.receive();
    translator.carry(slot, slot, this.#meta, flow, true, packet.at);
    for (let command = this.#commands.shift(); command !== undefined; command = this.#commands.shift()) {
      if (command.kind === "dial") translator.handle({ kind: "dialed", flow: command.flow }, packet.at);
    }
    const sent = this.#device.take();
    const meta = this.#meta;
    if (sent === undefined || !this.#parseAgain(sent, packet.wireLength)) return false;
    if (meta.destinationPort !== LISTEN_PORT) return false;
    const [local, remote] = [DESTINATION, SOURCE].map((at) =>
      ipFromWords(meta.words[at]!, meta.words[at + 1]!, meta.words[at + 2]!, meta.words[at + 3]!)
    );
    const found = translator.flowOfAccepted(remote!, meta.sourcePort, local!, meta.destinationPort);
    this.#restore(found);
    this.#compare(entry, found === flow, packet, "to the listener");
    return true;
  }

  /** Gives the packet in hand its application's tuple back. */
  #restore(flow: number): void {
    const { table } = this.#translator;
    const nat = table.entryOf(flow);
    if (nat !== NO_ENTRY) rewriteTuple(this.#arena.view, this.#meta, table.original, nat, false);
  }

  /** A packet of the server, as the listener would send it: what reaches the client must be what was captured. */
  #playToClient(flow: number, entry: Entry, packet: CapturedPacket, slot: Slot): boolean {
    const { table } = this.#translator;
    const nat = table.entryOf(flow);
    if (nat === NO_ENTRY) {
      this.#arena.release(slot);
      return false;
    }
    rewriteTuple(this.#arena.view, this.#meta, table.translated, nat, true);
    this.#arena.direction[slot] = Direction.Outbound;
    invariant(this.#translator.isFromListener(slot, this.#meta), "what the listener sends is known as such");
    this.#counters.receive();
    this.#translator.carryBack(slot, slot, this.#meta, packet.at);
    const sent = this.#device.take();
    if (sent === undefined || !this.#parseAgain(sent, packet.wireLength)) return false;
    this.#compare(entry, true, packet, "to the client");
    return true;
  }

  /** Reads a packet that was sent into a slot of its own, which nobody else needs afterwards. */
  #parseAgain(sent: Uint8Array, wireLength: number): boolean {
    const arena = this.#arena;
    const slot = arena.acquire();
    arena.bytes.set(sent, arena.at(slot));
    arena.length[slot] = sent.length;
    arena.wireLength[slot] = wireLength;
    const isRead = parse(arena, slot, Verify.None, this.#meta) === DropReason.None;
    arena.release(slot);
    return isRead;
  }

  #compare(entry: Entry, isItsFlow: boolean, packet: CapturedPacket, way: string): void {
    const { ipAt } = this.#meta;
    const bytes = this.#arena.bytes.subarray(ipAt, ipAt + packet.bytes.length);
    if (isItsFlow && isSamePacket(bytes, packet.bytes, checksumPlaces(this.#meta))) return;
    entry.isDifferent = true;
    entry.reason = isItsFlow ? `a packet ${way} is not what was captured` : "a packet belongs to another flow";
  }
}
