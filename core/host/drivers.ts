/** Driver libraries that weir needs on Windows: found beside the executable, or unpacked from it. */
import { DRIVER_BYTES_MAX } from "../base/limits.ts";
import type { DriverFile } from "./machine_facts.ts";

/** Where drivers are looked for, in this order. */
export interface DriverPlaces {
  /** The folder of the executable. */
  readonly programFolder: string;
  /** The folder inside the executable, with its manifest; undefined when nothing is embedded. */
  readonly embedded: URL | undefined;
  /** A folder of the user's own that embedded files are unpacked to. */
  readonly unpackFolder: string;
}

/** What `deno task compile --with-drivers` writes beside the embedded files. Shape: SHA-256 in lower-case hex by file name. */
export interface DriverManifest {
  readonly files: Readonly<Record<string, string>>;
}

/** The manifest's name in the embedded folder. */
export const DRIVER_MANIFEST = "manifest.json";

/** What belongs together: a library and the files that must lie beside it. */
const COMPANIONS: Readonly<Record<string, readonly string[]>> = { "WinDivert.dll": ["WinDivert64.sys"] };

/** SHA-256 in lower-case hex. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    if ((await Deno.stat(path)).size > DRIVER_BYTES_MAX) return undefined;
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function join(folder: string, name: string): string {
  const separator = folder.includes("\\") ? "\\" : "/";
  return folder.endsWith(separator) ? `${folder}${name}` : `${folder}${separator}${name}`;
}

/** Reads the manifest of the embedded drivers; undefined when there are none. Errors: an Error when it is damaged. */
async function readManifest(embedded: URL): Promise<DriverManifest | undefined> {
  const bytes = await readFile(new URL(DRIVER_MANIFEST, embedded));
  if (bytes === undefined) return undefined;
  const manifest = JSON.parse(new TextDecoder().decode(bytes)) as Partial<DriverManifest>;
  if (typeof manifest.files !== "object" || manifest.files === null) {
    throw new Error("Cannot read the embedded drivers: their manifest is damaged; compile weir once more");
  }
  return { files: manifest.files };
}

/** Unpacks one embedded file unless the same one is there already. Errors: an Error when what is embedded or written is not what the manifest says. */
async function unpack(name: string, embedded: URL, sha256: string, folder: string): Promise<string> {
  const path = join(folder, name);
  const there = await readFile(path);
  if (there !== undefined && await sha256Hex(there) === sha256) return path;
  const bytes = await readFile(new URL(name, embedded));
  if (bytes === undefined || await sha256Hex(bytes) !== sha256) {
    throw new Error(
      `Cannot unpack ${name}: what is embedded does not have the SHA-256 ${sha256}; compile weir once more`,
    );
  }
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  await Deno.writeFile(path, bytes, { mode: 0o600 });
  const written = await readFile(path);
  if (written === undefined || await sha256Hex(written) !== sha256) {
    throw new Error(`Cannot unpack ${name}: ${path} is not what was written; does another program guard that folder?`);
  }
  return path;
}

/** Finds a library, unpacking it when it is embedded. Errors: an Error when it is embedded and cannot be unpacked soundly. */
export async function locateDriver(name: string, places: DriverPlaces): Promise<DriverFile> {
  const beside = join(places.programFolder, name);
  const bytes = await readFile(beside);
  if (bytes !== undefined) {
    return { name, path: beside, isEmbedded: false, sha256: await sha256Hex(bytes), failure: undefined };
  }
  const manifest = places.embedded === undefined ? undefined : await readManifest(places.embedded);
  const sha256 = manifest?.files[name];
  if (places.embedded === undefined || manifest === undefined || sha256 === undefined) {
    return { name, path: undefined, isEmbedded: false, sha256: undefined, failure: undefined };
  }
  const folder = join(places.unpackFolder, sha256.slice(0, 16));
  for (const companion of COMPANIONS[name] ?? []) {
    const hash = manifest.files[companion];
    if (hash !== undefined) await unpack(companion, places.embedded, hash, folder);
  }
  const path = await unpack(name, places.embedded, sha256, folder);
  return { name, path, isEmbedded: true, sha256, failure: undefined };
}
