/** The answers that Windows remembers of name servers. Read first: windns.h. */

const DNSAPI_SYMBOLS = {
  /** `BOOL DnsFlushResolverCache(void);` Exported by name since Windows 2000, not in the headers. */
  DnsFlushResolverCache: { parameters: [], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Makes Windows forget them, so that names are asked for anew: what it remembers led past the device. Shape: false when it could not. */
export function flushDnsCache(): boolean {
  try {
    const library = Deno.dlopen("dnsapi.dll", DNSAPI_SYMBOLS);
    try {
      return library.symbols.DnsFlushResolverCache() !== 0;
    } finally {
      library.close();
    }
  } catch {
    return false;
  }
}
