/** Runs under Wine: prints "handles N", the number of handles that the running program NAME has open. handle_count.ts NAME */
const [name] = Deno.args;
const SYSTEM_PROCESS_INFORMATION = 5;
/** Offsets in SYSTEM_PROCESS_INFORMATION of 64-bit Windows. Source: winternl.h. */
const NAME_BYTES_OFFSET = 56;
const NAME_PLACE_OFFSET = 64;
const HANDLE_COUNT_OFFSET = 96;

const { symbols } = Deno.dlopen("ntdll.dll", {
  /** `NTSTATUS NtQuerySystemInformation(SYSTEM_INFORMATION_CLASS what, PVOID place, ULONG bytes, PULONG used);` */
  NtQuerySystemInformation: { parameters: ["i32", "buffer", "u32", "buffer"], result: "i32" },
});

const bytes = new Uint8Array(1 << 20);
const view = new DataView(bytes.buffer);
const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
symbols.NtQuerySystemInformation(SYSTEM_PROCESS_INFORMATION, bytes, bytes.length, new Uint32Array(1));
for (let at = 0, step = -1; step !== 0; at += step) {
  step = view.getUint32(at, true);
  const nameBytes = view.getUint16(at + NAME_BYTES_OFFSET, true);
  const nameAt = Number(view.getBigUint64(at + NAME_PLACE_OFFSET, true) - BigInt(base));
  if (nameBytes === 0 || nameAt < 0 || nameAt >= bytes.length) continue;
  const text = new TextDecoder("utf-16le").decode(bytes.subarray(nameAt, nameAt + nameBytes));
  if (text === name) console.log(`handles ${view.getUint32(at + HANDLE_COUNT_OFFSET, true)}`);
}
