/** `weir explain`: decides one made-up flow and shows each rule that was tried; or shows the filter of a diverting device. */
import { formatIp, type IpAddress } from "../base/ip_address.ts";
import { type FlowFacts, Lookup, ruleHost, toMetadata } from "../classify/facts.ts";
import { deriveDivertFilter } from "../config/divert_filter.ts";
import type { ConfigFiles } from "../config/files.ts";
import type { Decider } from "../decide/decider.ts";
import { Deliberation, Stage } from "../decide/deliberation.ts";
import { programText } from "../decide/packet_program.ts";
import type { ExplainStep } from "../decide/verdict.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import { renderIssue } from "./check.ts";
import { loadConfigured, type LoadedPolicy, type LoadPolicy } from "./configured.ts";
import { explainFilterResult, renderExplainFilter } from "./explain_filter.ts";
import type { ExplainResult } from "./explain_result.ts";
import { renderExplain } from "./explain_text.ts";
import { factsFromArguments } from "./flow_arguments.ts";
import type { CommandIo } from "./io.ts";
import { type NamedPrograms, programOf } from "./run_policy.ts";
import { painter } from "./report/paint.ts";

/** What the command needs of the machine. */
export interface ExplainDoors {
  readonly files: ConfigFiles;
  readonly loadPolicy: LoadPolicy;
  /** The addresses of a host. Errors: an Error that says why there are none. */
  readonly resolve: (host: string) => Promise<readonly IpAddress[]>;
  /** A monotonic clock. Units: µs. */
  readonly clock: () => number;
}

/** What explaining needs: lookups, a clock, and the packet programs that a policy may name. */
export interface ExplainWorld extends Pick<ExplainDoors, "resolve" | "clock"> {
  readonly programs?: NamedPrograms | undefined;
}

/** Runs `weir explain`. */
export async function explainCommand(args: readonly string[], io: CommandIo, doors: ExplainDoors): Promise<number> {
  const line = parseCommandLine(args, { flags: ["json", "filter"], values: ["config", "policy"] });
  const wantsFilter = line.flag("filter");
  if (line.positionals.length === 0 && !wantsFilter) {
    throw new UsageError("Cannot explain nothing: expected key=value, like host=example.org destinationPort=443");
  }
  if (line.positionals.length > 0 && wantsFilter) {
    throw new UsageError("Cannot explain a flow and the filter at once: expected --filter or key=value");
  }
  const facts = factsFromArguments(line.positionals);
  const paths = { config: line.value("config"), policy: line.value("policy") };
  const { config, policy, issues } = await loadConfigured(paths, doors.files, doors.loadPolicy);
  try {
    const paint = painter(io.color);
    for (const issue of issues) io.err(`${renderIssue(issue, paint)}\n`);
    if (config === undefined) return 2;
    if (wantsFilter) {
      const hasPolicy = policy?.hasOnConnection === true;
      const result = explainFilterResult(deriveDivertFilter(config, { hasPolicy }));
      io.out(
        line.flag("json") ? `${JSON.stringify(result, null, 2)}\n` : renderExplainFilter(result, io.columns, paint),
      );
      return 0;
    }
    const result = await explainFlow(facts, config.decider, policy, { ...doors, programs: config.decide.programs });
    if (line.flag("json")) io.out(`${JSON.stringify(result, null, 2)}\n`);
    else io.out(renderExplain(result, io.columns, paint));
    return 0;
  } finally {
    await policy?.close();
  }
}

/** Decides a flow with live lookups, each measured, and tells every step. */
export async function explainFlow(
  facts: FlowFacts,
  decider: Decider,
  policy: LoadedPolicy | undefined,
  doors: ExplainWorld,
): Promise<ExplainResult> {
  const deliberation = new Deliberation(policy?.hasOnConnection === true);
  const lookups: ExplainStep[] = [];
  const asked: ExplainStep[] = [];
  for (;;) {
    const stage = deliberation.advance(facts, decider);
    if (stage === Stage.Decided) break;
    if (stage === Stage.Process) {
      facts.processLookup = Lookup.Failed;
      lookups.push(step("lookup", "process", "", "unknown", "the lookup failed: no process was given"));
    } else if (stage === Stage.Resolve) lookups.push(await resolveHost(facts, doors));
    else if (stage === Stage.Policy) asked.push(await askPolicy(facts, policy!, deliberation, decider, doors));
    else facts.nameMayCome = false; // a made-up flow has no bytes that could bring a name
  }
  const { verdict } = deliberation;
  const told = verdict.rule === "Policy" ? [] : decider.explain(facts);
  const result: ExplainResult = {
    schema: "weir.explain/1",
    metadata: toMetadata(facts),
    verdict: verdict.action,
    rule: verdict.rule,
    rulePayload: verdict.rulePayload,
    chains: verdict.chains,
    steps: joinSteps(told, lookups, asked),
  };
  if (verdict.effects !== undefined) result.program = programText(verdict.effects.program);
  return result;
}

function step(
  kind: ExplainStep["kind"],
  type: string,
  target: string,
  outcome: ExplainStep["outcome"],
  why: string,
  costUs?: number,
): ExplainStep {
  const plain = { kind, type, payload: "", target, outcome, why };
  return costUs === undefined ? plain : { ...plain, costUs };
}

/** What the decider tells of hosts and lookups comes first, with what was measured; then the policy; then the rules. */
function joinSteps(
  told: readonly ExplainStep[],
  lookups: readonly ExplainStep[],
  asked: readonly ExplainStep[],
): ExplainStep[] {
  const measured = new Set(lookups.map((each) => each.type));
  const before = told.filter(({ kind, type }) => kind === "hosts" || (kind === "lookup" && !measured.has(type)));
  const after = told.filter(({ kind }) => kind !== "hosts" && kind !== "lookup");
  return [...before, ...lookups, ...asked, ...after];
}

async function resolveHost(facts: FlowFacts, doors: Pick<ExplainDoors, "resolve" | "clock">): Promise<ExplainStep> {
  const host = ruleHost(facts);
  const began = doors.clock();
  let found: readonly IpAddress[] = [];
  let why = "it has no address";
  try {
    found = await doors.resolve(host);
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  const costUs = Math.round(doors.clock() - began);
  const ip = found.find((address) => address.version === 4) ?? found[0];
  facts.resolveLookup = ip === undefined ? Lookup.Failed : Lookup.Done;
  if (ip === undefined) {
    return step("lookup", "resolve", "", "unknown", `${host} could not be resolved: ${why}`, costUs);
  }
  facts.destinationIp = ip;
  return step("lookup", "resolve", "", "matched", `${host} resolved to ${formatIp(ip)}`, costUs);
}

async function askPolicy(
  facts: FlowFacts,
  policy: LoadedPolicy,
  deliberation: Deliberation,
  decider: Decider,
  { clock, programs }: ExplainWorld,
): Promise<ExplainStep> {
  const began = clock();
  const answer = await policy.ask(toMetadata(facts));
  const costUs = Math.round(clock() - began);
  const told = (outcome: ExplainStep["outcome"], why: string, target = "") =>
    step("policy", "onConnection", target, outcome, why, costUs);
  if (answer.kind !== "verdict") {
    deliberation.answerPolicy(undefined, undefined, facts, decider);
    if (answer.kind === "rules") return told("mismatch", "the policy leaves it to the rules");
    const { file, line, column, message } = answer.issue;
    return told("unknown", `the policy failed, so the rules decide: ${file}:${line}:${column}: ${message}`);
  }
  const { via } = answer;
  const program = programOf(answer.program, programs);
  deliberation.answerPolicy(via, program === undefined ? undefined : { program }, facts, decider);
  const effect = program !== undefined
    ? `; ${programText(program)}`
    : answer.program === undefined
    ? ""
    : `; there is no packet program ${JSON.stringify(answer.program)} under weir.programs`;
  if (via === undefined) return told("mismatch", `the policy leaves the target to the rules${effect}`);
  const isTaken = deliberation.verdict.rule === "Policy";
  if (isTaken) return told("matched", `the policy says ${via}${effect}`, via);
  return told("targetMissing", `the policy says ${via}, which is missing or cannot carry this flow${effect}`, via);
}
