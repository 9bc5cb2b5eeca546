/** Captured TCP flows for tests, written packet by packet. */
import { FlowPlay } from "../../../sim/live_play/flow_play.ts";
import { micros } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import type { ReplayPlay } from "../../../core/cli/replay_result.ts";
import { be32, tcpPacket } from "../../support/packets.ts";

export const CLIENT_ISN = 0xffff_ff00;
export const SERVER_ISN = 0x7fff_ffff;

/** One packet of a flow: who sent it, flags, offsets into both streams, bytes. */
export interface Line {
  from: "client" | "server";
  flags: string;
  /** Where in the sender's stream; the SYN stands at −1. */
  at: number;
  /** How much of the other's stream is acknowledged. */
  ack?: number;
  data?: Uint8Array | string;
  options?: number[];
  /** Units: µs after the packet before. */
  after?: number;
  v6?: boolean;
}

const ADDRESSES = {
  four: { client: "192.0.2.10", server: "198.51.100.7" },
  six: { client: "2001:db8:0:0:0:0:0:a", server: "2001:db8:0:0:0:0:0:7" },
};

/** A line as a packet. */
export function packetOf(line: Line): Uint8Array {
  const isClient = line.from === "client";
  const addresses = line.v6 ? ADDRESSES.six : ADDRESSES.four;
  const [mine, other] = isClient ? [CLIENT_ISN, SERVER_ISN] : [SERVER_ISN, CLIENT_ISN];
  const data = typeof line.data === "string" ? new TextEncoder().encode(line.data) : line.data ?? new Uint8Array();
  return tcpPacket({
    source: isClient ? addresses.client : addresses.server,
    destination: isClient ? addresses.server : addresses.client,
    sourcePort: isClient ? 50_000 : 443,
    destinationPort: isClient ? 443 : 50_000,
    flags: line.flags,
    sequence: (mine + 1 + line.at) >>> 0,
    acknowledgment: line.ack === undefined ? 0 : (other + 1 + line.ack) >>> 0,
    payload: [...data],
    tcpOptions: line.options ?? [],
  });
}

/** The timestamps option, padded. */
export function timestamps(value: number, echo: number): number[] {
  return [1, 1, 8, 10, ...be32(value), ...be32(echo)];
}

/** Plays a flow from its lines. */
export function playLines(lines: readonly Line[]): ReplayPlay {
  const prng = new Prng(1);
  const play = new FlowPlay(FlowPlay.createArena(), () => prng.uint32());
  let at = 1_700_000_000_000_000;
  for (const line of lines) {
    at += line.after ?? 1_000;
    play.packet(packetOf(line), micros(at));
  }
  return play.finish();
}

/** The handshake, with or without options. */
export function handshake(options: { client?: number[]; server?: number[]; v6?: boolean } = {}): Line[] {
  const v6 = options.v6 ?? false;
  return [
    { from: "client", flags: "S", at: -1, options: options.client ?? [2, 4, 5, 180], v6 },
    { from: "server", flags: "SA", at: -1, ack: 0, options: options.server ?? [2, 4, 5, 180], v6 },
    { from: "client", flags: "A", at: 0, ack: 0, v6 },
  ];
}
