/**
 * Sees when files change, by looking. Notifications of the system lose files that an editor replaces, and are not there on every file
 * system; a policy has few files, and looking at one costs microseconds.
 */

/** The files that were read last → what was in them; `undefined` for one that could not be read. */
export type Looked = ReadonlyMap<string, string | undefined>;

/** Looks at files until it is closed. */
export class FileWatch {
  readonly #intervalMs: number;
  /** Reads everything again. Shape: what it read. It must not reject. */
  readonly #reload: (closed: () => boolean) => Promise<Looked>;
  #looked: Looked;
  #signs = new Map<string, string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** Units: ms. */
  constructor(intervalMs: number, looked: Looked, reload: (closed: () => boolean) => Promise<Looked>) {
    this.#intervalMs = intervalMs;
    this.#looked = looked;
    this.#reload = reload;
    this.#next();
  }

  /** Stops looking. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #next(): void {
    if (!this.#closed) this.#timer = setTimeout(() => this.#look(), this.#intervalMs);
  }

  async #look(): Promise<void> {
    const before = this.#signs;
    this.#signs = await signsOf(this.#looked.keys());
    // A file that still changes is left alone until it rests; and only what it says counts, not that it was written.
    if (!same(before, this.#signs) || await this.#unchanged()) return this.#next();
    if (!this.#closed) this.#looked = await this.#reload(() => this.#closed);
    this.#signs = new Map();
    this.#next();
  }

  async #unchanged(): Promise<boolean> {
    for (const [path, text] of this.#looked) {
      if (await readText(path) !== text) return false;
    }
    return true;
  }
}

async function signsOf(paths: Iterable<string>): Promise<Map<string, string>> {
  const signs = new Map<string, string>();
  for (const path of paths) {
    try {
      const { mtime, size, ino } = await Deno.stat(path);
      signs.set(path, `${mtime?.getTime()} ${size} ${ino}`);
    } catch {
      signs.set(path, "");
    }
  }
  return signs;
}

function same(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([path, sign]) => b.get(path) === sign);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    if (!(await Deno.stat(path)).isFile) return undefined;
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
  } catch {
    return undefined;
  }
}
