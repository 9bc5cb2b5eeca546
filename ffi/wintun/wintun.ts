/**
 * The calls into wintun.dll, all fourteen.
 *
 * Read first: wintun.h of Wintun 0.14.
 *
 * An adapter has one session at a time; packets lie in two rings that the driver shares with the process. Adapters, sessions and packets are
 * numbers here (`usize`), never pointers.
 */
import { WinError } from "../win32/win_error.ts";

/** Every symbol with its C prototype. None of them waits, but creating and closing an adapter takes up to some seconds. */
export const WINTUN_SYMBOLS = {
  /** `WINTUN_ADAPTER_HANDLE WintunCreateAdapter(LPCWSTR Name, LPCWSTR TunnelType, const GUID *RequestedGUID);` */
  WintunCreateAdapter: { parameters: ["buffer", "buffer", "buffer"], result: "usize" },
  /** `WINTUN_ADAPTER_HANDLE WintunOpenAdapter(LPCWSTR Name);` */
  WintunOpenAdapter: { parameters: ["buffer"], result: "usize" },
  /** `VOID WintunCloseAdapter(WINTUN_ADAPTER_HANDLE Adapter);` */
  WintunCloseAdapter: { parameters: ["usize"], result: "void" },
  /** `BOOL WintunDeleteDriver(VOID);` */
  WintunDeleteDriver: { parameters: [], result: "i32" },
  /** `VOID WintunGetAdapterLUID(WINTUN_ADAPTER_HANDLE Adapter, NET_LUID *Luid);` */
  WintunGetAdapterLUID: { parameters: ["usize", "buffer"], result: "void" },
  /** `DWORD WintunGetRunningDriverVersion(VOID);` */
  WintunGetRunningDriverVersion: { parameters: [], result: "u32" },
  /** `VOID WintunSetLogger(WINTUN_LOGGER_CALLBACK NewLogger);` */
  WintunSetLogger: { parameters: ["pointer"], result: "void" },
  /** `WINTUN_SESSION_HANDLE WintunStartSession(WINTUN_ADAPTER_HANDLE Adapter, DWORD Capacity);` */
  WintunStartSession: { parameters: ["usize", "u32"], result: "usize" },
  /** `VOID WintunEndSession(WINTUN_SESSION_HANDLE Session);` */
  WintunEndSession: { parameters: ["usize"], result: "void" },
  /** `HANDLE WintunGetReadWaitEvent(WINTUN_SESSION_HANDLE Session);` The event is the session's: it is not closed. */
  WintunGetReadWaitEvent: { parameters: ["usize"], result: "usize" },
  /** `BYTE *WintunReceivePacket(WINTUN_SESSION_HANDLE Session, DWORD *PacketSize);` */
  WintunReceivePacket: { parameters: ["usize", "buffer"], result: "usize" },
  /** `VOID WintunReleaseReceivePacket(WINTUN_SESSION_HANDLE Session, const BYTE *Packet);` */
  WintunReleaseReceivePacket: { parameters: ["usize", "usize"], result: "void" },
  /** `BYTE *WintunAllocateSendPacket(WINTUN_SESSION_HANDLE Session, DWORD PacketSize);` */
  WintunAllocateSendPacket: { parameters: ["usize", "u32"], result: "usize" },
  /** `VOID WintunSendPacket(WINTUN_SESSION_HANDLE Session, const BYTE *Packet);` */
  WintunSendPacket: { parameters: ["usize", "usize"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type WintunCalls = Deno.DynamicLibrary<typeof WINTUN_SYMBOLS>["symbols"];

/** Bounds of the library. Units: bytes. Source: wintun.h. */
export const RING_CAPACITY_MIN = 0x2_0000;
export const RING_CAPACITY_MAX = 0x400_0000;
export const PACKET_BYTES_MAX = 0xffff;
/** Longest name of an adapter, its NUL included. Units: UTF-16 units. Source: wintun.h (MAX_ADAPTER_NAME). */
export const ADAPTER_NAME_MAX = 128;

/** The callback that hears the library's log. Source: wintun.h (WINTUN_LOGGER_CALLBACK): level, 100 ns since 1601, text. */
const LOGGER_CALLBACK = { parameters: ["i32", "u64", "pointer"], result: "void" } as const;
const LOG_LEVELS = ["info", "warning", "error"] as const;
/** What the library's log says. */
export type WintunLog = (level: (typeof LOG_LEVELS)[number], text: string) => void;

/** Why the library could not be loaded: what to do, and the words of the system. */
export function libraryError(path: string, error: unknown): Error {
  const words = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").trim();
  let remedy = "it cannot be used; put the wintun.dll of wintun.net (amd64) there";
  if (/module not found|os error 126/i.test(words)) {
    remedy = "it is not there; put the wintun.dll of wintun.net (amd64) there";
  } else if (/exe format|os error 193/i.test(words)) {
    remedy = "it is no 64-bit library; take the amd64 one of wintun.net";
  } else if (/symbol/i.test(words)) remedy = "it is not Wintun 0.14; take the newest one of wintun.net";
  return new Error(`Cannot load ${path}: ${remedy} (${words})`);
}

/** The open library. */
export class Wintun {
  readonly calls: WintunCalls;
  readonly #library: Deno.DynamicLibrary<typeof WINTUN_SYMBOLS>;
  #logger: Deno.UnsafeCallback<typeof LOGGER_CALLBACK> | undefined = undefined;

  private constructor(library: Deno.DynamicLibrary<typeof WINTUN_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
  }

  /** Opens the library. Errors: an Error that says how to get it. */
  static open(path: string): Wintun {
    if (Deno.build.os !== "windows") throw new Error(`Cannot load ${path}: this is ${Deno.build.os}, not Windows`);
    try {
      return new Wintun(Deno.dlopen(path, WINTUN_SYMBOLS));
    } catch (error) {
      throw libraryError(path, error);
    }
  }

  /**
   * Lets `log` hear what the library says; undefined ends it. What it says on threads of its own waits until the event loop hears it, and the
   * thread waits with it: for finding faults, not for everyday use.
   */
  setLogger(log: WintunLog | undefined): void {
    const before = this.#logger;
    this.#logger = log === undefined ? undefined : new Deno.UnsafeCallback(
      LOGGER_CALLBACK,
      (level, _time, text) => log(LOG_LEVELS[level] ?? "info", textAt(text)),
    );
    this.calls.WintunSetLogger(this.#logger?.pointer ?? null);
    before?.close();
  }

  [Symbol.dispose](): void {
    if (this.#logger !== undefined) this.setLogger(undefined);
    this.#library.close();
  }
}

/** Longest line that is read. Units: UTF-16 units. */
const LOG_TEXT_MAX = 1024;

function textAt(pointer: Deno.PointerValue): string {
  if (pointer === null) return "";
  const view = new Deno.UnsafePointerView(pointer);
  let text = "";
  for (let i = 0; i < LOG_TEXT_MAX; i++) {
    const unit = view.getUint16(2 * i);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

/** The version of the driver that is loaded, as `major.minor`; undefined when none is. */
export function runningDriverVersion(calls: WintunCalls): string | undefined {
  const version = calls.WintunGetRunningDriverVersion();
  return version === 0 ? undefined : `${version >>> 16}.${version & 0xffff}`;
}

/** Errors: a RangeError for a name that no adapter can have. */
export function checkAdapterName(name: string): void {
  if (name === "" || name.length >= ADAPTER_NAME_MAX || /[\0-\x1f"*/:<>?\\|]/.test(name)) {
    throw new RangeError(
      `Cannot name an adapter "${name}": 1 to ${
        ADAPTER_NAME_MAX - 1
      } characters are allowed, none of \\ / : * ? " < > |`,
    );
  }
}

/** What codes mean when the library makes an adapter. */
export const CREATE_REMEDIES = {
  2: "a file of the driver is not there; take wintun.dll from wintun.net again, and look whether a virus scanner holds it",
  5: "access is denied; run as administrator",
  183: "there is an adapter of this name; is another weir running? Choose another name with --device",
  1114: "its driver could not be loaded",
} as const;

/** Errors: a `WinError` when the driver is still needed by somebody. Removes the driver from the machine: for uninstalling only. */
export function deleteDriver(calls: WintunCalls, lastError: () => number): void {
  if (calls.WintunDeleteDriver() === 0) {
    throw WinError.from("remove the Wintun driver", lastError(), {
      5: "run as administrator, and end what uses Wintun",
    });
  }
}
