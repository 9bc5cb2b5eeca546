/**
 * Structs and numbers of kernel32 and advapi32 as bytes; all fields are little-endian, as on every Windows that weir runs on.
 *
 * Read first: winsvc.h, winnt.h, minwinbase.h. x64 only: pointers have 8 bytes.
 *
 * ```
 * ENUM_SERVICE_STATUS_PROCESSW: lpServiceName ptr │ lpDisplayName ptr │ SERVICE_STATUS_PROCESS │ pad 4       56 bytes
 * SERVICE_STATUS_PROCESS: type │ state │ controls │ exit code │ own exit code │ check point │ wait hint │ process │ flags   9 × u32
 * QUERY_SERVICE_CONFIGW: dwServiceType u32 │ dwStartType u32 │ dwErrorControl u32 │ …                                      64 bytes
 * TOKEN_USER: Sid ptr │ Attributes u32 │ pad 4 │ the SID itself                                                            16 bytes
 * OVERLAPPED: Internal u64 │ InternalHigh u64 │ Offset u32 │ OffsetHigh u32 │ hEvent                                        32 bytes
 * ```
 */

/** Sizes. Units: bytes. Tested against a C compiler's `sizeof`. */
export const Size = {
  ENUM_SERVICE_STATUS_PROCESSW: 56,
  SERVICE_STATUS_PROCESS: 36,
  QUERY_SERVICE_CONFIGW: 64,
  TOKEN_USER: 16,
  OVERLAPPED: 32,
  FILETIME: 8,
} as const;

/** Offsets. Units: bytes from the struct's start. */
export const SERVICE_NAME_OFFSET = 0;
export const SERVICE_STATUS_OFFSET = 16;
export const SERVICE_STATE_OFFSET = 4;
export const SERVICE_PROCESS_OFFSET = 28;
export const SERVICE_START_TYPE_OFFSET = 4;
export const OVERLAPPED_EVENT_OFFSET = 24;

/** Rights. Source: winnt.h, winsvc.h. */
export const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;
export const TOKEN_QUERY = 0x0008;
export const SC_MANAGER_CONNECT = 0x0001;
export const SC_MANAGER_ENUMERATE_SERVICE = 0x0004;
export const SERVICE_QUERY_CONFIG = 0x0001;
export const SERVICE_QUERY_STATUS = 0x0004;

/** A SID: revision u8 │ count u8 │ authority u48, big-endian │ count × u32. Units: bytes before the last. */
export const SID_HEADER_BYTES = 8;
/** `TOKEN_USER` with the longest SID, which has 15 numbers (`SECURITY_MAX_SID_SIZE`). Units: bytes. */
export const TOKEN_USER_BYTES_MAX = 16 + 68;

/** `TOKEN_INFORMATION_CLASS`. */
export const TOKEN_USER_CLASS = 1;
export const TOKEN_ELEVATION_CLASS = 20;

/** Services. Source: winsvc.h, winnt.h. */
export const SC_ENUM_PROCESS_INFO = 0;
export const SC_STATUS_PROCESS_INFO = 0;
export const SERVICE_WIN32 = 0x30;
export const SERVICE_ACTIVE = 1;
export const SERVICE_STOPPED = 1;
export const SERVICE_RUNNING = 4;
export const SERVICE_DISABLED = 4;
