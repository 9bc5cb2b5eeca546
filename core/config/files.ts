/** The border to the file system, and how a configuration reads its files. */
import type { IssueList, Place } from "./issue.ts";
import { shorten } from "./yaml_tree.ts";
import { decodeUtf8, SourceText } from "./source_text.ts";

/** Raised when a file cannot be read. `absent` tells "there is no such file" from everything else. */
export class ConfigFileError extends Error {
  override name = "ConfigFileError";
  readonly absent: boolean;

  constructor(message: string, absent = false) {
    super(message);
    this.absent = absent;
  }
}

/** What reads files for a configuration. */
export interface ConfigFiles {
  /**
   * The bytes of a file.
   * Errors: `ConfigFileError` with a state like "there is no such file", without the path. Files larger than `bytesMax` are refused.
   */
  read(path: string, bytesMax: number): Promise<Uint8Array>;
  /** The full path of `path` as seen from the folder of the file `base`. */
  resolve(base: string, path: string): string;
  /**
   * Makes the file at `path` what `remote` has, unless the copy there is young enough.
   * Errors: `ConfigFileError` when there is no copy afterwards. Returns a sentence when an old copy stays because the new one could not be had.
   */
  download?(remote: RemoteFile, path: string, bytesMax: number): Promise<string | undefined>;
}

/** A file that lies elsewhere. */
export interface RemoteFile {
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** How old a copy may be. Units: s; 0: one copy will do for ever. */
  readonly intervalS: number;
  /** Where the URL is written. */
  readonly place: Place;
}

/** Where the copy of a remote file lies when the configuration does not say. */
export function defaultCopyPath(url: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < url.length; i++) {
    hash = (hash ^ BigInt(url.charCodeAt(i))) * 0x100000001b3n & 0xffff_ffff_ffff_ffffn;
  }
  return `providers/${hash.toString(16).padStart(16, "0")}`;
}

/** Fetches a remote file to where its copy lies. Errors: reported where the URL is written. False: there is no copy. */
export async function fetchCopy(
  files: ConfigFiles,
  remote: RemoteFile,
  base: string,
  wish: FileWish,
  issues: IssueList,
): Promise<boolean> {
  // The folder with the separator at its end, whatever that is here.
  const folder = files.resolve(base, "x").slice(0, -1);
  if (!wish.path.startsWith(folder)) {
    issues.error(
      wish.place,
      `Cannot write ${wish.what} to ${shorten(wish.path)}: expected a path below the configuration's folder`,
    );
    return false;
  }
  if (files.download === undefined) {
    issues.error(remote.place, `Cannot fetch ${wish.what}: nothing is downloaded here`);
    return false;
  }
  try {
    const trouble = await files.download(remote, wish.path, wish.bytesMax);
    if (trouble !== undefined) issues.warning(remote.place, `${wish.what} stays as it was: ${trouble}`);
    return true;
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    issues.error(remote.place, `Cannot fetch ${wish.what}: ${error.message}`);
    return false;
  }
}

/** Who asks for a file: where the path is written, and what it is for. */
export interface FileWish {
  readonly path: string;
  readonly place: Place;
  readonly what: string;
  readonly bytesMax: number;
}

/** Reads a file's bytes. Errors: reported where the path is written, naming the full path. */
export async function readBytes(
  files: ConfigFiles,
  wish: FileWish,
  issues: IssueList,
): Promise<Uint8Array | undefined> {
  try {
    return await files.read(wish.path, wish.bytesMax);
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    issues.error(wish.place, `Cannot read ${wish.what} ${shorten(wish.path)}: ${error.message}`);
    return undefined;
  }
}

/** Reads a UTF-8 file. Errors: reported, where the path is written or where the file stops being UTF-8. */
export async function readText(files: ConfigFiles, wish: FileWish, issues: IssueList): Promise<SourceText | undefined> {
  const bytes = await readBytes(files, wish, issues);
  if (bytes === undefined) return undefined;
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return new SourceText(wish.path, decoded.text);
  const place = new SourceText(wish.path, decoded.textBefore).place(decoded.textBefore.length);
  issues.error(place, `Cannot read ${wish.what}: found bytes that are not UTF-8, expected text in UTF-8`);
  return undefined;
}
