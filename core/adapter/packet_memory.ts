/** One memory for packets and for the rings that their bytes come from and go to, with quick sums and copies inside it. */
import { BUFFER_POOL_KEPT_BYTES_MAX, SLOT_BYTES } from "../base/limits.ts";
import { RingRegion } from "../base/ring_region.ts";
import { createQuickSums, type QuickSums } from "./sum_module.ts";

const PAGE_BYTES = 65_536;

/** What an arena is made over. */
export interface PacketMemory {
  /** Shape: the slots, from the start of the memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The rest, for rings. */
  readonly rings: RingRegion;
  readonly sums: QuickSums;
}

/**
 * Makes the memory: address space, touched only where it is used. It belongs to live devices, of which a process has one: each reserves
 * gigabytes of addresses. Undefined where the machine has no SIMD or does not give them: an arena then makes do with an ordinary buffer.
 */
export function createPacketMemory(
  slotCount: number,
  ringBytes: number = BUFFER_POOL_KEPT_BYTES_MAX,
): PacketMemory | undefined {
  const slotsBytes = slotCount * SLOT_BYTES;
  const pages = Math.ceil((slotsBytes + ringBytes) / PAGE_BYTES);
  let memory: WebAssembly.Memory;
  try {
    memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch {
    return undefined;
  }
  const sums = createQuickSums(memory);
  if (sums === undefined) return undefined;
  const bytes = new Uint8Array(memory.buffer as ArrayBuffer, 0, slotsBytes);
  return { bytes, rings: new RingRegion(bytes, slotsBytes, sums.copy), sums };
}
