/**
 * The calls into WinDivert.dll, and what goes wrong when it is opened.
 *
 * Read first: WinDivert 2.2 documentation section 5, windivert.h.
 *
 * Handles and places are numbers (`usize`). Every call here returns at once: reading and sending is done with OVERLAPPED, so that the error code
 * can be read on the thread that called.
 */
import type { Kernel32Calls } from "../win32/kernel32.ts";
import { type Remedies, WinError } from "../win32/win_error.ts";

/** Every symbol with its C prototype: all exports but the helpers, whose work core/filter does. */
export const WINDIVERT_SYMBOLS = {
  /** `HANDLE WinDivertOpen(const char *filter, WINDIVERT_LAYER layer, INT16 priority, UINT64 flags);` */
  WinDivertOpen: { parameters: ["buffer", "i32", "i16", "u64"], result: "usize" },
  /** `BOOL WinDivertRecv(HANDLE handle, VOID *pPacket, UINT packetLen, UINT *pRecvLen, WINDIVERT_ADDRESS *pAddr);` It sleeps: not for this thread. */
  recvAside: {
    name: "WinDivertRecv",
    parameters: ["usize", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  /**
   * `BOOL WinDivertRecvEx(HANDLE handle, VOID *pPacket, UINT packetLen, UINT *pRecvLen, UINT64 flags, WINDIVERT_ADDRESS *pAddr, UINT *pAddrLen,
   * LPOVERLAPPED lpOverlapped);` with all places as numbers.
   */
  WinDivertRecvEx: { parameters: ["usize", "usize", "u32", "usize", "u64", "usize", "usize", "usize"], result: "i32" },
  /** `BOOL WinDivertSend(HANDLE handle, const VOID *pPacket, UINT packetLen, UINT *pSendLen, const WINDIVERT_ADDRESS *pAddr);` */
  WinDivertSend: { parameters: ["usize", "buffer", "u32", "buffer", "buffer"], result: "i32" },
  /**
   * `BOOL WinDivertSendEx(HANDLE handle, const VOID *pPacket, UINT packetLen, UINT *pSendLen, UINT64 flags, const WINDIVERT_ADDRESS *pAddr,
   * UINT addrLen, LPOVERLAPPED lpOverlapped);` with all places as numbers.
   */
  WinDivertSendEx: { parameters: ["usize", "usize", "u32", "usize", "u64", "usize", "u32", "usize"], result: "i32" },
  /** `BOOL WinDivertShutdown(HANDLE handle, WINDIVERT_SHUTDOWN how);` */
  WinDivertShutdown: { parameters: ["usize", "i32"], result: "i32" },
  /** `BOOL WinDivertClose(HANDLE handle);` */
  WinDivertClose: { parameters: ["usize"], result: "i32" },
  /** `BOOL WinDivertSetParam(HANDLE handle, WINDIVERT_PARAM param, UINT64 value);` */
  WinDivertSetParam: { parameters: ["usize", "i32", "u64"], result: "i32" },
  /** `BOOL WinDivertGetParam(HANDLE handle, WINDIVERT_PARAM param, UINT64 *pValue);` */
  WinDivertGetParam: { parameters: ["usize", "i32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type WinDivertCalls = Deno.DynamicLibrary<typeof WINDIVERT_SYMBOLS>["symbols"];

/** The two libraries that diverting needs. */
export interface DivertCalls {
  readonly divert: WinDivertCalls;
  readonly kernel32: Kernel32Calls;
}

/** What the codes of WinDivertOpen mean. Source: WinDivert 2.2 documentation section 5.3; 1058 is met where an older service was disabled. */
export const OPEN_REMEDIES: Remedies = {
  2: "WinDivert64.sys is not beside WinDivert.dll; put both into one folder, and see that no virus scanner took the driver away",
  5: "only an administrator may divert packets; run weir as administrator",
  8: "Windows has no memory for the filter",
  87: "WinDivert does not accept the filter, the layer, the priority or the flags",
  577:
    "Windows does not accept the signature of WinDivert64.sys; take the signed driver of a release of WinDivert 2.2, and have Windows up to " +
    "date",
  654: "another version of the WinDivert driver is loaded; end the programs that use WinDivert, or restart Windows",
  1058:
    'the driver\'s service is disabled, often by an older installation; run "sc delete WinDivert" as administrator, then restart Windows',
  1060: "the driver's service is not installed, and weir was told not to install it",
  1114: "the driver cannot be started here; Windows itself is needed, not a stand-in for it",
  1275:
    "Windows has blocked the driver; a security policy, memory integrity or a virus scanner forbids WinDivert64.sys. Allow it there",
  1753: 'the Base Filtering Engine does not run; start the service "BFE" (run "sc start bfe" as administrator)',
};

/** The open library. */
export class WinDivert {
  readonly calls: WinDivertCalls;
  readonly #library: Deno.DynamicLibrary<typeof WINDIVERT_SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof WINDIVERT_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
  }

  /** Opens the library. Errors: an Error that says what is wrong with the file; a TypeError of Deno's when it is no library of this processor. */
  static open(dllPath: string): WinDivert {
    if (Deno.build.os !== "windows") throw new Error(`Cannot open ${dllPath}: this is ${Deno.build.os}, not Windows`);
    try {
      return new WinDivert(Deno.dlopen(dllPath, WINDIVERT_SYMBOLS));
    } catch (error) {
      throw new Error(
        `Cannot open ${dllPath}: ${reasonOf(error)}; take WinDivert.dll of a release of WinDivert 2.2 (x64)`,
      );
    }
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/symbol/i.test(text)) return "it is not WinDivert 2.2, an export is missing";
  if (/not (be )?found|os error (2|3|126)\b/i.test(text)) return "it is not there";
  if (/os error 193\b/i.test(text)) return "it is no 64-bit library";
  return text.split("\n")[0]!;
}

/** The error of a WinDivertOpen that failed. */
export function openError(layer: string, filter: string, code: number): WinError {
  const shown = filter.length > 200 ? `${filter.slice(0, 200)}…` : filter;
  return WinError.from(`open WinDivert's ${layer} layer with the filter "${shown}"`, code, OPEN_REMEDIES);
}
