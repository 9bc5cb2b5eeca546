/** A policy script as a test asks it: about flows that it makes up, and about names. */
import { formatIp } from "../core/base/ip_address.ts";
import { emptyFacts, type Metadata, toMetadata } from "../core/classify/facts.ts";
import { ReplaySetupError } from "../core/cli/replay.ts";
import { PolicyHost, type PolicyIssue } from "../core/host/policy_host.ts";
import type { PolicyRcode, ReadDnsAnswer } from "../core/policy/dns_answer.ts";

/** What `onConnection` said: a target, a packet program's name or "a program of its own", or nothing. */
export interface TestedVerdict {
  readonly via: string | undefined;
  readonly program: string | undefined;
}

const RCODES: Readonly<Record<string, PolicyRcode>> = {
  NOERROR: "success",
  REFUSED: "refused",
  NXDOMAIN: "nxdomain",
  SERVFAIL: "servfail",
};

/** A loaded policy; `await using` ends it. */
export class TestedPolicy implements AsyncDisposable {
  /** What went wrong while it was asked, each thing once. */
  readonly issues: PolicyIssue[];
  readonly #host: PolicyHost;

  private constructor(host: PolicyHost, issues: PolicyIssue[]) {
    this.#host = host;
    this.issues = issues;
  }

  /** Loads a script. Errors: `ReplaySetupError` with every mistake in it. */
  static async load(path: string): Promise<TestedPolicy> {
    const told: PolicyIssue[] = [];
    const { host, issues } = await PolicyHost.load(path, { onIssue: (issue) => told.push(issue) });
    if (host === undefined) throw new ReplaySetupError(issues);
    told.push(...issues);
    return new TestedPolicy(host, told);
  }

  /** The rules that the script made, as Clash writes them. */
  get rules(): string[] {
    return this.#host.ruleLines.map(({ text }) => text);
  }

  /** Asks `onConnection` about a flow; what is not given is empty. Undefined: the rules decide. */
  async ask(meta: Partial<Metadata>): Promise<TestedVerdict | undefined> {
    const network = meta.network === "udp" ? "udp" : "tcp";
    const answer = await this.#host.ask({ ...toMetadata(emptyFacts(network)), ...meta });
    if (answer.kind !== "verdict") return undefined;
    const { via, program } = answer;
    return { via, program: typeof program === "object" ? "a program of its own" : program };
  }

  /** Asks `onDns`, and answers in the words of a script. Undefined: the configuration answers. */
  async askDns(name: string, type = "A"): Promise<ReadDnsAnswer | undefined> {
    const verdict = await this.#host.askDns({ name, type });
    switch (verdict?.kind) {
      case undefined:
        return undefined;
      case "answer":
        return { answer: verdict.addresses.map(formatIp), ttl: verdict.ttl };
      case "rcode":
        return { rcode: RCODES[verdict.rcode]! };
      case "rewrite":
        return { rewrite: verdict.name };
      case "upstream":
        return { upstream: verdict.key.split("\n") };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#host.close();
  }
}
