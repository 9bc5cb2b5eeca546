/**
 * Runs under Wine: whom sockets belong to, by the system's tables. Prints one JSON object.
 * processes.ts [IPHLPAPI]
 */
import { parseIp } from "../../../core/base/ip_address.ts";
import type { LocalSocket } from "../../../core/host/process_source.ts";
import { openProcessSource } from "../../../ffi/iphlpapi/process_source.ts";
import { Advapi32, isElevated, listServices, queryService } from "../../../ffi/win32/advapi32.ts";
import { claimName, Kernel32 } from "../../../ffi/win32/kernel32.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";

function socketOf(network: "tcp" | "udp", local: Deno.Addr, remote: Deno.Addr): LocalSocket {
  const at = (address: Deno.Addr) => address as Deno.NetAddr;
  return {
    network,
    localIp: parseIp(at(local).hostname)!,
    localPort: at(local).port,
    remoteIp: parseIp(at(remote).hostname)!,
    remotePort: at(remote).port,
  };
}

/** The owner of a connection from `target` as seen from its client, and of its server's side. */
async function connection(listenAt: string, target: string): Promise<unknown> {
  using listener = Deno.listen({ hostname: listenAt, port: 0 });
  const port = (listener.addr as Deno.NetAddr).port;
  using client = await Deno.connect({ hostname: target, port });
  using _server = await listener.accept();
  const forward = socketOf("tcp", client.localAddr, { transport: "tcp", hostname: target, port });
  const backward: LocalSocket = {
    network: "tcp",
    localIp: forward.remoteIp,
    localPort: port,
    remoteIp: forward.localIp,
    remotePort: forward.localPort,
  };
  const strangers: LocalSocket = { ...backward, remotePort: 1, isAccepting: true };
  return {
    client: source.findOwner(forward) === Deno.pid,
    server: source.findOwner(backward) === Deno.pid,
    listener: source.findOwner(strangers) === Deno.pid,
    nobody: source.findOwner({ ...backward, remotePort: 1 }) ?? null,
  };
}

function ownsDatagramsAt(localIp: string, localPort: number): boolean {
  const remoteIp = parseIp("192.0.2.1")!;
  return source.findOwner({ network: "udp", localIp: parseIp(localIp)!, localPort, remoteIp, remotePort: 53 }) ===
    Deno.pid;
}

/** Sockets of both versions, which Deno does not make. Source: winsock2.h, ws2ipdef.h. */
const winsock = Deno.dlopen("ws2_32.dll", {
  socket: { parameters: ["i32", "i32", "i32"], result: "usize" },
  setsockopt: { parameters: ["usize", "i32", "i32", "buffer", "i32"], result: "i32" },
  bind: { parameters: ["usize", "buffer", "i32"], result: "i32" },
  connect: { parameters: ["usize", "buffer", "i32"], result: "i32" },
  getsockname: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
  closesocket: { parameters: ["usize"], result: "i32" },
}).symbols;
const [AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY] = [2, 23, 41, 27];

function dualStack(kind: 1 | 2): { readonly socket: bigint; readonly address: Uint8Array<ArrayBuffer> } {
  const socket = winsock.socket(AF_INET6, kind, kind === 1 ? 6 : 17);
  winsock.setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, new Uint8Array(4), 4);
  const address = new Uint8Array(28);
  address[0] = AF_INET6;
  return { socket, address };
}

function portOf(socket: bigint, address: Uint8Array<ArrayBuffer>): number {
  winsock.getsockname(socket, address, new Int32Array([28]));
  return new DataView(address.buffer).getUint16(2);
}

/** An IPv4 connection of a socket of IPv6. */
function dualStackConnection(): boolean {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const remotePort = (listener.addr as Deno.NetAddr).port;
  const { socket, address } = dualStack(1);
  new DataView(address.buffer).setUint16(2, remotePort);
  address.set([0xff, 0xff, 127, 0, 0, 1], 18);
  if (winsock.connect(socket, address, 28) !== 0) return false;
  const [localIp, remoteIp] = [parseIp("127.0.0.1")!, parseIp("127.0.0.1")!];
  const localPort = portOf(socket, address);
  const owner = source.findOwner({ network: "tcp", localIp, localPort, remoteIp, remotePort });
  winsock.closesocket(socket);
  return owner === Deno.pid;
}

/** A datagram socket at an address that is named by its first byte, 127 or 0, and by its last one. */
function datagrams(family: number, first: number, last: number, asked: string): boolean {
  const socket = winsock.socket(family, 2, 17);
  const address = new Uint8Array(28);
  address.set([family]);
  address.set([first, 0, 0, last], family === AF_INET ? 4 : 20);
  if (winsock.bind(socket, address, family === AF_INET ? 16 : 28) !== 0) return false;
  const isOurs = ownsDatagramsAt(asked, portOf(socket, address));
  winsock.closesocket(socket);
  return isOurs;
}

function dualStackDatagrams(): boolean {
  const { socket, address } = dualStack(2);
  if (winsock.bind(socket, address, 28) !== 0) return false;
  const isOurs = ownsDatagramsAt("10.1.2.3", portOf(socket, address));
  winsock.closesocket(socket);
  return isOurs;
}

using opened = openProcessSource(Deno.args[0]);
const { source } = opened;
using kernel32 = Kernel32.open();
using advapi32 = Advapi32.open();

function nameTwice(): number {
  using _first = claimName(kernel32.calls, "weir-test-name");
  try {
    claimName(kernel32.calls, "weir-test-name").close();
    return 0;
  } catch (error) {
    return error instanceof WinError ? error.code : -1;
  }
}

let kept = 0;
for (let i = 1; i <= 10_000; i++) {
  kernel32.calls.SetLastError(i);
  if (kernel32.calls.GetLastError() === i) kept++;
}
const before = source.describe(Deno.pid);
await new Promise((resolve) => setTimeout(resolve, 300));
const services = listServices(kernel32.calls, advapi32.calls);
const hits = 2_000;
const result: Record<string, unknown> = {
  lastErrorsKept: kept,
  nameTwice: nameTwice(),
  tcp4: await connection("127.0.0.1", "127.0.0.1"),
  tcp6: await connection("::1", "::1"),
  tcpDualStack: dualStackConnection(),
  udp: datagrams(AF_INET, 127, 1, "127.0.0.1"),
  udpWildcard: datagrams(AF_INET, 0, 0, "127.0.0.1"),
  udpWildcard6: datagrams(AF_INET6, 0, 0, "::1"),
  udpDualStack: dualStackDatagrams(),
  self: { ...source.describe(Deno.pid), processId: 0 },
  userBefore: before?.user,
  system: source.describe(4),
  idle: source.describe(0) ?? null,
  gone: source.describe(0x7fff_fff0) ?? null,
  isElevated: isElevated(kernel32.calls, advapi32.calls),
  noService: queryService(kernel32.calls, advapi32.calls, "WinDivert"),
  services: services.length,
  servicesNamed: services.every(({ name }) => name !== ""),
  isLocal: [source.isLocal(parseIp("127.0.0.1")!), source.isLocal(parseIp("192.0.2.77")!)],
};
using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
using client = await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port });
const socket = socketOf("tcp", client.localAddr, listener.addr);
const from = performance.now();
for (let i = 0; i < hits; i++) source.findOwner(socket);
const reused = performance.now();
let misses = 0;
for (; misses < 50; misses++) {
  await Promise.resolve();
  source.findOwner(socket);
}
const read = performance.now();
for (let i = 0; i < hits; i++) source.describe(Deno.pid);
result["microseconds"] = {
  reusedTables: ((reused - from) / hits) * 1000,
  readTables: ((read - reused) / misses) * 1000,
  describe: ((performance.now() - read) / hits) * 1000,
};
console.log(JSON.stringify(result));
