/**
 * The side file of processes: who owned which flow, for captures that do not say it themselves.
 *
 *     processes:
 *       - path: C:\Program Files\Game\game.exe     # path, name, pid, user, uid: at least one of path, name, pid
 *         pid: 4242
 *         user: alice
 *         match:                                   # every part may be left out; no match at all fits every flow
 *           network: tcp                           # tcp, udp or icmp
 *           source: 192.168.1.7:50100              # the side that opened the flow
 *           destination: 1.2.3.4:443
 *       - name: dns.exe
 *         match: udp -> :53                        # the same in one line: NETWORK SOURCE -> DESTINATION
 *
 * or, shorter, a map from such a line to a path or a name:
 *
 *     processes:
 *       tcp 192.168.1.7:50100: C:\Program Files\Game\game.exe
 *       udp -> :53: dns.exe
 *
 * An endpoint is `IP`, `IP/BITS`, `PORT`, `:PORT`, `FIRST-LAST`, `IP:PORT`, `[IPv6]:PORT`, `[IPv6/BITS]:FIRST-LAST` or `*`; where YAML
 * reads a bracket as a list, it needs quotes. The Clash names sourceIP, sourcePort, destinationIP and destinationPort serve as well.
 * The first entry that fits a flow names its process.
 */
import type { IpAddress } from "../core/base/ip_address.ts";
import { PROCESS_ENTRY_COUNT_MAX } from "../core/base/limits.ts";
import { Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { processNameOf } from "./capture/process_blocks.ts";
import type { ProcessFact } from "./capture/record.ts";
import { type EndpointPattern, matchesEndpoint, parseEndpoint, parseFlowPattern } from "./process_patterns.ts";

/** One mistake in a side file. Units: line and column from 1. */
export interface ProcessIssue {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** A side file as read: a table, or every mistake at once. */
export interface ProcessFile {
  readonly table?: ProcessTable;
  readonly issues: readonly ProcessIssue[];
}

interface ProcessEntry {
  readonly fact: ProcessFact;
  readonly network: string | undefined;
  readonly source: EndpointPattern | undefined;
  readonly destination: EndpointPattern | undefined;
}

/** The entries of a side file, asked once a flow. */
export class ProcessTable {
  readonly #entries: readonly ProcessEntry[];

  constructor(entries: readonly ProcessEntry[]) {
    this.#entries = entries;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#entries.length;
  }

  /** The process of a flow: the first entry that fits. Shape: `network` is tcp, udp or icmp; the source opened the flow. */
  find(
    network: string,
    sourceIp: IpAddress,
    sourcePort: number,
    destinationIp: IpAddress,
    destinationPort: number,
  ): ProcessFact | undefined {
    for (const entry of this.#entries) {
      if (entry.network !== undefined && entry.network !== network) continue;
      if (entry.source !== undefined && !matchesEndpoint(entry.source, sourceIp, sourcePort)) continue;
      if (entry.destination !== undefined && !matchesEndpoint(entry.destination, destinationIp, destinationPort)) {
        continue;
      }
      return entry.fact;
    }
    return undefined;
  }
}

const NETWORKS = ["tcp", "udp", "icmp"];
const FACT_KEYS = ["path", "name", "pid", "user", "uid"];
const ENTRY_KEYS = [...FACT_KEYS, "match"];
const MATCH_KEYS = [
  "network",
  "source",
  "destination",
  "sourceIP",
  "sourcePort",
  "destinationIP",
  "destinationPort",
];
const ENDPOINT_FORMS = "IP, IP/BITS, PORT, :PORT, FIRST-LAST, IP:PORT, [IPv6]:PORT or *";
const PATTERN_FORM = '"NETWORK SOURCE -> DESTINATION"';
const UINT32_MAX = 0xffff_ffff;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A reading in progress: where things stand, and what is wrong with them. */
class SideFileReader {
  readonly issues: ProcessIssue[] = [];
  readonly entries: ProcessEntry[] = [];
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  issueAt(offset: number, message: string): void {
    const { line, col } = this.#lines.linePos(offset);
    this.issues.push({ line: Math.max(line, 1), column: Math.max(col, 1), message });
  }

  read(): void {
    const root = this.#resolve(this.#document.contents);
    if (isSeq(root)) {
      this.#list(root.items as (Node | null)[]);
      return;
    }
    if (!isMap(root)) {
      this.#issue(root, `found ${describe(root)}, expected "processes:" with a list or a map of processes`);
      return;
    }
    let isFound = false;
    for (const { key, value } of pairsOf(root)) {
      if (textOf(key) !== "processes") {
        this.#issue(key, `unknown key ${describe(key)}, expected "processes"`);
        continue;
      }
      isFound = true;
      const list = this.#resolve(value);
      if (isSeq(list)) this.#list(list.items as (Node | null)[]);
      else if (isMap(list)) this.#map(list);
      else this.#issue(list ?? key, `processes: found ${describe(list)}, expected a list or a map of processes`);
    }
    if (!isFound) this.#issue(root, 'found no "processes"');
  }

  #list(items: readonly (Node | null)[]): void {
    for (const item of items) {
      const entry = this.#resolve(item);
      if (!isMap(entry)) {
        this.#issue(entry, `found ${describe(entry)}, expected a process with ${ENTRY_KEYS.join(", ")}`);
        continue;
      }
      const pattern: Mutable<Omit<ProcessEntry, "fact">> = {
        network: undefined,
        source: undefined,
        destination: undefined,
      };
      const matchNode = pairsOf(entry).find(({ key }) => textOf(key) === "match");
      if (matchNode !== undefined) this.#match(matchNode.key, this.#resolve(matchNode.value), pattern);
      this.#add(entry, this.#fact(entry, ENTRY_KEYS), pattern);
    }
  }

  #map(map: YAMLMap): void {
    for (const { key, value } of pairsOf(map)) {
      const pattern: Mutable<Omit<ProcessEntry, "fact">> = {
        network: undefined,
        source: undefined,
        destination: undefined,
      };
      this.#line(key, pattern);
      const what = this.#resolve(value);
      const text = isScalar(what) && typeof what.value === "string" ? what.value : "";
      if (isMap(what)) this.#add(key, this.#fact(what, FACT_KEYS), pattern);
      else if (text !== "") {
        const isPath = /[\\/]/.test(text);
        const name = isPath ? processNameOf(text) : text;
        this.#add(key, { path: isPath ? text : "", name, pid: 0, user: "", uid: undefined }, pattern);
      } else {this.#issue(
          what ?? key,
          `found ${describe(what)}, expected a path, a name or a map with ${FACT_KEYS.join(", ")}`,
        );}
    }
  }

  #add(at: Node | null, fact: ProcessFact | undefined, pattern: Omit<ProcessEntry, "fact">): void {
    if (this.entries.length === PROCESS_ENTRY_COUNT_MAX) {
      this.#issue(at, `more than ${PROCESS_ENTRY_COUNT_MAX} processes`);
    }
    if (fact !== undefined && this.entries.length <= PROCESS_ENTRY_COUNT_MAX) this.entries.push({ fact, ...pattern });
  }

  #fact(map: YAMLMap, allowed: readonly string[]): ProcessFact | undefined {
    const fact: Mutable<ProcessFact> = { path: "", name: "", pid: 0, user: "", uid: undefined };
    const issuesBefore = this.issues.length;
    for (const { key, value } of pairsOf(map)) {
      const name = textOf(key);
      const node = this.#resolve(value);
      if (name === "path" || name === "name" || name === "user") fact[name] = this.#string(name, key, node);
      else if (name === "pid" || name === "uid") fact[name] = this.#integer(name, key, node);
      else if (!allowed.includes(name)) {
        const hint = MATCH_KEYS.includes(name) ? `; ${name} belongs under match` : "";
        this.#issue(key, `unknown key ${describe(key)}, expected one of ${allowed.join(", ")}${hint}`);
      }
    }
    if (fact.path === "" && fact.name === "" && fact.pid === 0 && this.issues.length === issuesBefore) {
      this.#issue(map, "found no path, name or pid, expected at least one of them");
    }
    if (fact.name === "") fact.name = processNameOf(fact.path);
    return this.issues.length === issuesBefore ? fact : undefined;
  }

  #match(key: Node, node: Node | null, pattern: Mutable<Omit<ProcessEntry, "fact">>): void {
    if (isScalar(node) && (typeof node.value === "string" || typeof node.value === "number")) this.#line(node, pattern);
    else if (isMap(node)) {
      for (const pair of pairsOf(node)) this.#matchPart(pair.key, this.#resolve(pair.value), pattern);
    } else {this.#issue(
        node ?? key,
        `match: found ${describe(node)}, expected ${PATTERN_FORM} or a map with ${MATCH_KEYS.join(", ")}`,
      );}
  }

  #matchPart(key: Node, node: Node | null, pattern: Mutable<Omit<ProcessEntry, "fact">>): void {
    const name = textOf(key);
    const text = isScalar(node) && node.value !== null ? String(node.value) : "";
    if (name === "network") {
      pattern.network = text.toLowerCase();
      if (!NETWORKS.includes(pattern.network)) {
        this.#issue(node ?? key, `network: found ${describe(node)}, expected tcp, udp or icmp`);
      }
      return;
    }
    if (!MATCH_KEYS.includes(name)) {
      this.#issue(key, `unknown key ${describe(key)}, expected one of ${MATCH_KEYS.join(", ")}`);
      return;
    }
    const side = name.startsWith("source") ? "source" : "destination";
    const parsed = parseEndpoint(text);
    const isIp = name.endsWith("IP"), isPort = name.endsWith("Port");
    if (parsed === undefined || (isIp && parsed.ports !== undefined) || (isPort && parsed.prefix !== undefined)) {
      const forms = isIp ? "IP or IP/BITS" : isPort ? "PORT or FIRST-LAST" : ENDPOINT_FORMS;
      this.#issue(node ?? key, `${name}: found ${describe(node)}, expected ${forms}`);
      return;
    }
    const before = pattern[side];
    if ((before?.prefix && parsed.prefix) || (before?.ports && parsed.ports)) {
      this.#issue(key, `${name}: the ${side} is given twice`);
    }
    pattern[side] = { prefix: parsed.prefix ?? before?.prefix, ports: parsed.ports ?? before?.ports };
  }

  #line(node: Node, pattern: Mutable<Omit<ProcessEntry, "fact">>): void {
    const parsed = parseFlowPattern(textOf(node), NETWORKS);
    if (typeof parsed === "string") {
      this.#issue(node, `found ${parsed}, expected ${PATTERN_FORM}, an endpoint as ${ENDPOINT_FORMS}`);
    } else Object.assign(pattern, parsed);
  }

  #string(name: string, key: Node, node: Node | null): string {
    if (isScalar(node) && (typeof node.value === "string" || typeof node.value === "number") && node.value !== "") {
      // 0123 or 1e3 as a user's name: the text counts as it was written.
      return typeof node.value === "number" && node.source !== undefined ? node.source : String(node.value);
    }
    this.#issue(node ?? key, `${name}: found ${describe(node)}, expected a text`);
    return "";
  }

  #integer(name: string, key: Node, node: Node | null): number {
    const value = isScalar(node) ? node.value : undefined;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX) return value;
    this.#issue(node ?? key, `${name}: found ${describe(node)}, expected a whole number from 0 to ${UINT32_MAX}`);
    return 0;
  }

  #resolve(node: unknown): Node | null {
    if (isAlias(node)) return node.resolve(this.#document) ?? null;
    return (node ?? null) as Node | null;
  }

  #issue(node: Node | null, message: string): void {
    this.issueAt(node?.range?.[0] ?? 0, message);
  }
}

function pairsOf(map: YAMLMap): { key: Node; value: unknown }[] {
  return map.items as { key: Node; value: unknown }[];
}

function textOf(node: Node | null): string {
  return isScalar(node) && node.value !== null ? node.source ?? String(node.value) : "";
}

function describe(node: Node | null): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (isScalar(node) && node.value !== null && node.value !== "") return JSON.stringify(textOf(node).slice(0, 80));
  return "nothing";
}

/** Reads a side file. Errors: `issues` has every mistake, with `fileName`'s line and column; there is a table only without any. */
export function parseProcesses(text: string, fileName: string): ProcessFile {
  const lines = new LineCounter();
  let document: Document;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  } catch (error) {
    // The parser recurses: thousands of nested brackets exhaust its stack.
    const reason = error instanceof Error ? error.message : String(error);
    return { issues: [{ line: 1, column: 1, message: `Cannot read ${fileName}: ${reason}` }] };
  }
  const reader = new SideFileReader(document, lines);
  for (const error of document.errors) reader.issueAt(error.pos[0], error.message);
  if (reader.issues.length === 0) reader.read();
  if (reader.issues.length > 0) {
    return { issues: reader.issues.sort((a, b) => a.line - b.line || a.column - b.column) };
  }
  return { table: new ProcessTable(reader.entries), issues: [] };
}
