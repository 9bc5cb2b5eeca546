/** Copies of remote lists: fetched when they are too old, kept when they cannot be had. Read first: RFC 9110 sections 8.8.3 and 13.1.2 (entity tags). */
import { dirname } from "node:path";
import { DOWNLOAD_MS_MAX } from "../base/limits.ts";
import { ConfigFileError, type RemoteFile } from "../config/files.ts";

/** What is remembered of a copy, in a file beside it. */
interface CopyNote {
  readonly url: string;
  readonly etag: string;
}

async function ageOf(path: string): Promise<number | undefined> {
  try {
    const { mtime } = await Deno.stat(path);
    return mtime === null ? undefined : (Date.now() - mtime.getTime()) / 1000;
  } catch {
    return undefined;
  }
}

async function readNote(path: string): Promise<CopyNote | undefined> {
  try {
    const note = JSON.parse(await Deno.readTextFile(`${path}.etag`)) as Partial<CopyNote>;
    return typeof note.url === "string" && typeof note.etag === "string"
      ? { url: note.url, etag: note.etag }
      : undefined;
  } catch {
    return undefined;
  }
}

/** The whole body, as far as it is allowed to go. Errors: an Error when it goes further. */
async function readBody(response: Response, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Fetches and stores. Errors: an Error that says why not; the copy is as it was then. */
async function refresh(remote: RemoteFile, path: string, hasCopy: boolean, bytesMax: number): Promise<void> {
  const note = hasCopy ? await readNote(path) : undefined;
  const headers = new Headers(remote.headers.map(([name, value]) => [name, value] as [string, string]));
  if (note !== undefined && note.url === remote.url) headers.set("If-None-Match", note.etag);
  const response = await fetch(remote.url, { headers, signal: AbortSignal.timeout(DOWNLOAD_MS_MAX) });
  if (response.status === 304 && hasCopy) {
    await response.body?.cancel();
    return await Deno.utime(path, new Date(), new Date());
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the server answered ${response.status}`);
  }
  const bytes = await readBody(response, bytesMax);
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeFile(`${path}.new`, bytes);
  await Deno.rename(`${path}.new`, path);
  const etag = response.headers.get("etag");
  if (etag === null) await Deno.remove(`${path}.etag`).catch(() => {});
  else await Deno.writeTextFile(`${path}.etag`, JSON.stringify({ url: remote.url, etag } satisfies CopyNote));
}

/** The URL without what may be secret. */
function hostOf(url: string): string {
  return new URL(url).host;
}

/** Makes a copy what its original is, unless it is young enough. See `ConfigFiles.download`. */
export async function downloadCopy(remote: RemoteFile, path: string, bytesMax: number): Promise<string | undefined> {
  const age = await ageOf(path);
  if (age !== undefined && (remote.intervalS === 0 || age < remote.intervalS)) return undefined;
  try {
    await refresh(remote, path, age !== undefined, bytesMax);
    return undefined;
  } catch (error) {
    const why = `${hostOf(remote.url)}: ${error instanceof Error ? error.message : String(error)}`.replaceAll(
      remote.url,
      "…",
    );
    if (age !== undefined) return why;
    throw new ConfigFileError(why);
  }
}
