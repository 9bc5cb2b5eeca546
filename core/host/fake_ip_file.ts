/** Fake addresses across restarts, as Clash's `profile.store-fake-ip` wants it: programs and caches still use the old ones. */
import { dirname, join } from "node:path";
import { FAKE_IP_FILE_BYTES_MAX } from "../base/limits.ts";
import type { FakeIpState } from "../dns/fake_ip_pool.ts";

/** Where they are kept: beside the configuration. */
export function fakeIpPath(configFile: string): string {
  return join(dirname(configFile), "weir-fake-ip.json");
}

function isState(value: unknown): value is FakeIpState {
  if (typeof value !== "object" || value === null) return false;
  const { range, next, entries } = value as Partial<Record<keyof FakeIpState, unknown>>;
  const isEntry = (entry: unknown) =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "number" && typeof entry[1] === "string";
  return typeof range === "string" && typeof next === "number" && Array.isArray(entries) && entries.every(isEntry);
}

/** What was kept; undefined when nothing was, or nothing that can be read. */
export async function readFakeIps(path: string): Promise<FakeIpState | undefined> {
  try {
    if ((await Deno.stat(path)).size > FAKE_IP_FILE_BYTES_MAX) return undefined;
    const state: unknown = JSON.parse(await Deno.readTextFile(path));
    return isState(state) ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps them. Errors: an Error when the file cannot be written. */
export async function writeFakeIps(path: string, state: FakeIpState): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, JSON.stringify(state));
  await Deno.rename(`${path}.new`, path);
}
