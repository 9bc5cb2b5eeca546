/**
 * The calls into kernel32.dll.
 *
 * Read first: errhandlingapi.h, synchapi.h, handleapi.h, processthreadsapi.h, winbase.h, and win_error.ts for when a code may be read.
 *
 * Handles are numbers here (`usize`): a HANDLE has 64 bits of which 32 are used.
 */
import { WinCode, WinError } from "./win_error.ts";
import { INVALID_HANDLE, usize, wideString } from "./memory.ts";

/** Every symbol with its C prototype. Those ending in `Aside` wait on another thread; their error code cannot be read. */
export const KERNEL32_SYMBOLS = {
  /** `DWORD GetLastError(void);` */
  GetLastError: { parameters: [], result: "u32" },
  /** `void SetLastError(DWORD dwErrCode);` */
  SetLastError: { parameters: ["u32"], result: "void" },
  /** `HANDLE CreateEventW(LPSECURITY_ATTRIBUTES attributes, BOOL bManualReset, BOOL bInitialState, LPCWSTR lpName);` */
  CreateEventW: { parameters: ["pointer", "i32", "i32", "pointer"], result: "usize" },
  /** `BOOL SetEvent(HANDLE hEvent);` */
  SetEvent: { parameters: ["usize"], result: "i32" },
  /** `BOOL ResetEvent(HANDLE hEvent);` */
  ResetEvent: { parameters: ["usize"], result: "i32" },
  /** `DWORD WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds);` for a look with 0 ms. */
  WaitForSingleObject: { parameters: ["usize", "u32"], result: "u32" },
  /** `DWORD WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds);` */
  waitForSingleObjectAside: {
    name: "WaitForSingleObject",
    parameters: ["usize", "u32"],
    result: "u32",
    nonblocking: true,
  },
  /** `DWORD WaitForMultipleObjects(DWORD nCount, const HANDLE *lpHandles, BOOL bWaitAll, DWORD dwMilliseconds);` */
  waitForMultipleObjectsAside: {
    name: "WaitForMultipleObjects",
    parameters: ["u32", "buffer", "i32", "u32"],
    result: "u32",
    nonblocking: true,
  },
  /** `BOOL CloseHandle(HANDLE hObject);` */
  CloseHandle: { parameters: ["usize"], result: "i32" },
  /** `BOOL DuplicateHandle(HANDLE fromProcess, HANDLE source, HANDLE toProcess, LPHANDLE target, DWORD access, BOOL bInherit, DWORD dwOptions);` */
  DuplicateHandle: { parameters: ["usize", "usize", "usize", "buffer", "u32", "i32", "u32"], result: "i32" },
  /** `HANDLE OpenProcess(DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwProcessId);` */
  OpenProcess: { parameters: ["u32", "i32", "u32"], result: "usize" },
  /** `BOOL QueryFullProcessImageNameW(HANDLE hProcess, DWORD dwFlags, LPWSTR lpExeName, PDWORD lpdwSize);` */
  QueryFullProcessImageNameW: { parameters: ["usize", "u32", "buffer", "buffer"], result: "i32" },
  /** `BOOL GetProcessTimes(HANDLE hProcess, LPFILETIME creation, LPFILETIME exit, LPFILETIME kernel, LPFILETIME user);` */
  GetProcessTimes: { parameters: ["usize", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
  /** `DWORD GetCurrentProcessId(void);` */
  GetCurrentProcessId: { parameters: [], result: "u32" },
  /** `HANDLE CreateMutexW(LPSECURITY_ATTRIBUTES attributes, BOOL bInitialOwner, LPCWSTR lpName);` */
  CreateMutexW: { parameters: ["pointer", "i32", "buffer"], result: "usize" },
  /** `BOOL QueryPerformanceCounter(LARGE_INTEGER *lpPerformanceCount);` */
  QueryPerformanceCounter: { parameters: ["buffer"], result: "i32" },
  /** `BOOL QueryPerformanceFrequency(LARGE_INTEGER *lpFrequency);` */
  QueryPerformanceFrequency: { parameters: ["buffer"], result: "i32" },
  /** `void RtlMoveMemory(VOID *Destination, const VOID *Source, SIZE_T Length);` with both places as numbers. */
  RtlMoveMemory: { parameters: ["usize", "usize", "usize"], result: "void" },
  /** `BOOL CancelIoEx(HANDLE hFile, LPOVERLAPPED lpOverlapped);` with the second as a number; 0 cancels all of the handle's. */
  CancelIoEx: { parameters: ["usize", "usize"], result: "i32" },
  /** `BOOL GetOverlappedResult(HANDLE hFile, LPOVERLAPPED lpOverlapped, LPDWORD transferred, BOOL bWait);` with the second as a number. */
  GetOverlappedResult: { parameters: ["usize", "usize", "buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type Kernel32Calls = Deno.DynamicLibrary<typeof KERNEL32_SYMBOLS>["symbols"];

/** `GetCurrentProcess()`: always this number. Source: processthreadsapi.h. */
export const CURRENT_PROCESS = 0xffff_ffff_ffff_ffffn;
const DUPLICATE_SAME_ACCESS = 2;

/** Answers of the waiting calls. Source: synchapi.h. */
export const WAIT_OBJECT_0 = 0;
export const WAIT_ABANDONED_0 = 0x80;
export const WAIT_TIMEOUT = 258;
export const WAIT_FAILED = 0xffff_ffff;
export const INFINITE = 0xffff_ffff;

/** The open library. */
export class Kernel32 {
  readonly calls: Kernel32Calls;
  readonly #library: Deno.DynamicLibrary<typeof KERNEL32_SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof KERNEL32_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
  }

  /** Opens the library. Errors: an Error when this is no Windows. */
  static open(): Kernel32 {
    if (Deno.build.os !== "windows") throw new Error(`Cannot open kernel32.dll: this is ${Deno.build.os}, not Windows`);
    return new Kernel32(Deno.dlopen("kernel32.dll", KERNEL32_SYMBOLS));
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** A kernel object, closed once. */
export class Handle {
  readonly #calls: Pick<Kernel32Calls, "CloseHandle">;
  #value: number;

  constructor(calls: Pick<Kernel32Calls, "CloseHandle">, value: number) {
    this.#calls = calls;
    this.#value = value;
  }

  /** The value that calls take; 0 once closed, which every call refuses. */
  get value(): number {
    return this.#value;
  }

  /** Closes it; a second time does nothing. */
  close(): void {
    const value = this.#value;
    if (value === 0) return;
    this.#value = 0;
    this.#calls.CloseHandle(usize(value));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Wraps what a creating call answered, with 0 or −1 for failure. Errors: `WinError` with the code of that call. */
export function ownHandle(calls: Kernel32Calls, result: bigint, deed: string): Handle {
  if (result === 0n || result === INVALID_HANDLE) throw WinError.from(deed, calls.GetLastError());
  return new Handle(calls, Number(result));
}

/** Makes an event without a name. Errors: `WinError`. */
export function createEvent(calls: Kernel32Calls, isManualReset: boolean): Handle {
  return ownHandle(calls, calls.CreateEventW(null, isManualReset ? 1 : 0, 0, null), "make an event");
}

/** A handle of our own to what somebody else's handle stands for: it stays valid when they close theirs. Errors: `WinError`. */
export function duplicateHandle(calls: Kernel32Calls, handle: bigint, deed: string): Handle {
  const target = new BigUint64Array(1);
  const isMade = calls.DuplicateHandle(CURRENT_PROCESS, handle, CURRENT_PROCESS, target, 0, 0, DUPLICATE_SAME_ACCESS);
  if (isMade === 0) throw WinError.from(deed, calls.GetLastError());
  return new Handle(calls, Number(target[0]!));
}

/**
 * Takes a name that one process of this machine can have at a time; it is given back when the handle or the process ends.
 * Errors: `WinError` 183 when another process has it.
 */
export function claimName(calls: Kernel32Calls, name: string, deed: string = `take the name ${name}`): Handle {
  const result = calls.CreateMutexW(null, 0, wideString(`Global\\${name}`));
  const code = calls.GetLastError();
  // A mutex of another user answers "denied": it exists all the same.
  if (result === 0n && code === WinCode.AccessDenied) throw WinError.from(deed, WinCode.AlreadyExists);
  if (result === 0n) throw WinError.from(deed, code);
  const handle = new Handle(calls, Number(result));
  if (code !== WinCode.AlreadyExists) return handle;
  handle.close();
  throw WinError.from(deed, code);
}
