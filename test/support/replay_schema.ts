/** A strict reading of the command line's `weir.replay/1`: every key, every type, and what the numbers owe each other. */
import { DROP_REASON_NAMES } from "../../core/parse/drop_reason.ts";

type Check = (value: unknown, path: string, problems: string[]) => void;

const text: Check = (value, path, problems) => {
  if (typeof value !== "string") problems.push(`${path} is no text: ${JSON.stringify(value)}`);
};

const count: Check = (value, path, problems) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) problems.push(`${path} is no count: ${value}`);
};

const flag: Check = (value, path, problems) => {
  if (typeof value !== "boolean") problems.push(`${path} is neither true nor false: ${value}`);
};

function oneOf(...words: readonly unknown[]): Check {
  return (value, path, problems) => {
    if (!words.includes(value)) problems.push(`${path} is ${JSON.stringify(value)}, not one of ${words.join(", ")}`);
  };
}

function like(pattern: RegExp): Check {
  return (value, path, problems) => {
    if (typeof value !== "string" || !pattern.test(value)) {
      problems.push(`${path} is ${JSON.stringify(value)}, not like ${pattern}`);
    }
  };
}

function listOf(check: Check, countMin = 0): Check {
  return (value, path, problems) => {
    if (!Array.isArray(value) || value.length < countMin) problems.push(`${path} is no list of ${countMin} or more`);
    else value.forEach((item, i) => check(item, `${path}[${i}]`, problems));
  };
}

function orNull(check: Check): Check {
  return (value, path, problems) => value === null ? undefined : check(value, path, problems);
}

/** An object with exactly these keys; those that end in "?" may be absent. */
function record(fields: Record<string, Check>): Check {
  const byKey = new Map(Object.entries(fields).map(([key, check]) => [key.replace("?", ""), check]));
  const required = Object.keys(fields).filter((key) => !key.endsWith("?"));
  return (value, path, problems) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      problems.push(`${path} is no object`);
      return;
    }
    for (const key of required) if (!(key in value)) problems.push(`${path}.${key} is missing`);
    for (const [key, item] of Object.entries(value)) {
      const check = byKey.get(key);
      if (check === undefined) problems.push(`${path}.${key} is not documented`);
      else check(item, `${path}.${key}`, problems);
    }
  };
}

const port = like(/^(0|[1-9]\d{0,4})$/);
const address = like(/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/);
const name = like(/^([^\sA-Z]{0,252}[^\sA-Z.])?$/);

const metadata = record({
  network: oneOf("tcp", "udp"),
  type: text,
  sourceIP: address,
  destinationIP: address,
  sourceGeoIP: listOf(text),
  destinationGeoIP: listOf(text),
  sourceIPASN: text,
  destinationIPASN: text,
  sourcePort: port,
  destinationPort: port,
  inboundIP: text,
  inboundPort: port,
  inboundName: text,
  inboundUser: text,
  host: name,
  dnsMode: oneOf("normal", "fake-ip", "redir-host", "hosts"),
  uid: orNull(count),
  process: text,
  processPath: text,
  processId: count,
  user: text,
  specialProxy: text,
  specialRules: text,
  remoteDestination: text,
  dscp: count,
  sniffHost: name,
  sniffProtocol: oneOf("", "tls", "quic", "http", "connect", "socks5"),
  ech: flag,
});

const step = record({
  kind: oneOf("rule", "lookup", "hosts", "policy", "default"),
  type: text,
  payload: text,
  target: text,
  outcome: oneOf("matched", "mismatch", "unknown", "targetMissing", "targetPass", "targetCannotUdp", "skipped"),
  why: text,
  "costUs?": count,
});

const dropped: Check = (value, path, problems) => {
  for (const [reason, packets] of Object.entries(value as Record<string, unknown>)) {
    if (!DROP_REASON_NAMES.includes(reason) || reason === "none") problems.push(`${path}.${reason} is no drop reason`);
    count(packets, `${path}.${reason}`, problems);
    if (packets === 0) problems.push(`${path}.${reason} did not happen`);
  }
};

const result = record({
  schema: oneOf("weir.replay/1"),
  captures: listOf(record({
    file: text,
    format: oneOf("pcap", "pcapng", null),
    linkTypes: listOf(text),
    packets: count,
    bytes: count,
    error: orNull(record({ message: like(/^Cannot .*: ./s), offset: count })),
  })),
  counters: record({ received: count, delivered: count, consumed: count, queued: count, dropped }),
  flows: listOf(record({
    metadata,
    rule: text,
    rulePayload: text,
    chains: listOf(text, 1),
    verdict: oneOf("direct", "proxy", "reject", "drop"),
    packets: count,
    upload: count,
    download: count,
    start: like(/^-?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    "explain?": listOf(step),
    "play?": record({
      outcome: oneOf("equal", "different", "partial", "unplayed"),
      reason: text,
      bytesToServer: count,
      bytesToClient: count,
      clientRetransmissions: count,
      stackRetransmissions: count,
      resets: count,
      "proxy?": record({ protocols: listOf(text), bytesToServer: count, bytesToClient: count, failure: text }),
    }),
    "program?": text,
  })),
  rules: listOf(record({ type: text, payload: text, proxy: text, hits: count })),
  "programs?": listOf(
    record({
      name: text,
      text,
      packets: count,
      copies: count,
      dropped: count,
      corrupted: count,
      held: count,
      reordered: count,
      overflowed: count,
    }),
    1,
  ),
});

interface Numbers {
  captures: { packets: number; bytes: number }[];
  counters: { received: number; delivered: number; consumed: number; queued: number; dropped: Record<string, number> };
  flows: { packets: number; upload: number; download: number; start: string }[];
  rules: { hits: number }[];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** What holds between the numbers of any finished replay. */
function checkNumbers({ captures, counters, flows, rules }: Numbers, problems: string[]): void {
  const owed = (holds: boolean, sentence: string) => holds || problems.push(sentence);
  const ended = counters.delivered + counters.consumed + sum(Object.values(counters.dropped));
  owed(counters.received === ended + counters.queued, "received is not delivered + consumed + queued + dropped");
  owed(counters.queued === 0, "packets are queued after the end");
  owed(sum(captures.map(({ packets }) => packets)) === counters.received, "not every packet read was received");
  owed(sum(flows.map(({ packets }) => packets)) <= counters.received, "flows have more packets than were received");
  const payload = sum(flows.map(({ upload, download }) => upload + download));
  owed(payload <= sum(captures.map(({ bytes }) => bytes)), "flows have more payload than was captured");
  owed(flows.every(({ packets }) => packets > 0), "a flow has no packets");
  owed(sum(rules.map(({ hits }) => hits)) <= flows.length, "rules decided more flows than there are");
}

/** What is wrong with a document that should be `weir.replay/1`. Shape: one sentence a problem; empty when all is well. */
export function checkReplayDocument(document: unknown): string[] {
  const problems: string[] = [];
  result(document, "$", problems);
  if (problems.length === 0) checkNumbers(document as Numbers, problems);
  return problems;
}
