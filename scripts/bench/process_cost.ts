/** What this program costs: processor time and memory. */
import process from "node:process";

/** Processor time of this program so far: what others do on the machine does not count. Units: s. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Collects what nobody holds, where that can be asked for. */
export function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/** Objects and buffers that are held. Units: bytes. */
export function heapBytes(): number {
  collect();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Memory of this process that is in the machine's. Units: bytes. */
export function residentBytes(): number {
  collect();
  return Deno.memoryUsage().rss;
}
