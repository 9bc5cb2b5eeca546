/** The result of a replay: schema `weir.replay/1` of the command line's JSON, and the one thing reports are made from. */
import type { Metadata } from "../classify/facts.ts";
import type { ExplainStep, VerdictAction } from "../decide/verdict.ts";

/** One capture file that was read. */
export interface ReplayCapture {
  file: string;
  /** Null when the file is no capture; `error` says more. */
  format: "pcap" | "pcapng" | null;
  linkTypes: string[];
  packets: number;
  /** Units: captured bytes, link headers included. */
  bytes: number;
  /** What ended the reading early; everything before it counts. `offset` is in the (decompressed) file. */
  error: { message: string; offset: number } | null;
}

/** received = delivered + consumed + queued + Σ dropped. Units: packets. */
export interface ReplayCounters {
  received: number;
  delivered: number;
  consumed: number;
  queued: number;
  dropped: Record<string, number>;
}

/**
 * What came of playing a captured TCP flow: against weir's own stack, the captured client on one side, a scripted server on the other; or, with the
 * stacks `system` and `mixed`, through the rewriting of its packets to a listener and back, each compared with what was captured.
 */
export interface ReplayPlay {
  /** All bytes compared and the same; some differed; the capture ended the comparison early; nothing could be played. */
  outcome: "equal" | "different" | "partial" | "unplayed";
  /** Why not all could be played, or what differed; empty when all is equal. */
  reason: string;
  /** Bytes that reached the scripted server as the client sent them, and those that reached the client as the server sent them. */
  bytesToServer: number;
  bytesToClient: number;
  /** Segments that the captured client, and the stack, sent again. */
  clientRetransmissions: number;
  stackRetransmissions: number;
  /** Resets from either side. */
  resets: number;
  /** Only of flows whose proxy the configuration describes, with the stack `netstack`. */
  proxy?: ReplayProxy;
}

/** What a flow's bytes did between the stack and the scripted server: a proxy's protocol, its client's half and a simulated server. */
export interface ReplayProxy {
  /** By which protocols, the one that speaks to the destination first: `vmess auto over ws`, `socks5`. TLS is named and left out. */
  protocols: string[];
  /** Bytes on the wire to the outermost server and back, beside `bytesToServer` and `bytesToClient` of the play, which are payload. */
  bytesToServer: number;
  bytesToClient: number;
  /** Why the proxy did not carry the flow to its end; empty when it did. */
  failure: string;
}

/** One decided flow. Units: `upload`, `download` transport payload bytes as captured; `start` RFC 3339 in UTC with µs. */
export interface ReplayFlow {
  metadata: Metadata;
  rule: string;
  rulePayload: string;
  chains: string[];
  verdict: VerdictAction;
  packets: number;
  upload: number;
  download: number;
  start: string;
  explain?: ExplainStep[];
  /** Only of TCP flows that would end in the stack that the replay was asked to play. */
  play?: ReplayPlay;
  /** What the flow's packet program does; only of flows with one. */
  program?: string;
}

/** A packet program that ran, and what it did. Units: packets. */
export interface ReplayProgram {
  /** Its name under `weir.programs`; "" for one that the policy spelled out. */
  name: string;
  text: string;
  packets: number;
  copies: number;
  dropped: number;
  corrupted: number;
  held: number;
  reordered: number;
  overflowed: number;
}

/** One rule of the main list with the flows it decided. */
export interface ReplayRule {
  type: string;
  payload: string;
  proxy: string;
  hits: number;
}

/** The whole document. */
export interface ReplayResult {
  schema: "weir.replay/1";
  captures: ReplayCapture[];
  counters: ReplayCounters;
  flows: ReplayFlow[];
  rules: ReplayRule[];
  /** Only when any ran. */
  programs?: ReplayProgram[];
}
