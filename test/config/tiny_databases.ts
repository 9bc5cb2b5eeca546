/** The smallest databases that mean something. */

const encoder = new TextEncoder();

function field(tag: number, bytes: readonly number[]): number[] {
  return [tag << 3 | 2, bytes.length, ...bytes];
}

/**
 * A site database of one list.
 * Source: v2fly geosite, GeoSiteList { entry = 1 { country_code = 1, domain = 2 { type = 1, value = 2 } } }.
 */
export function siteDatabase(code: string, names: readonly string[]): Uint8Array {
  const domains = names.flatMap((name) => field(2, [1 << 3, 2, ...field(2, [...encoder.encode(name)])]));
  return new Uint8Array(field(1, [...field(1, [...encoder.encode(code)]), ...domains]));
}

type Data = string | { readonly uint: number; readonly type: 5 | 6 | 9 } | { readonly [key: string]: Data };

/** MaxMind DB data section encoding of texts, numbers and maps. */
function encode(data: Data): number[] {
  if (typeof data === "string") return [2 << 5 | data.length, ...encoder.encode(data)];
  if ("uint" in data && typeof data.uint === "number") {
    const bytes = [data.uint >>> 8, data.uint & 255];
    return data.type === 9 ? [0 << 5 | 2, 9 - 7, ...bytes] : [data.type as number << 5 | 2, ...bytes];
  }
  const entries = Object.entries(data as { readonly [key: string]: Data });
  return [7 << 5 | entries.length, ...entries.flatMap(([key, value]) => [...encode(key), ...encode(value)])];
}

/**
 * A MaxMind database in which the lower half of IPv4 has the given record and the upper half has none.
 * Source: MaxMind DB file format specification 2.0.
 */
export function mmdb(type: string, record: { readonly [key: string]: Data }): Uint8Array {
  const tree = [0, 0, 1 + 16, 0, 0, 1];
  const metadata = {
    binary_format_major_version: { uint: 2, type: 5 },
    binary_format_minor_version: { uint: 0, type: 5 },
    build_epoch: { uint: 1, type: 9 },
    database_type: type,
    ip_version: { uint: 4, type: 5 },
    node_count: { uint: 1, type: 6 },
    record_size: { uint: 24, type: 5 },
  } as const;
  const marker = [0xab, 0xcd, 0xef, ...encoder.encode("MaxMind.com")];
  return new Uint8Array([...tree, ...Array(16).fill(0), ...encode(record), ...marker, ...encode(metadata)]);
}

/** 0.0.0.0/1 is in this country. */
export function countryDatabase(code: string): Uint8Array {
  return mmdb("GeoLite2-Country", { country: { iso_code: code } });
}
