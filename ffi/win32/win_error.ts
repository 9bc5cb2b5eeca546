/**
 * Windows error codes in words: what happened, and what its reader can do. Read first: winerror.h.
 *
 * A code is only worth reading right after a plain call: it belongs to the thread, and a `nonblocking` call runs on another one.
 * `GetLastError` of kernel32.ts reads it.
 */

/** The codes that weir tells apart. Source: winerror.h. */
export const WinCode = {
  Success: 0,
  InvalidFunction: 1,
  FileNotFound: 2,
  PathNotFound: 3,
  AccessDenied: 5,
  InvalidHandle: 6,
  NotEnoughMemory: 8,
  InvalidData: 13,
  GenFailure: 31,
  SharingViolation: 32,
  HandleEof: 38,
  NotSupported: 50,
  InvalidParameter: 87,
  BufferOverflow: 111,
  InsufficientBuffer: 122,
  ModuleNotFound: 126,
  ProcedureNotFound: 127,
  AlreadyExists: 183,
  BadExeFormat: 193,
  NoData: 232,
  MoreData: 234,
  NoMoreItems: 259,
  InvalidImageHash: 577,
  DriverFailedPriorUnload: 654,
  OperationAborted: 995,
  IoIncomplete: 996,
  IoPending: 997,
  ServiceDisabled: 1058,
  ServiceDoesNotExist: 1060,
  ServiceMarkedForDelete: 1072,
  DllInitFailed: 1114,
  NotFound: 1168,
  Cancelled: 1223,
  HostUnreachable: 1232,
  DriverBlocked: 1275,
  EndpointNotRegistered: 1753,
  ObjectAlreadyExists: 5010,
} as const;

/** What codes mean and what to do about them. Shape: indexed by code. A deed's own `remedies` come before these. */
export type Remedies = Readonly<Record<number, string>>;

const MEANINGS: Remedies = {
  1: "the driver or this version of Windows does not know the operation",
  2: "it is not there; was a file of the driver moved or removed by a virus scanner?",
  3: "its folder is not there",
  5: "access is denied; run as administrator",
  6: "its handle is closed or was never valid",
  8: "Windows has no memory left for it",
  13: "the data are damaged; another program wrote into them, or the driver has another version than its library",
  31: "the device does not work; restart Windows, then install the driver again",
  32: "another program has it open; end that program",
  38: "the device is gone: it was removed or disabled",
  50: "this version of Windows does not support it; Windows 10 or later is needed",
  87: "Windows does not accept a value that was given",
  111: "there is no room left; the reader is too slow",
  122: "the buffer is too small",
  126: "the library, or one that it needs, is not there; put it beside the executable",
  127: "the library lacks a function; it is another version than weir needs",
  183: "there is one of this name; is another weir running?",
  193: "the library is not for this processor; take the 64-bit (amd64) one",
  232: "nothing more comes: it was shut down",
  234: "there is more than the buffer holds",
  259: "nothing is there now",
  577: "Windows does not accept the driver's signature; take the signed driver from its makers, and have Windows " +
    "up to date (Windows 7 and Server 2008 R2 need KB3033929)",
  654: "another version of the driver is loaded; end the programs that use it, or restart Windows",
  995: "it was cancelled",
  996: "it is not finished",
  997: "it is still under way",
  1053: "the service did not answer in time; try again",
  1058: 'the driver\'s service is disabled, often by an older installation; run "sc delete" with its name as ' +
    "administrator, then restart Windows",
  1060: "the service is not installed",
  1062: "the service is not running",
  1072: "the service is about to be deleted; end the programs that use it, or restart Windows",
  1114: "the library could not start; is its driver missing?",
  1168: "there is no such entry",
  1223: "it was refused in the dialog; run as administrator, and allow it",
  1231: "the network cannot be reached",
  1232: "the host cannot be reached",
  1275:
    "Windows has blocked the driver; a security policy, memory integrity or a virus scanner forbids it. Allow it there",
  1460: "it took too long",
  1753: 'the Base Filtering Engine does not run; start the service "BFE" (run "sc start bfe" as administrator)',
  1764: "this machine does not support it",
  5010: "it is there already",
};

/** What a code means and what to do, without the code itself. */
export function describeWinCode(code: number, remedies: Remedies = {}): string {
  return remedies[code] ?? MEANINGS[code] ?? "Windows refused";
}

/** A call that Windows refused. Its message: "Cannot <deed>: <meaning and remedy> (error <code>)". */
export class WinError extends Error {
  override name = "WinError";
  /** Source: winerror.h. */
  readonly code: number;

  constructor(deed: string, code: number, meaning: string) {
    super(`Cannot ${deed}: ${meaning} (error ${code})`);
    this.code = code;
  }

  /** The error of a code. `remedies` say what codes mean for this deed, where that is more than they mean everywhere. */
  static from(deed: string, code: number, remedies: Remedies = {}): WinError {
    return new WinError(deed, code, describeWinCode(code, remedies));
  }
}
