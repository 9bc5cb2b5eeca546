/**
 * Refuses QUIC to hosts that are reached by a proxy, so that browsers fall back to TCP, which proxies carry better. An answer may take its time:
 * this one asks a promise, as a policy that looks something up would.
 */
import { definePolicy } from "weir";

const PROXIED = /(^|\.)example\.org$/;

function isProxied(host: string): Promise<boolean> {
  return Promise.resolve(PROXIED.test(host));
}

export default definePolicy({
  async onConnection(meta) {
    const quic = meta.network === "udp" && meta.destinationPort === "443";
    if (quic && await isProxied(meta.sniffHost || meta.host)) return "REJECT";
    return undefined;
  },
});
