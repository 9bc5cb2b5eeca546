/**
 * Runs under Wine: reads the last error of calls that set it, as weir does, and prints how often it was right. last_error.ts DLL PAIRS
 *
 * Each overlapped call is completed by another thread, whose last error is another; the program waits for it aside, as weir does.
 */
import { Kernel32 } from "../../../ffi/win32/kernel32.ts";

const [path, pairs] = Deno.args;
const PAIRS = Number(pairs);
const lab = Deno.dlopen(path!, {
  LabBeginOverlapped: { parameters: ["buffer", "u32"], result: "i32" },
  LabFail: { parameters: ["u32"], result: "i32" },
  failAside: { name: "LabFail", parameters: ["u32"], result: "i32", nonblocking: true },
}).symbols;
using kernel = Kernel32.open();
const calls = kernel.calls;

/** OVERLAPPED: Internal, InternalHigh, offset, hEvent. Units: 64-bit words. */
const overlapped = new BigUint64Array(4);
overlapped[3] = BigInt(calls.CreateEventW(null, 0, 0, null));
const handles = new BigUint64Array([overlapped[3]!]);

let plain = 0;
let begun = 0;
let completed = 0;
for (let i = 1; i <= PAIRS; i++) {
  // Codes of each pair are its own, so that an older one is not taken for it.
  lab.LabFail(i);
  if (calls.GetLastError() === i) plain++;
  lab.LabBeginOverlapped(overlapped, PAIRS + i);
  if (calls.GetLastError() === PAIRS + i) begun++;
  // Now and then as weir waits, for the rest a plain wait does: the event must be free before it is used again.
  const isAside = i % 100 === 0;
  const waited = isAside
    ? await calls.waitForMultipleObjectsAside(1, handles, 0, 5000)
    : calls.WaitForSingleObject(overlapped[3]!, 5000);
  if (waited === 0 && overlapped[0] === 0n && overlapped[1] === 1n) completed++;
}
console.log(`plain ${plain} begun ${begun} completed ${completed}`);

// The trap itself: what a call that ran aside has set is not what this thread reads.
calls.SetLastError(1);
let lost = 0;
for (let i = 0; i < 100; i++) {
  await lab.failAside(5000 + i);
  if (calls.GetLastError() !== 5000 + i) lost++;
}
console.log(`lost aside ${lost}`);
