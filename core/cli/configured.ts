/** Loads a configuration and its policy for the commands that look at them. */
import type { Metadata } from "../classify/facts.ts";
import type { ConfigFiles } from "../config/files.ts";
import { loadConfig, type WeirConfig } from "../config/load.ts";
import type { Issue } from "../config/issue.ts";
import type { Question } from "../dns/message.ts";
import type { AskedDns } from "../host/dns_service.ts";
import type { PolicyAnswer, PolicyRuleLine } from "../host/policy_runner.ts";

/** A policy as far as these commands need it; `PolicyHost` is one. */
export interface LoadedPolicy {
  readonly ruleLines: readonly PolicyRuleLine[];
  readonly hasOnConnection: boolean;
  ask(metadata: Metadata): Promise<PolicyAnswer>;
  /** Asks about a question of an application; undefined leaves it to the configuration. */
  askDns?(question: Question): Promise<AskedDns | undefined>;
  close(): Promise<void>;
}

/** Loads a policy script; `PolicyHost.load` does. */
export type LoadPolicy = (path: string) => Promise<{ host?: LoadedPolicy; issues: readonly Issue[] }>;

/** What came of loading. `config` is absent when it cannot be used. Close the policy when done. */
export interface Configured {
  readonly config: WeirConfig | undefined;
  readonly policy: LoadedPolicy | undefined;
  readonly issues: readonly Issue[];
  /** Every file that was read, the configuration first, the policy last. */
  readonly files: readonly string[];
  readonly errorCount: number;
}

/** Reads both; a policy named on the command line goes before the one that the configuration names. */
export async function loadConfigured(
  paths: { readonly config: string | undefined; readonly policy: string | undefined },
  files: ConfigFiles,
  loadPolicy: LoadPolicy,
): Promise<Configured> {
  const read: string[] = [];
  const recorder: ConfigFiles = {
    resolve: (base, path) => files.resolve(base, path),
    read: async (path, bytesMax) => {
      const bytes = await files.read(path, bytesMax);
      if (!read.includes(path)) read.push(path);
      return bytes;
    },
  };
  let script: Awaited<ReturnType<LoadPolicy>> = { issues: [] };
  let scriptPath: string | undefined;
  const load = async (path: string | undefined) => {
    scriptPath = path;
    if (path !== undefined) script = await loadPolicy(path);
    return script.host?.ruleLines ?? [];
  };
  const loaded = await loadConfig(paths.config, recorder, { scriptRules: (path) => load(paths.policy ?? path) });
  // A configuration that is not even YAML never gets as far as its policy; its mistakes are wanted all the same.
  if (scriptPath === undefined && paths.policy !== undefined) await load(paths.policy);
  const issues = [...loaded.issues, ...script.issues];
  const errorCount = issues.filter((issue) => issue.severity === "error").length;
  if (scriptPath !== undefined) read.push(scriptPath);
  return {
    config: errorCount > 0 ? undefined : loaded.config,
    policy: script.host,
    issues,
    files: read,
    errorCount,
  };
}
