/**
 * The rules of iptables that hand packets to weir, made and removed by weir.
 *
 * Read first: iptables(8), iptables-extensions(8) (NFQUEUE, mark). In the table `mangle` stand two chains a queue: `weir-out-N`, which OUTPUT jumps to, and
 * `weir-in-N`, which INPUT jumps to. Our own packets leave them by their mark; the loopback is seen on its way out only, as WinDivert has it.
 * With --queue-bypass packets pass while nobody listens: a weir that was killed cuts nothing off, and the next one takes its chains away.
 */
import { formatPrefix, type IpPrefix } from "../../core/base/ip_address.ts";
import { type Narrowing, ruleArguments } from "./nfqueue_narrowing.ts";

const CHAIN = /^-N (weir-(?:out|in)-(\d+))$/;
const HOOKS = { out: "OUTPUT", in: "INPUT" } as const;

/** What a finished call of iptables left. */
export interface TableAnswer {
  readonly ok: boolean;
  readonly out: string;
  readonly error: string;
}

/** Runs iptables (4) or ip6tables (6) on the table `mangle` of the right network namespace. */
export type RunTables = (version: 4 | 6, args: readonly string[]) => TableAnswer;

/** What is handed over. */
export interface QueueRules {
  readonly queue: number;
  readonly mark: number;
  readonly alternatives: readonly Narrowing[];
  /** Packets to these pass. */
  readonly excludes: readonly IpPrefix[];
}

function must(run: RunTables, version: 4 | 6, ...args: string[]): void {
  const { ok, error } = run(version, args);
  if (!ok) {
    throw new Error(
      `Cannot set up ${version === 4 ? "iptables" : "ip6tables"} ${args.join(" ")}: ${error.trim() || "it failed"}`,
    );
  }
}

/** The rules of one chain, our own packets first. */
export function chainRules(rules: QueueRules, version: 4 | 6, isOutbound: boolean): string[][] {
  const hex = `0x${rules.mark.toString(16)}`;
  const list: string[][] = [["-m", "mark", "--mark", hex, "-j", "RETURN"]];
  for (const prefix of rules.excludes) {
    if (prefix.address.version !== version) continue;
    list.push([isOutbound ? "-d" : "-s", formatPrefix(prefix), "-j", "RETURN"]);
  }
  const queue = ["-j", "NFQUEUE", "--queue-num", String(rules.queue), "--queue-bypass"];
  let count = 0;
  for (const narrowing of rules.alternatives) {
    const args = ruleArguments(narrowing, version, isOutbound);
    if (args === undefined) continue;
    list.push([...args, ...queue]);
    count++;
  }
  return count === 0 ? [] : list;
}

/** Makes the rules. Shape: what takes them away again. Errors: an Error that says which call failed; nothing is left behind then. */
export function addRules(rules: QueueRules, versions: readonly (4 | 6)[], run: RunTables): () => void {
  try {
    for (const version of versions) {
      for (const way of ["out", "in"] as const) {
        const list = chainRules(rules, version, way === "out");
        if (list.length === 0) continue;
        const chain = `weir-${way}-${rules.queue}`;
        must(run, version, "-N", chain);
        for (const rule of list) must(run, version, "-A", chain, ...rule);
        // Last, so that packets come only once everything stands.
        must(run, version, "-A", HOOKS[way], ...(way === "in" ? ["!", "-i", "lo"] : []), "-j", chain);
      }
    }
  } catch (error) {
    for (const version of versions) removeChains(version, run, (queue) => queue === rules.queue);
    throw error;
  }
  return () => {
    for (const version of versions) removeChains(version, run, (queue) => queue === rules.queue);
  };
}

/** Takes chains away, and the jumps to them. `isOurs` is asked about the queue of each. */
export function removeChains(version: 4 | 6, run: RunTables, isOurs: (queue: number) => boolean): void {
  const { ok, out } = run(version, ["-S"]);
  if (!ok) return;
  const lines = out.split("\n").map((line) => line.trim());
  for (const line of lines) {
    const [, chain, queue] = CHAIN.exec(line) ?? [];
    if (chain === undefined || !isOurs(Number(queue))) continue;
    for (const jump of lines) {
      if (jump.startsWith("-A ") && jump.endsWith(` -j ${chain}`)) run(version, ["-D", ...jump.slice(3).split(" ")]);
    }
    run(version, ["-F", chain]);
    run(version, ["-X", chain]);
  }
}

/** Runs the system's own iptables. It belongs to the network namespace that this thread is in. */
export function runSystemTables(version: 4 | 6, args: readonly string[]): TableAnswer {
  const program = version === 4 ? "iptables" : "ip6tables";
  try {
    const { success, stdout, stderr } = new Deno.Command(program, {
      args: ["-w", "5", "-t", "mangle", ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).outputSync();
    const decoder = new TextDecoder();
    return { ok: success, out: decoder.decode(stdout), error: decoder.decode(stderr) };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { ok: false, out: "", error: `${program} is not installed` };
  }
}
