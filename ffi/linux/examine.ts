/** What this Linux machine has for `weir doctor`. Read first: proc(5), capabilities(7). */
import type { LinuxFacts } from "../../core/host/machine_facts.ts";

/** Bit numbers. Source: linux/capability.h. */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;
const FOLDERS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/** The effective capabilities in the text of /proc/self/status; undefined when it names none. */
export function effectiveCapabilities(status: string): bigint | undefined {
  const found = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  return found === null ? undefined : BigInt(`0x${found[1]}`);
}

/** The device names in the text of /proc/net/dev. */
export function deviceNames(text: string): string[] {
  return [...text.matchAll(/^\s*([^\s:|]+):/gm)].map((match) => match[1]!);
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${name}`).find(isThere);
}

function tunDevice(): LinuxFacts["tunDevice"] {
  try {
    Deno.openSync("/dev/net/tun", { read: true, write: true }).close();
    return "present";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "absent" : "denied";
  }
}

/** A module of the kernel counts as well: it is loaded when the first rule asks for it. Source: modules.dep(5). */
function hasNfqueue(): boolean | undefined {
  if (isThere("/proc/net/netfilter/nfnetlink_queue")) return true;
  const release = readText("/proc/sys/kernel/osrelease")?.trim();
  if (release === undefined) return undefined;
  const listed = ["modules.builtin", "modules.dep"].map((file) => readText(`/lib/modules/${release}/${file}`));
  if (listed.every((text) => text === undefined)) return undefined;
  return listed.some((text) => text?.includes("nfnetlink_queue.ko") === true);
}

/** Examines this machine. Looks only; changes nothing. */
export function examineLinux(): LinuxFacts {
  const capabilities = effectiveCapabilities(readText("/proc/self/status") ?? "");
  const may = (bit: bigint) => capabilities === undefined ? undefined : ((capabilities >> bit) & 1n) === 1n;
  return {
    kind: "linux",
    mayAdminister: may(CAP_NET_ADMIN),
    maySendRaw: may(CAP_NET_RAW),
    tunDevice: tunDevice(),
    iptables: findProgram("iptables"),
    ip6tables: findProgram("ip6tables"),
    hasNfqueue: hasNfqueue(),
    interfaces: deviceNames(readText("/proc/net/dev") ?? ""),
  };
}
