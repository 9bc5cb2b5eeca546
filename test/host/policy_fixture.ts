/** Writes policies into a folder of their own and loads them. */
import { emptyFacts, type Metadata, toMetadata } from "../../core/classify/facts.ts";
import { PolicyHost, type PolicyIssue, type PolicyLog, type PolicyOptions } from "../../core/host/policy_host.ts";

/** A flow to ask about. */
export function meta(fields: Partial<Metadata> = {}): Metadata {
  return { ...toMetadata(emptyFacts("tcp")), ...fields };
}

/** What a test sees of a policy. */
export interface Loaded {
  readonly host: PolicyHost | undefined;
  /** What `load` said; then what was told while it ran. */
  readonly issues: PolicyIssue[];
  readonly told: PolicyIssue[];
  readonly logs: PolicyLog[];
  /** Writes one of the files anew. */
  write(name: string, text: string): Promise<void>;
}

/** Writes `files`, loads `policy.ts` among them (or `files` itself, if it is a text) and cleans up. */
export async function withPolicy(
  files: string | Record<string, string>,
  options: PolicyOptions,
  test: (loaded: Loaded) => Promise<void> | void,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "weir-policy-" });
  const write = async (name: string, text: string) => {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  };
  let host: PolicyHost | undefined;
  try {
    for (const [name, text] of Object.entries(typeof files === "string" ? { "policy.ts": files } : files)) {
      await write(name, text);
    }
    const told: PolicyIssue[] = [];
    const logs: PolicyLog[] = [];
    const loaded = await PolicyHost.load(`${folder}/policy.ts`, {
      ...options,
      onIssue: (issue) => told.push(short(issue, folder)),
      onLog: (log) => logs.push({ ...log, file: log.file.replace(`${folder}/`, "") }),
    });
    host = loaded.host;
    await test({ host, issues: loaded.issues.map((issue) => short(issue, folder)), told, logs, write });
  } finally {
    await host?.close();
    await Deno.remove(folder, { recursive: true });
  }
}

function short(issue: PolicyIssue, folder: string): PolicyIssue {
  return { ...issue, file: issue.file.replace(`${folder}/`, "") };
}

/** `file:line:column message`, the way people read it. */
export function line({ file, line, column, message }: PolicyIssue): string {
  return `${file}:${line}:${column} ${message}`;
}

/** Waits until `done` is so; fails loudly after two seconds. */
export async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 2_000;
  while (!done()) {
    if (performance.now() > end) throw new Error("it did not happen within 2 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
