/**
 * Answers names itself: advertisers get no answer, a private domain is asked from the office's own servers through the tunnel, and one server
 * is moved without touching any machine. It needs `dns: { enable: true }` in the configuration.
 */
import { definePolicy } from "weir";

const ADS = ["ads.example.net", "track.example.net"];
const OFFICE_SERVERS = ["10.0.0.53#office", "10.0.1.53#office"];

/** True for the domain itself and everything below it. */
function isIn(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

export default definePolicy({
  onDns({ name, type }) {
    if (ADS.some((domain) => isIn(name, domain))) return { rcode: "nxdomain" };
    if (isIn(name, "corp.example.com")) return { upstream: OFFICE_SERVERS };
    if (name === "old.example.org") return { rewrite: "new.example.org" };
    if (name === "printer.home.arpa" && type === "A") return { answer: "192.168.1.20", ttl: 300 };
    return undefined;
  },
});
