/** A file system in memory for tests of configurations. */
import { ConfigFileError, type ConfigFiles } from "../../core/config/files.ts";

/** Files by their full path; folders exist as far as files are in them. */
export class MemoryFiles implements ConfigFiles {
  readonly #files: ReadonlyMap<string, string | Uint8Array>;
  /** Every path that was read. */
  readonly reads: string[] = [];

  constructor(files: Readonly<Record<string, string | Uint8Array>>) {
    this.#files = new Map(Object.entries(files));
  }

  read(path: string, bytesMax: number): Promise<Uint8Array> {
    this.reads.push(path);
    const content = this.#files.get(path);
    if (content === undefined) {
      const isFolder = [...this.#files.keys()].some((file) => file.startsWith(`${path}/`));
      return Promise.reject(
        isFolder
          ? new ConfigFileError("it is a folder, expected a file")
          : new ConfigFileError("there is no such file", true),
      );
    }
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (bytes.length > bytesMax) return Promise.reject(new ConfigFileError(`it is larger than ${bytesMax} bytes`));
    return Promise.resolve(bytes);
  }

  resolve(base: string, path: string): string {
    if (path.startsWith("/")) return path;
    const folder = base.includes("/") ? base.slice(0, base.lastIndexOf("/") + 1) : "";
    return folder + path.replace(/^\.\//, "");
  }
}
