/**
 * WinDivert's own helpers, to be compared with core/filter: weir itself does not need them.
 *
 * Read first: WinDivert 2.2 documentation section 8.
 */
import { addressOf } from "../win32/memory.ts";
import { Size } from "./layout.ts";

/** Every symbol with its C prototype. None of them needs the driver. */
export const WINDIVERT_HELPER_SYMBOLS = {
  /**
   * `BOOL WinDivertHelperCompileFilter(const char *filter, WINDIVERT_LAYER layer, char *object, UINT objLen, const char **errorStr,
   * UINT *errorPos);`
   */
  WinDivertHelperCompileFilter: {
    parameters: ["buffer", "i32", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
  },
  /** `BOOL WinDivertHelperEvalFilter(const char *filter, const VOID *pPacket, UINT packetLen, const WINDIVERT_ADDRESS *pAddr);` */
  WinDivertHelperEvalFilter: { parameters: ["buffer", "buffer", "u32", "buffer"], result: "i32" },
  /** `BOOL WinDivertHelperFormatFilter(const char *filter, WINDIVERT_LAYER layer, char *buffer, UINT bufLen);` */
  WinDivertHelperFormatFilter: { parameters: ["buffer", "i32", "buffer", "u32"], result: "i32" },
  /** `BOOL WinDivertHelperCalcChecksums(VOID *pPacket, UINT packetLen, WINDIVERT_ADDRESS *pAddr, UINT64 flags);` */
  WinDivertHelperCalcChecksums: { parameters: ["buffer", "u32", "buffer", "u64"], result: "i32" },
  /** `UINT64 WinDivertHelperHashPacket(const VOID *pPacket, UINT packetLen, UINT64 seed);` */
  WinDivertHelperHashPacket: { parameters: ["buffer", "u32", "u64"], result: "u64" },
  /**
   * `BOOL WinDivertHelperParsePacket(const VOID *pPacket, UINT packetLen, PWINDIVERT_IPHDR *ppIpHdr, PWINDIVERT_IPV6HDR *ppIpv6Hdr,
   * UINT8 *pProtocol, PWINDIVERT_ICMPHDR *ppIcmpHdr, PWINDIVERT_ICMPV6HDR *ppIcmpv6Hdr, PWINDIVERT_TCPHDR *ppTcpHdr,
   * PWINDIVERT_UDPHDR *ppUdpHdr, PVOID *ppData, UINT *pDataLen, PVOID *ppNext, UINT *pNextLen);`
   */
  WinDivertHelperParsePacket: {
    parameters: [
      "buffer",
      "u32",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** What a helper says about a filter. */
export type CompiledByWinDivert =
  | { readonly object: string; readonly formatted: string }
  | { readonly error: string; readonly position: number };

/** Where a helper finds the headers. Units: bytes from the packet's start; null when absent. */
export interface ParsedByWinDivert {
  readonly ok: boolean;
  readonly ip: number | null;
  readonly ipv6: number | null;
  readonly protocol: number;
  readonly icmp: number | null;
  readonly icmpv6: number | null;
  readonly tcp: number | null;
  readonly udp: number | null;
  readonly data: number | null;
  readonly dataLen: number;
  readonly next: number | null;
  readonly nextLen: number;
}

/** Room for the longest object and the longest normal form: 256 tests. Units: bytes. */
const TEXT_BYTES = 1 << 16;

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end));
}

/** The helpers of an open library. */
export class WinDivertHelpers {
  readonly #library: Deno.DynamicLibrary<typeof WINDIVERT_HELPER_SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof WINDIVERT_HELPER_SYMBOLS>) {
    this.#library = library;
  }

  /** Errors: a TypeError of Deno's when it is no such library. */
  static open(dllPath: string): WinDivertHelpers {
    return new WinDivertHelpers(Deno.dlopen(dllPath, WINDIVERT_HELPER_SYMBOLS));
  }

  /** A filter's object and its normal form, or what is wrong with it. */
  compile(filter: string, layer: number): CompiledByWinDivert {
    const { WinDivertHelperCompileFilter, WinDivertHelperFormatFilter } = this.#library.symbols;
    const text = cString(filter);
    const object = new Uint8Array(TEXT_BYTES);
    const message = new BigUint64Array(1);
    const position = new Uint32Array(1);
    if (WinDivertHelperCompileFilter(text, layer, object, TEXT_BYTES, message, position) === 0) {
      const place = Deno.UnsafePointer.create(message[0]!);
      return { error: place === null ? "" : Deno.UnsafePointerView.getCString(place), position: position[0]! };
    }
    const formatted = new Uint8Array(TEXT_BYTES);
    const isFormatted = WinDivertHelperFormatFilter(text, layer, formatted, TEXT_BYTES) !== 0;
    return { object: textOf(object), formatted: isFormatted ? textOf(formatted) : "" };
  }

  /** True when the packet passes the filter. Shape of `address`: WINDIVERT_ADDRESS. */
  matches(filter: string, packet: Uint8Array, address: Uint8Array): boolean {
    const { WinDivertHelperEvalFilter } = this.#library.symbols;
    return WinDivertHelperEvalFilter(cString(filter), held(packet), packet.length, held(address)) !== 0;
  }

  /** Fills in the checksums of a packet in place. Shape: WinDivert's answer and the address's bits afterwards. */
  calcChecksums(packet: Uint8Array, flags: number): { ok: boolean; address: Uint8Array } {
    const address = new Uint8Array(Size.WINDIVERT_ADDRESS);
    const { WinDivertHelperCalcChecksums } = this.#library.symbols;
    return { ok: WinDivertHelperCalcChecksums(held(packet), packet.length, address, BigInt(flags)) !== 0, address };
  }

  /** The hash of a packet. */
  hash(packet: Uint8Array, seed: bigint): bigint {
    return BigInt(this.#library.symbols.WinDivertHelperHashPacket(held(packet), packet.length, seed));
  }

  /** Where the headers are. */
  parse(packet: Uint8Array): ParsedByWinDivert {
    const places = Array.from({ length: 8 }, () => new BigUint64Array(1));
    const [ip, ipv6, icmp, icmpv6, tcp, udp, data, next] = places as [
      BigUint64Array<ArrayBuffer>,
      ...BigUint64Array<ArrayBuffer>[],
    ] as BigUint64Array<ArrayBuffer>[];
    const protocol = new Uint8Array(8);
    const lengths = [new Uint32Array(1), new Uint32Array(1)] as const;
    const bytes = held(packet);
    const ok = this.#library.symbols.WinDivertHelperParsePacket(
      bytes,
      packet.length,
      ip!,
      ipv6!,
      protocol,
      icmp!,
      icmpv6!,
      tcp!,
      udp!,
      data!,
      lengths[0],
      next!,
      lengths[1],
    ) !== 0;
    const start = addressOf(bytes);
    const offset = (place: BigUint64Array) => place[0] === 0n ? null : Number(place[0]!) - start;
    return {
      ok,
      ip: offset(ip!),
      ipv6: offset(ipv6!),
      protocol: protocol[0]!,
      icmp: offset(icmp!),
      icmpv6: offset(icmpv6!),
      tcp: offset(tcp!),
      udp: offset(udp!),
      data: offset(data!),
      dataLen: lengths[0][0]!,
      next: offset(next!),
      nextLen: lengths[1][0]!,
    };
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

function held(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
