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
