/** What the compiled matcher knows while it decides one flow: the facts, and what was worked out from them once. */
import type { IpAddress } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { emptyFacts, ruleHost } from "../classify/facts.ts";
import { HostScan } from "./host_scan.ts";
import type { GeoSource } from "./geo.ts";
import { addressNeed, Answer, isNameComing, isProcessWanted } from "./needs.ts";
import type { Target } from "./targets.ts";

/** One object for all decisions of a decider. */
export class MatchContext {
  readonly scan = new HostScan();
  readonly geo: GeoSource;
  readonly mode: "off" | "strict" | "always";
  facts: FlowFacts = emptyFacts("tcp");
  host = "";
  nameComing = false;
  processWanted = false;
  /** Inside a RULE-SET with `src`: source and destination change places. */
  swapped = false;
  /** Inside a RULE-SET that must not look anything up. */
  noResolve = false;
  /** How many SUB-RULEs are around. */
  depth = 0;
  /** Where the rule that hit sends the flow. */
  target: Target | undefined = undefined;
  #process = "";
  #foldedProcess = "";
  #path = "";
  #foldedPath = "";

  constructor(geo: GeoSource, mode: "off" | "strict" | "always") {
    this.geo = geo;
    this.mode = mode;
  }

  /** Takes a flow in. */
  load(facts: FlowFacts): void {
    this.facts = facts;
    this.host = ruleHost(facts);
    this.nameComing = isNameComing(facts);
    this.processWanted = isProcessWanted(facts, this.mode);
    this.swapped = false;
    this.noResolve = false;
    this.depth = 0;
    if (!this.nameComing) this.scan.load(this.host);
  }

  /** The address of one end, as the rule sees it. */
  ip(source: boolean): IpAddress | undefined {
    return source !== this.swapped ? this.facts.sourceIp : this.facts.destinationIp;
  }

  /** What a rule over an unknown address asks for. */
  addressNeed(noResolve: boolean): number {
    return noResolve || this.noResolve ? Answer.No : addressNeed(this.facts);
  }

  /** The country codes of one end; what the database says is kept in the facts, for reports. */
  countries(source: boolean, ip: IpAddress): readonly string[] {
    const ofSource = source !== this.swapped;
    const known = ofSource ? this.facts.sourceGeoIp : this.facts.destinationGeoIp;
    if (known.length > 0) return known;
    const codes = this.geo.country(ip) as string[];
    if (ofSource) this.facts.sourceGeoIp = codes;
    else this.facts.destinationGeoIp = codes;
    return codes;
  }

  /** The number of one end's autonomous system, or -1; what the database says is kept in the facts, for reports. */
  asn(source: boolean, ip: IpAddress): number {
    const ofSource = source !== this.swapped;
    const known = ofSource ? this.facts.sourceIpAsn : this.facts.destinationIpAsn;
    if (known !== "") return Number.parseInt(known, 10);
    const found = this.geo.asn(ip);
    if (found === undefined) return -1;
    const text = found.number + " " + found.organisation;
    if (ofSource) this.facts.sourceIpAsn = text;
    else this.facts.destinationIpAsn = text;
    return found.number;
  }

  /** The process's name in lower case. */
  foldedProcess(): string {
    if (this.facts.process !== this.#process) {
      this.#process = this.facts.process;
      this.#foldedProcess = this.#process.toLowerCase();
    }
    return this.#foldedProcess;
  }

  /** The process's path in lower case. */
  foldedPath(): string {
    if (this.facts.processPath !== this.#path) {
      this.#path = this.facts.processPath;
      this.#foldedPath = this.#path.toLowerCase();
    }
    return this.#foldedPath;
  }
}
