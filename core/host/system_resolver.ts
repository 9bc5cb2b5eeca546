/** The addresses of a host as this machine's own resolver knows them. */
import { lookup } from "node:dns/promises";
import { type IpAddress, parseIp } from "../base/ip_address.ts";
import { SYSTEM_RESOLVE_TIMEOUT_MS } from "../base/limits.ts";

/** Asks the system for a host's addresses. Errors: an Error that says why there are none. */
export async function resolveWithSystem(host: string): Promise<IpAddress[]> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer in ${SYSTEM_RESOLVE_TIMEOUT_MS / 1000} s`)),
      SYSTEM_RESOLVE_TIMEOUT_MS,
    );
  });
  try {
    const found = await Promise.race([lookup(host, { all: true }), timeout]);
    return found.map(({ address }) => parseIp(address)).filter((ip) => ip !== undefined);
  } catch (error) {
    throw isUnknownHost(error) ? new Error("there is no such host") : error;
  } finally {
    clearTimeout(timer);
  }
}

function isUnknownHost(error: unknown): boolean {
  return error instanceof Error && ["ENOTFOUND", "ENODATA"].includes(String((error as { code?: unknown }).code));
}
