/**
 * One connection between script and stack: how the script's numbers, which begin at 0, become the stack's, and back.
 *
 * A SYN's sequence number is written as it stands; all others count from the SYN's. The script's own initial number is the live one, the
 * stack's is learned from its first SYN. Source: google/packetdrill run_packet.c, `map_inbound_packet` and `map_outbound_live_packet`.
 */
import { seqAdd, seqDiff } from "../../core/wire/seq.ts";
import { ACK, RST, SYN } from "../../core/wire/tcp.ts";
import type { Endpoints } from "./endpoints.ts";
import type { TcpOption, TcpSegment } from "./script.ts";

/** Translates one connection's segments. */
export class Flow {
  readonly ends: Endpoints;
  /** The stack's initial sequence number, 0 until its first SYN is seen. */
  localInitial = 0;
  /** What the script writes for it. */
  #localInitialInScript = 0;
  #isLocalKnown = false;
  remoteInitial = 0;
  #isRemoteKnown = false;
  /** The stack's timestamps by what the script called them. */
  readonly #liveTimestamps = new Map<number, number>();
  #firstTimestamp: { readonly script: number; readonly live: number } | undefined;

  constructor(ends: Endpoints) {
    this.ends = ends;
  }

  /**
   * Looks at a segment that the script sends, before it is translated: of a passive connection the first one counts, of an active one the
   * first SYN-ACK, or a SYN that crosses ours.
   */
  learnInbound(segment: TcpSegment, isPassive: boolean): void {
    if (this.#isRemoteKnown) return;
    const isSyn = (segment.flags & SYN) !== 0;
    if (!isPassive && !isSyn) return;
    this.remoteInitial = segment.sequence;
    this.#isRemoteKnown = isPassive || (segment.flags & ACK) !== 0;
  }

  /** Looks at a live SYN of the stack together with what the script says of it. */
  learnOutbound(live: TcpSegment, script: TcpSegment): void {
    if (this.#isLocalKnown || (live.flags & SYN) === 0 || (live.flags & RST) !== 0) return;
    this.localInitial = live.sequence;
    this.#localInitialInScript = script.ignoreSequence ? 0 : script.sequence;
    this.#isLocalKnown = true;
  }

  /** From the script's local numbers to live ones. */
  localToLive(sequence: number, isSyn: boolean): number {
    return seqAdd(sequence, isSyn ? seqDiff(this.localInitial, this.#localInitialInScript) : this.localInitial);
  }

  #toLive(option: TcpOption, isSyn: boolean, hasAck: boolean): TcpOption {
    if (option.kind === "sack") {
      const blocks = option.blocks.map((block) =>
        block.map((edge) => this.localToLive(edge, isSyn)) as [number, number]
      );
      return { kind: "sack", blocks };
    }
    if (option.kind !== "timestamps" || option.absoluteEcho || !hasAck) return option;
    return { ...option, echo: this.#echoToLive(option.echo) };
  }

  /** The live timestamp that the script means: one it has seen, else one as far from the first. */
  #echoToLive(echo: number): number {
    const exact = this.#liveTimestamps.get(echo);
    if (exact !== undefined) return exact;
    if (this.#firstTimestamp === undefined) return echo;
    return seqAdd(this.#firstTimestamp.live, seqDiff(echo, this.#firstTimestamp.script));
  }

  /** A segment of the script with the numbers that the stack will understand. */
  toLive(segment: TcpSegment): TcpSegment {
    const isSyn = (segment.flags & SYN) !== 0;
    const hasAck = (segment.flags & ACK) !== 0;
    const offset = isSyn || segment.absoluteSequence ? 0 : this.remoteInitial;
    return {
      ...segment,
      sequence: seqAdd(segment.sequence, offset),
      acknowledgment: hasAck ? this.localToLive(segment.acknowledgment, isSyn) : segment.acknowledgment,
      options: (segment.options ?? []).map((option) => this.#toLive(option, isSyn, hasAck)),
    };
  }

  #toScript(option: TcpOption, isSyn: boolean, expected: TcpOption | undefined): TcpOption {
    if (option.kind === "sack") {
      const offset = isSyn ? 0 : this.remoteInitial;
      const blocks = option.blocks.map((block) => block.map((edge) => seqAdd(edge, -offset)) as [number, number]);
      return { kind: "sack", blocks };
    }
    if (option.kind !== "timestamps") return option;
    const first = this.#firstTimestamp;
    if (first === undefined && expected?.kind === "timestamps") return { ...option, value: expected.value };
    return first === undefined ? option : { ...option, value: seqAdd(first.script, seqDiff(option.value, first.live)) };
  }

  /** A segment of the stack in the script's numbers, as far as `expected` shows how it writes them. */
  toScript(live: TcpSegment, expected: TcpSegment): TcpSegment {
    const isSyn = (live.flags & SYN) !== 0;
    const hasAck = (live.flags & ACK) !== 0;
    const offset = isSyn ? seqDiff(this.localInitial, this.#localInitialInScript) : this.localInitial;
    const stamps = expected.options?.find((option) => option.kind === "timestamps");
    return {
      ...live,
      sequence: expected.absoluteSequence ? live.sequence : seqAdd(live.sequence, -offset),
      acknowledgment: hasAck && !isSyn ? seqAdd(live.acknowledgment, -this.remoteInitial) : live.acknowledgment,
      options: (live.options ?? []).map((option) => this.#toScript(option, isSyn, stamps)),
    };
  }

  /** Remembers under which name the script knows a live timestamp; called once a segment matched. */
  learnTimestamps(live: TcpSegment, script: TcpSegment): void {
    const actual = live.options?.find((option) => option.kind === "timestamps");
    const named = script.options?.find((option) => option.kind === "timestamps");
    if (actual?.kind !== "timestamps" || named?.kind !== "timestamps" || named.ignoreValue) return;
    this.#liveTimestamps.set(named.value, actual.value);
    this.#firstTimestamp ??= { script: named.value, live: actual.value };
  }
}
