/** Owners of sockets that this process opens on the loopback, as the kernel and /proc tell them. */
import { assert, assertEquals } from "@std/assert";
import { createSocket, type Socket } from "node:dgram";
import { parseIp } from "../../../core/base/ip_address.ts";
import type { LocalSocket } from "../../../core/host/process_source.ts";
import { LinuxProcessSource } from "../../../ffi/linux/process_source.ts";

function linuxTest(name: string, fn: (source: LinuxProcessSource) => Promise<void>): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      using source = new LinuxProcessSource();
      await fn(source);
    },
  });
}

function socketOf(
  network: "tcp" | "udp",
  local: { hostname: string; port: number },
  remote: { hostname: string; port: number },
): LocalSocket {
  return {
    network,
    localIp: parseIp(local.hostname)!,
    localPort: local.port,
    remoteIp: parseIp(remote.hostname)!,
    remotePort: remote.port,
  };
}

for (const [listening, dialed] of [["127.0.0.1", "127.0.0.1"], ["::1", "::1"], ["::", "127.0.0.1"]] as const) {
  linuxTest(`findOwner() finds both ends of a connection from ${dialed} to ${listening}`, async (source) => {
    using listener = Deno.listen({ hostname: listening, port: 0 });
    const accepted = listener.accept();
    using near = await Deno.connect({ hostname: dialed, port: listener.addr.port });
    using _far = await accepted;
    const ends = [near.localAddr, near.remoteAddr] as [Deno.NetAddr, Deno.NetAddr];
    assertEquals(source.findOwner(socketOf("tcp", ends[0], ends[1])), Deno.pid);
    assertEquals(source.findOwner({ ...socketOf("tcp", ends[1], ends[0]), isAccepting: true }), Deno.pid);
    // What is asked a second time comes from memory; a wrong destination, as rules make them, does not hide the owner.
    assertEquals(source.findOwner(socketOf("tcp", ends[0], ends[1])), Deno.pid);
    assertEquals(source.findOwner(socketOf("tcp", ends[0], { hostname: dialed, port: 9 })), Deno.pid);
  });
}

linuxTest("findOwner() finds a listening socket only when the far side opened the flow", (source) => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const socket = socketOf("tcp", listener.addr, { hostname: "127.0.0.1", port: 9 });
  assertEquals(source.findOwner(socket), undefined);
  assertEquals(source.findOwner({ ...socket, isAccepting: true }), Deno.pid);
  return Promise.resolve();
});

linuxTest("findOwner() finds nobody when a connection is closed", async (source) => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const socket = socketOf("tcp", near.localAddr as Deno.NetAddr, near.remoteAddr as Deno.NetAddr);
  assertEquals(source.findOwner(socket), Deno.pid);
  near.close();
  (await accepted).close();
  assertEquals(source.findOwner(socket), undefined);
});

async function bound(
  type: "udp4" | "udp6",
  address: string,
  peer?: { port: number; address: string },
): Promise<Socket> {
  const socket = createSocket(type);
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  if (peer !== undefined) {
    await new Promise<void>((resolve) => socket.connect(peer.port, peer.address, () => resolve()));
  }
  return socket;
}

const DATAGRAMS: readonly (readonly [string, "udp4" | "udp6", string, string, boolean])[] = [
  ["bound to its address", "udp4", "127.0.0.1", "127.0.0.1", false],
  ["bound to any address", "udp4", "0.0.0.0", "127.0.0.1", false],
  ["connected", "udp4", "0.0.0.0", "127.0.0.1", true],
  ["IPv6 and bound to any address", "udp6", "::", "::1", false],
  ["of both versions", "udp6", "::", "127.0.0.1", false],
];

for (const [what, type, address, local, isConnected] of DATAGRAMS) {
  linuxTest(`findOwner() finds a UDP socket when it is ${what}`, async (source) => {
    const socket = await bound(type, address, isConnected ? { port: 9, address: local } : undefined);
    try {
      const wanted = socketOf("udp", { hostname: local, port: socket.address().port }, { hostname: local, port: 9 });
      assertEquals(source.findOwner(wanted), Deno.pid);
      assertEquals(source.findOwner({ ...wanted, network: "tcp" }), undefined);
    } finally {
      socket.close();
    }
  });
}

linuxTest("describe() says what this process is, the same way twice", (source) => {
  const owner = source.describe(Deno.pid)!;
  assertEquals([owner.path, owner.processId, owner.uid], [Deno.realPathSync(Deno.execPath()), Deno.pid, Deno.uid()]);
  assertEquals(owner.name, owner.path.slice(owner.path.lastIndexOf("/") + 1));
  assert(source.describe(Deno.pid) === owner);
  assertEquals(source.describe(0), undefined);
  return Promise.resolve();
});

linuxTest("isLocal() knows this machine's addresses", (source) => {
  const is = (text: string) => source.isLocal(parseIp(text)!);
  assertEquals([is("127.0.0.1"), is("127.9.9.9"), is("192.0.2.1"), is("127.0.0.1")], [true, true, false, true]);
  return Promise.resolve();
});
