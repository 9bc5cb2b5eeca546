/**
 * Runs under Wine: diverts what FILTER says for SECONDS and gives it back, with batches of at most BATCH packets and two reads in flight; prints what
 * that came to. windivert_speed.ts DLL FILTER BATCH SECONDS
 */
import { Kernel32 } from "../../../ffi/win32/kernel32.ts";
import { usize } from "../../../ffi/win32/memory.ts";
import { DivertHandle } from "../../../ffi/windivert/divert_handle.ts";
import { Layer, Size } from "../../../ffi/windivert/layout.ts";
import { WinDivert } from "../../../ffi/windivert/library.ts";
import { OverlappedBuffer } from "../../../ffi/windivert/overlapped.ts";

const [dll, filter, batch, seconds] = Deno.args as [string, string, string, string];
const IO_PENDING = 997;
const WAIT_MS = 200;
const kernel32 = Kernel32.open().calls;
const divert = WinDivert.open(dll).calls;
const handle = DivertHandle.open({ divert, kernel32 }, { filter, layer: Layer.Network, priority: 0, flags: 0 });
const buffers = [1, 2].map(() => new OverlappedBuffer(kernel32, 255 * 1_500));

function started(buffer: OverlappedBuffer): void {
  const code = kernel32.GetLastError();
  if (code !== IO_PENDING) throw new Error(`code ${code}`);
  buffer.started();
}

function read(buffer: OverlappedBuffer): void {
  buffer.prepare();
  buffer.addressLength = Number(batch) * Size.WINDIVERT_ADDRESS;
  const places = [
    usize(buffer.addressesPlace),
    usize(buffer.addressLengthPlace),
    usize(buffer.overlappedPlace),
  ] as const;
  const { value } = handle;
  divert.WinDivertRecvEx(usize(value), usize(buffer.packetsPlace), buffer.packetBytesMax, 0n, 0n, ...places);
  started(buffer);
}

function send(buffer: OverlappedBuffer, bytes: number): void {
  const addressBytes = buffer.addressLength;
  buffer.prepare();
  const places = [usize(buffer.addressesPlace), addressBytes, usize(buffer.overlappedPlace)] as const;
  divert.WinDivertSendEx(usize(handle.value), usize(buffer.packetsPlace), bytes, 0n, 0n, ...places);
  started(buffer);
}

/** Waits for an operation. Shape: its bytes, or −1 when nothing comes. */
function finish(buffer: OverlappedBuffer): number {
  if (!buffer.isDone && kernel32.WaitForSingleObject(usize(buffer.event.value), WAIT_MS) !== 0) return -1;
  return buffer.finish(handle.value);
}

let packets = 0;
let batches = 0;
for (const buffer of buffers) read(buffer);
console.log("diverting");
const begin = performance.now();
for (let next = 0; performance.now() - begin < Number(seconds) * 1000;) {
  const buffer = buffers[next]!;
  const bytes = finish(buffer);
  if (bytes < 0) continue;
  packets += buffer.addressLength / Size.WINDIVERT_ADDRESS;
  batches++;
  send(buffer, bytes);
  finish(buffer);
  read(buffer);
  next = 1 - next;
}
console.log(`speed ${JSON.stringify({ packets, batches, seconds: (performance.now() - begin) / 1000 })}`);
handle.close();
