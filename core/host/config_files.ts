/** Files of a configuration, read with Deno. */
import { dirname, resolve } from "node:path";
import { ConfigFileError, type ConfigFiles, type RemoteFile } from "../config/files.ts";
import { downloadCopy } from "./download_copy.ts";

/** The real file system. */
export class HostConfigFiles implements ConfigFiles {
  async read(path: string, bytesMax: number): Promise<Uint8Array> {
    try {
      using file = await Deno.open(path, { read: true });
      const { isDirectory } = await file.stat();
      if (isDirectory) throw new ConfigFileError("it is a folder, expected a file");
      return await readBounded(file, bytesMax);
    } catch (error) {
      throw error instanceof ConfigFileError ? error : explained(error);
    }
  }

  resolve(base: string, path: string): string {
    return resolve(dirname(base), path);
  }

  async download(remote: RemoteFile, path: string, bytesMax: number): Promise<string | undefined> {
    return await downloadCopy(remote, path, bytesMax);
  }
}

/** Reads to the end, whatever size the file claims: devices and pipes claim none. */
async function readBounded(file: Deno.FsFile, bytesMax: number): Promise<Uint8Array> {
  const { isFile, size } = await file.stat();
  const tooLarge = () => new ConfigFileError(`it is larger than ${bytesMax} bytes`);
  if (isFile && size > bytesMax) throw tooLarge();
  let buffer = new Uint8Array(isFile ? size + 1 : 65_536);
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2);
      larger.set(buffer);
      buffer = larger;
    }
    const count = await file.read(buffer.subarray(length));
    if (count === null) return buffer.subarray(0, length);
    length += count;
    if (length > bytesMax) throw tooLarge();
  }
}

function explained(error: unknown): ConfigFileError {
  if (error instanceof Deno.errors.NotFound) return new ConfigFileError("there is no such file", true);
  // A name below a file ("a.yaml/b") is as absent as any other.
  if (error instanceof Deno.errors.NotADirectory) return new ConfigFileError("there is no such file", true);
  if (error instanceof Deno.errors.PermissionDenied) return new ConfigFileError("access is denied");
  if (error instanceof Deno.errors.NotCapable) {
    return new ConfigFileError("weir was started without permission to read it");
  }
  const text = error instanceof Error ? error.message.replace(/: open '.*'$|, open '.*'$/, "") : String(error);
  return new ConfigFileError(/is a directory/i.test(text) ? "it is a folder, expected a file" : text);
}
