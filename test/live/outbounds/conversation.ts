/** What is said over one stream to the target, and what came of it in a few words. */
import { createHash } from "node:crypto";
import type { Duplex } from "../../../core/host/duplex.ts";
import { StreamReader, writeAll } from "../../../core/host/stream_reader.ts";
import { Pattern, patternSum, targetHead } from "./pattern.ts";

/** What a promise says in time, or `otherwise`. */
export async function within<T, U>(ms: number, promise: Promise<T>, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<U>((resolve) => timer = setTimeout(() => resolve(otherwise), ms));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first line of an error. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

async function sendPattern(stream: Duplex, bytes: number, seed: number): Promise<void> {
  const pattern = new Pattern(seed);
  for (let at = 0; at < bytes; at += Pattern.BYTES) {
    await writeAll(stream, pattern.next().slice(0, Math.min(Pattern.BYTES, bytes - at)));
  }
}

async function receivePattern(reader: StreamReader, bytes: number, seed: number): Promise<string> {
  const hash = createHash("sha256");
  for (let got = 0; got < bytes;) {
    const wanted = Math.min(Pattern.BYTES, bytes - got);
    const chunk = await reader.take(wanted);
    if (chunk === undefined) return `cut after ${got} bytes`;
    hash.update(chunk);
    got += chunk.length;
  }
  return hash.digest("hex") === patternSum(bytes, seed) ? "" : "other bytes";
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** So many bytes both ways at once. "" when both SHA-256 are right and the stream ends when the target ends it. */
export async function exchange(stream: Duplex, bytes: number, seed: number): Promise<string> {
  const reader = new StreamReader(stream);
  const send = async () => {
    await writeAll(stream, targetHead(0, 0, bytes, bytes, seed));
    await sendPattern(stream, bytes, seed + 1);
  };
  const [, down] = await Promise.all([send(), receivePattern(reader, bytes, seed)]);
  if (down !== "") return down;
  const sum = await reader.take(32);
  if (sum === undefined || hex(sum) !== patternSum(bytes, seed + 1)) return "other bytes at the target";
  return await reader.take(1) === undefined ? "" : "more than was sent";
}

/** What the application gets whose half is closed at once: "answer" comes once the target has seen that, "download" is under way anyhow. */
export async function closeHalf(stream: Duplex, kind: "answer" | "download", seed: number): Promise<string> {
  const down = kind === "answer" ? 300_000 : 50_000;
  const start = performance.now();
  await writeAll(stream, targetHead(kind === "answer" ? 1 : 3, kind === "answer" ? 0 : 2_500, 0, down, seed));
  await stream.closeWrite();
  const reader = new StreamReader(stream);
  const work = async () => {
    const result = await receivePattern(reader, down, seed).catch(() => "broken");
    if (result === "") return "kept";
    const seconds = (performance.now() - start) / 1000;
    return `${result.startsWith("cut") ? "ended" : result} ${seconds < 0.9 ? "at once" : "after 1 to 2 s"}`;
  };
  return await within(8_000, work(), "not told");
}
