/**
 * The Windows Filtering Platform: the calls into fwpuclnt.dll, and filters as bytes.
 *
 * Read first: fwpmu.h, fwpmtypes.h, fwptypes.h. The calls answer with an error code themselves.
 *
 * ```
 * FWPM_SESSION0:          key GUID │ name ptr │ text ptr │ flags u32 │ wait u32 │ …                                              72 bytes
 * FWPM_SUBLAYER0:         key GUID │ name ptr │ text ptr │ flags u32 │ … │ @64 weight u16                                         72
 * FWPM_FILTER0:           key GUID │ name ptr │ text ptr │ @32 flags u32 │ @64 layer GUID │ @80 sublayer GUID │ @96 weight value │
 *                         @112 count u32 │ @120 conditions ptr │ @128 action u32 │ …                                             200
 * FWPM_FILTER_CONDITION0: field GUID │ match u32 │ pad │ value                                                                    40
 * FWP_VALUE0:             type u32 │ pad │ the number itself up to 32 bits, else a pointer to it                                   16
 * ```
 */
import { parseGuid } from "../win32/guid.ts";
import { addressOf, wideString } from "../win32/memory.ts";

/** Every symbol with its C prototype. */
export const FWPUCLNT_SYMBOLS = {
  /** `DWORD FwpmEngineOpen0(const wchar_t *serverName, UINT32 authnService, SEC_WINNT_AUTH_IDENTITY_W *, const FWPM_SESSION0 *session, HANDLE *engine);` */
  FwpmEngineOpen0: { parameters: ["pointer", "u32", "pointer", "buffer", "buffer"], result: "u32" },
  /** `DWORD FwpmEngineClose0(HANDLE engineHandle);` */
  FwpmEngineClose0: { parameters: ["usize"], result: "u32" },
  /** `DWORD FwpmSubLayerAdd0(HANDLE engineHandle, const FWPM_SUBLAYER0 *subLayer, PSECURITY_DESCRIPTOR sd);` */
  FwpmSubLayerAdd0: { parameters: ["usize", "buffer", "pointer"], result: "u32" },
  /** `DWORD FwpmFilterAdd0(HANDLE engineHandle, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id);` */
  FwpmFilterAdd0: { parameters: ["usize", "buffer", "pointer", "pointer"], result: "u32" },
  /** `DWORD FwpmGetAppIdFromFileName0(const wchar_t *fileName, FWP_BYTE_BLOB **appId);` */
  FwpmGetAppIdFromFileName0: { parameters: ["buffer", "buffer"], result: "u32" },
  /** `void FwpmFreeMemory0(void **p);` */
  FwpmFreeMemory0: { parameters: ["buffer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions; tests have their own. */
export type FwpuclntCalls = Deno.DynamicLibrary<typeof FWPUCLNT_SYMBOLS>["symbols"];

/** Sizes. Units: bytes. Tested against a C compiler's `sizeof`. */
export const Size = { FWPM_SESSION0: 72, FWPM_SUBLAYER0: 72, FWPM_FILTER0: 200, FWPM_FILTER_CONDITION0: 40 } as const;

/** Offsets. Units: bytes from the struct's start; `DISPLAY_NAME_OFFSET` in all but the condition. */
export const DISPLAY_NAME_OFFSET = 16;
export const SESSION_FLAGS_OFFSET = 32;
export const SUBLAYER_WEIGHT_OFFSET = 64;
export const FILTER_FLAGS_OFFSET = 32;
export const FILTER_LAYER_OFFSET = 64;
export const FILTER_SUBLAYER_OFFSET = 80;
export const FILTER_WEIGHT_OFFSET = 96;
export const FILTER_COUNT_OFFSET = 112;
export const FILTER_CONDITIONS_OFFSET = 120;
export const FILTER_ACTION_OFFSET = 128;
export const CONDITION_MATCH_OFFSET = 16;
export const CONDITION_VALUE_OFFSET = 24;
/** Where the number or pointer is in a value. */
export const VALUE_OFFSET = 8;

/** Everything of the session goes when it ends, however it ends. Source: fwpmtypes.h of the Windows SDK. */
export const FWPM_SESSION_FLAG_DYNAMIC = 1;
/** No filter of a lower sublayer may overrule it. Source: fwpmtypes.h of the Windows SDK. */
export const FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT = 8;
export const RPC_C_AUTHN_WINNT = 10;
export const FWP_ACTION_BLOCK = 0x1001;
export const FWP_ACTION_PERMIT = 0x1002;
export const FWP_UINT8 = 1;
export const FWP_UINT16 = 2;
export const FWP_UINT32 = 3;
export const FWP_UINT64 = 4;
export const FWP_BYTE_BLOB_TYPE = 12;
export const FWP_MATCH_EQUAL = 0;
export const FWP_MATCH_FLAGS_ALL_SET = 6;
export const FWP_CONDITION_FLAG_IS_LOOPBACK = 1;

/** Layers and fields. Source: fwpmu.h of the Windows SDK. */
export const FwpKey = {
  AleAuthConnectV4: parseGuid("c38d57d1-05a7-4c33-904f-7fbceee60e82")!,
  AleAuthConnectV6: parseGuid("4a72393b-319f-44bc-84c3-ba54dcb3b6b4")!,
  RemotePort: parseGuid("c35a604d-d22b-4e1a-91b4-68f674ee674b")!,
  LocalInterface: parseGuid("4cd62a49-59c3-4969-b7f3-bda5d32890a4")!,
  AppId: parseGuid("d78e1e87-8644-4ea5-9437-d809ecefc971")!,
  Flags: parseGuid("632ce23b-5167-435c-86d7-e903684aa80c")!,
} as const;

/** One thing that a filter asks for. */
export interface Condition {
  readonly field: Uint8Array<ArrayBuffer>;
  readonly match: number;
  readonly type: number;
  /** The number itself; for FWP_BYTE_BLOB_TYPE the blob's address. */
  readonly value: bigint;
}

/** What a filter says. Conditions of one field are alternatives, those of different fields must all hold. */
export interface FilterFields {
  readonly name: string;
  readonly layer: Uint8Array<ArrayBuffer>;
  readonly subLayer: Uint8Array<ArrayBuffer>;
  /** The highest that matches decides. Units: 0 … 15. */
  readonly weight: number;
  readonly action: number;
  readonly flags: number;
  readonly conditions: readonly Condition[];
}

/** A struct at the start of a buffer that also has what it points at, so that one thing is held while it is used. */
export interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** Where nothing is written yet. Units: bytes from the start, a multiple of 8. */
  readonly free: number;
  /** The address of the buffer. */
  readonly base: number;
}

/** A struct of `size` bytes with its name, and room for `more` bytes. */
export function packNamed(size: number, name: string, more = 0): Packed {
  const text = wideString(name);
  const free = (size + text.length + 7) & ~7;
  const bytes = new Uint8Array(free + more);
  const view = new DataView(bytes.buffer);
  const base = addressOf(bytes);
  bytes.set(text, size);
  view.setBigUint64(DISPLAY_NAME_OFFSET, BigInt(base + size), true);
  return { bytes, view, free, base };
}

/** An `FWPM_FILTER0` with its conditions and their numbers of 64 bits behind it. */
export function packFilter(fields: FilterFields): Uint8Array<ArrayBuffer> {
  const count = fields.conditions.length;
  const more = count * (Size.FWPM_FILTER_CONDITION0 + 8);
  const { bytes, view, free, base } = packNamed(Size.FWPM_FILTER0, fields.name, more);
  view.setUint32(FILTER_FLAGS_OFFSET, fields.flags, true);
  bytes.set(fields.layer, FILTER_LAYER_OFFSET);
  bytes.set(fields.subLayer, FILTER_SUBLAYER_OFFSET);
  view.setUint32(FILTER_WEIGHT_OFFSET, FWP_UINT8, true);
  view.setUint8(FILTER_WEIGHT_OFFSET + VALUE_OFFSET, fields.weight);
  view.setUint32(FILTER_COUNT_OFFSET, count, true);
  view.setBigUint64(FILTER_CONDITIONS_OFFSET, BigInt(base + free), true);
  view.setUint32(FILTER_ACTION_OFFSET, fields.action, true);
  fields.conditions.forEach((condition, index) => {
    const at = free + index * Size.FWPM_FILTER_CONDITION0;
    const numberAt = free + count * Size.FWPM_FILTER_CONDITION0 + 8 * index;
    bytes.set(condition.field, at);
    view.setUint32(at + CONDITION_MATCH_OFFSET, condition.match, true);
    view.setUint32(at + CONDITION_VALUE_OFFSET, condition.type, true);
    view.setBigUint64(numberAt, condition.value, true);
    const value = condition.type === FWP_UINT64 ? BigInt(base + numberAt) : condition.value;
    view.setBigUint64(at + CONDITION_VALUE_OFFSET + VALUE_OFFSET, value, true);
  });
  return bytes;
}
