/** Fake addresses across restarts, as Clash's `profile.store-fake-ip` wants it: programs and caches still use the old ones. */
import { dirname, join } from "node:path";
import { FAKE_IP_FILE_BYTES_MAX, FAKE_IP_KEEP_MS } from "../base/limits.ts";
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

/** Keeps fake addresses while weir runs: what ends it may leave it no time to. */
export class FakeIpKeeper {
  readonly #path: string;
  readonly #stateOf: () => FakeIpState | undefined;
  readonly #onFailure: (message: string) => void;
  #timer: ReturnType<typeof setInterval> | undefined = undefined;
  #kept = "";
  #writing: Promise<void> = Promise.resolve();

  /** `onFailure` hears each time that the file cannot be written. */
  constructor(path: string, stateOf: () => FakeIpState | undefined, onFailure: (message: string) => void) {
    this.#path = path;
    this.#stateOf = stateOf;
    this.#onFailure = onFailure;
  }

  /** Writes every now and then from now on. */
  start(): void {
    this.#timer = setInterval(() => void this.keep(), FAKE_IP_KEEP_MS);
  }

  /** Writes what is new since the last time. Never rejects. */
  keep(): Promise<void> {
    return this.#writing = this.#writing.then(() => this.#write()).catch((error: Error) =>
      this.#onFailure(`Cannot keep fake addresses in ${this.#path}: ${error.message}`)
    );
  }

  async #write(): Promise<void> {
    const state = this.#stateOf();
    if (state === undefined) return;
    // A new name changes one or the other; in which order names were used is not worth a write.
    const sign = `${state.next} ${state.entries.length}`;
    if (sign === this.#kept) return;
    await writeFakeIps(this.#path, state);
    this.#kept = sign;
  }

  /** Writes once more and stops. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.keep();
  }
}
