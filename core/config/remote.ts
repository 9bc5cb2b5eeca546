/** Lists that are fetched over HTTP: their URLs and what is sent with the request. Source: mihomo component/resource/vehicle.go. */
import { isHeader } from "../outbound/http_connect.ts";
import type { RemoteFile } from "./files.ts";
import { expected, type Located, located, parsed, type Reader, type Reading } from "./schema.ts";
import { placeOf, shorten, type TableValue } from "./yaml_tree.ts";

/** A URL with `http` or `https`. It may hold a secret, so that no message shows more than its host. */
export const httpUrl: Reader<Located<string>> = located(parsed((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === "http:" || url?.protocol === "https:" ? text : undefined;
}, "a URL that begins with http:// or https://"));

/** `Authorization: [token]`: fields of the request, each with a list of values. */
export const requestHeaders: Reader<[string, string][]> = (value, at) => {
  if (value.kind !== "table") return expected("a table of header fields", value, at);
  const fields: [string, string][] = [];
  for (const [name, { value: written }] of value.entries) {
    for (const item of written.kind === "list" ? written.items : [written]) {
      if (item.kind === "scalar" && isHeader(name, item.text)) fields.push([name, item.text]);
      else at.issues.error(placeOf(item), `Cannot read ${at.name}: "${shorten(name)}" is no header field with a value`);
    }
  }
  return fields;
};

/** Where a provider's list comes from. Errors: reported, and undefined returned. */
export function remoteOf(
  fields: {
    url: Located<string> | undefined;
    header: readonly (readonly [string, string])[];
    interval: number;
    proxy: string | undefined;
  },
  node: TableValue,
  at: Reading,
): RemoteFile | undefined {
  if (fields.url === undefined) {
    if (!node.entries.has("url")) at.issues.error(placeOf(node), `Cannot read ${at.name}: the key "url" is missing`);
    return undefined;
  }
  const place = placeOf(fields.url.node);
  if (fields.proxy !== undefined && fields.proxy !== "DIRECT") {
    at.issues.warning(place, `weir does not use "proxy" in ${at.name} yet: the list is fetched directly`);
  }
  return { url: fields.url.value, headers: fields.header, intervalS: fields.interval, place };
}
