/** Runs under Wine: prints "handles N", the number of handles that the running program NAME has open. handle_count.ts NAME */
const [name] = Deno.args;
const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;

const { symbols } = Deno.dlopen("kernel32.dll", {
  /** `BOOL K32EnumProcesses(DWORD *ids, DWORD bytes, DWORD *used);` */
  K32EnumProcesses: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
  /** `HANDLE OpenProcess(DWORD access, BOOL inherit, DWORD id);` */
  OpenProcess: { parameters: ["u32", "i32", "u32"], result: "usize" },
  /** `BOOL QueryFullProcessImageNameW(HANDLE process, DWORD flags, LPWSTR name, PDWORD size);` */
  QueryFullProcessImageNameW: { parameters: ["usize", "u32", "buffer", "buffer"], result: "i32" },
  /** `BOOL GetProcessHandleCount(HANDLE process, PDWORD count);` */
  GetProcessHandleCount: { parameters: ["usize", "buffer"], result: "i32" },
});

const ids = new Uint32Array(1024);
const used = new Uint32Array(1);
symbols.K32EnumProcesses(ids, ids.byteLength, used);
for (const id of ids.subarray(0, used[0]! / 4)) {
  const handle = symbols.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id);
  if (handle === 0n) continue;
  const text = new Uint16Array(1024);
  const length = new Uint32Array([text.length]);
  symbols.QueryFullProcessImageNameW(handle, 0, text, length);
  if (!String.fromCharCode(...text.subarray(0, length[0])).endsWith(`\\${name}`)) continue;
  const count = new Uint32Array(1);
  symbols.GetProcessHandleCount(handle, count);
  console.log(`handles ${count[0]}`);
}
