/** Proxies are tried out: an address is fetched through them, and the time is taken. */
import { parseIp } from "../base/ip_address.ts";
import { HEALTH_BODY_BYTES_MAX } from "../base/limits.ts";
import type { HealthCheck } from "../outbound/groups.ts";
import type { Duplex } from "./duplex.ts";
import { HttpStream } from "./http_exchange.ts";
import type { Outbounds } from "./outbounds.ts";
import { wrapTls } from "./tls_transport.ts";

/** True for a status that `*`, `204` or `200/302-308` allows. */
export function isExpectedStatus(status: number, expected: string): boolean {
  if (expected === "*" || expected === "") return status >= 200 && status < 400 || expected === "*";
  return expected.split("/").some((part) => {
    const [low = NaN, high = low] = part.split("-").map(Number);
    return status >= low && status <= high;
  });
}

/** Fetches what a check wants. Units: ms until the answer's head; undefined when there was none in time, or another one. Never rejects. */
export async function carryOutCheck(
  { chain, url, expectedStatus, timeoutMs }: HealthCheck,
  outbounds: Outbounds,
  clockMs: () => number,
): Promise<number | undefined> {
  const giveUp = new AbortController();
  const open: { stream?: Duplex } = {};
  const timer = setTimeout(() => {
    giveUp.abort();
    open.stream?.abort();
  }, timeoutMs);
  const late = new Promise<undefined>((resolve) => giveUp.signal.addEventListener("abort", () => resolve(undefined)));
  try {
    const start = clockMs();
    const status = await Promise.race([fetchStatus(new URL(url), chain, outbounds, giveUp.signal, open), late]);
    if (status === undefined || !isExpectedStatus(status, expectedStatus)) return undefined;
    return Math.max(1, Math.round(clockMs() - start));
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    open.stream?.close();
  }
}

async function fetchStatus(
  url: URL,
  chain: readonly string[],
  outbounds: Outbounds,
  signal: AbortSignal,
  open: { stream?: Duplex },
): Promise<number> {
  const isSecure = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const address = parseIp(host);
  const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
  const result = await outbounds.connect(chain, { address, host: address === undefined ? host : "", port }, signal);
  if (result.stream === undefined) throw new Error(result.message);
  open.stream = result.stream;
  if (isSecure) {
    const alpn = ["http/1.1"];
    open.stream = await wrapTls(result.stream, {
      serverName: host,
      alpn,
      skipsVerification: false,
      fingerprint: undefined,
      authorities: undefined,
    });
  }
  const request = { method: "HEAD", authority: url.host, path: `${url.pathname}${url.search}`, headers: [] } as const;
  return (await new HttpStream(open.stream).request(request, HEALTH_BODY_BYTES_MAX)).status;
}
