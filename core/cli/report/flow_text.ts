/** How one flow, rule or explanation is worded, the same in the terminal and on the page. Everything returned is `visible()`. */
import type { Metadata } from "../../classify/facts.ts";
import type { ExplainOutcome, ExplainStep } from "../../decide/verdict.ts";
import type { ReplayFlow, ReplayPlay, ReplayProxy } from "../replay_result.ts";
import { countOf, formatBytes, formatDurationUs } from "./format.ts";
import { visible } from "./visible.ts";

const PLAY_WORDS: { readonly [outcome in ReplayPlay["outcome"]]: string } = {
  equal: "played, all equal",
  different: "played, different",
  partial: "played in part",
  unplayed: "not played",
};

/** `, by vmess auto over ws inside socks5: 1.2 kB up, 3.4 kB down on the wire`. */
function proxyText({ protocols, bytesToServer, bytesToClient }: ReplayProxy): string {
  const bytes = `${formatBytes(bytesToServer)} up, ${formatBytes(bytesToClient)} down on the wire`;
  return `, by ${protocols.map(visible).join(" inside ")}: ${bytes}`;
}

/** What came of playing a flow against the stack: bytes compared, what was sent again, resets, and why it did not go to its end. */
export function playText(play: ReplayPlay): string {
  const why = play.reason === "" ? "" : ` (${visible(play.reason)})`;
  if (play.outcome === "unplayed") return `${PLAY_WORDS.unplayed}${why}`;
  const bytes = `${formatBytes(play.bytesToServer)} up, ${formatBytes(play.bytesToClient)} down compared`;
  const again = play.clientRetransmissions + play.stackRetransmissions;
  const events = [
    again === 0 ? "" : `, ${countOf(again, "retransmission")}`,
    play.resets === 0 ? "" : `, ${countOf(play.resets, "reset")}`,
  ].join("");
  const proxy = play.proxy === undefined ? "" : proxyText(play.proxy);
  return `${PLAY_WORDS[play.outcome]}${why}: ${bytes}${events}${proxy}`;
}

/** Verdicts in the order in which they are listed and stacked. */
export const VERDICTS = ["direct", "proxy", "reject", "drop"] as const;

/** `1.2.3.4:443`, `[2001:db8::1]:443`, or the address alone when there is no port. */
export function endpoint(address: string, port: string): string {
  const host = visible(address);
  const end = visible(port);
  if (end === "" || end === "0") return host;
  return host.includes(":") ? `[${host}]:${end}` : `${host}:${end}`;
}

/** Where a flow came from. */
export function sourceText(metadata: Metadata): string {
  return endpoint(metadata.sourceIP, metadata.sourcePort);
}

/** Where a flow went: the name when there is one, else the address; with its port. */
export function destinationText(metadata: Metadata): string {
  return endpoint(metadata.host === "" ? metadata.destinationIP : metadata.host, metadata.destinationPort);
}

/** What a flow's bytes are summed under in "by host": the name, else the address. */
export function hostText(metadata: Metadata): string {
  return visible(metadata.host === "" ? metadata.destinationIP : metadata.host);
}

/** The program's name, else the last part of its path, else "". */
export function processText(metadata: Metadata): string {
  if (metadata.process !== "") return visible(metadata.process);
  return visible(metadata.processPath.split(/[\\/]/).at(-1) ?? "");
}

/** `DomainSuffix(example.org)`, `Match`, or `no rule`. */
export function ruleText(type: string, payload: string): string {
  if (type === "") return "no rule";
  return payload === "" ? visible(type) : `${visible(type)}(${visible(payload)})`;
}

/** Targets that say the same as the verdict. Source: Clash's built-in proxies. */
const BUILT_IN: ReadonlySet<string> = new Set(["DIRECT", "REJECT", "REJECT-DROP"]);

/** The way a flow takes, from the group that the rule names to the proxy that carries it: `office → ss-1`, without what the verdict says. */
export function chainText(flow: ReplayFlow): string {
  const way = flow.chains.map(visible).reverse();
  if (BUILT_IN.has(way.at(-1) ?? "")) way.pop();
  return way.join(" → ");
}

/** `direct`, `proxy office → ss-1`, `reject`. */
export function verdictText(flow: ReplayFlow): string {
  const way = chainText(flow);
  return way === "" ? visible(flow.verdict) : `${visible(flow.verdict)} ${way}`;
}

const OUTCOME_WORDS: Readonly<Record<ExplainOutcome, string>> = {
  matched: "matched",
  mismatch: "no match",
  unknown: "not known",
  targetMissing: "no such target",
  targetPass: "passed over",
  targetCannotUdp: "target has no UDP",
  skipped: "skipped",
};

/** An outcome in plain words. */
export function outcomeText(outcome: string): string {
  return Object.hasOwn(OUTCOME_WORDS, outcome) ? OUTCOME_WORDS[outcome as ExplainOutcome] : visible(outcome);
}

/** What a step of an explanation looked at: `DomainSuffix(example.org) → office`, `lookup resolve`. */
export function stepText(step: ExplainStep): string {
  const about = ruleText(step.type, step.payload);
  const subject = step.kind === "rule" ? about : step.type === "" ? step.kind : `${step.kind} ${about}`;
  return step.target === "" ? subject : `${subject} → ${visible(step.target)}`;
}

/** Why a step came out as it did, with what a lookup cost. */
export function stepWhy(step: ExplainStep): string {
  const cost = step.costUs === undefined ? "" : `${formatDurationUs(step.costUs)}`;
  return [visible(step.why), cost].filter((part) => part !== "").join(", ");
}
