import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { formatIp, type IpAddress, parsePrefix } from "../../core/base/ip_address.ts";
import { type AcceptedFlows, openReflectListeners, openTunListeners, peerOf } from "../../core/host/system_listener.ts";

Deno.test("peerOf() finds another host address of a device's network", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["198.18.0.1/30", "198.18.0.2"],
    ["198.18.0.2/30", "198.18.0.1"],
    ["10.0.0.254/24", "10.0.0.253"],
    ["10.0.0.0/31", "10.0.0.1"],
    ["10.0.0.1/31", "10.0.0.0"],
    ["10.255.255.254/8", "10.255.255.253"],
    ["10.0.0.255/16", "10.0.1.0"],
    ["10.0.0.1/32", undefined],
    ["fdfe:dcba:9876::1/126", "fdfe:dcba:9876::2"],
    ["fd18::1/64", "fd18::2"],
    ["fd18::ffff:ffff/64", "fd18::ffff:fffe"],
    ["fd18::1/128", undefined],
  ];
  for (const [prefix, expected] of cases) {
    const peer = peerOf(parsePrefix(prefix)!);
    assertEquals([prefix, peer && formatIp(peer)], [prefix, expected]);
  }
});

const listenLocal = () => Deno.listen({ hostname: "127.0.0.1", port: 0 });
const addresses = [parsePrefix("127.0.0.1/8")!];

/** Says of one connection after the other whose it is. */
class Flows implements AcceptedFlows {
  readonly order: number[] = [];
  readonly closed = new Set<number>();
  readonly seen: string[] = [];

  flowOf(remote: IpAddress, remotePort: number, local: IpAddress, localPort: number): number {
    this.seen.push(`${formatIp(remote)}:${remotePort} ${formatIp(local)}:${localPort}`);
    return this.order.shift() ?? -1;
  }

  isOpen(flow: number): boolean {
    return !this.closed.has(flow);
  }
}

Deno.test("openTunListeners() says what is missing, and leaves no listener behind", async () => {
  const opened: Deno.TcpListener[] = [];
  const listen = (address: string) => {
    if (address.includes(":")) throw new Error("address in use");
    const listener = listenLocal();
    opened.push(listener);
    return listener;
  };
  const why = "the device has no address with room for a second one beside it";
  assertThrows(() => openTunListeners([parsePrefix("10.0.0.1/32")!], listen), Error, why);
  const both = [parsePrefix("127.0.0.1/8")!, parsePrefix("fd18::1/64")!];
  assertThrows(
    () => openTunListeners(both, listen),
    Error,
    "Cannot listen on fd18::1 for the system's TCP: address in use",
  );
  await assertRejects(() => opened[0]!.accept(), Deno.errors.BadResource);
});

Deno.test("SystemListener hands each connection to its flow, whoever comes first", async () => {
  const flows = new Flows();
  const system = openTunListeners(addresses, listenLocal);
  system.start(flows);
  const { v4 } = system.listeners;
  assert(v4 !== undefined && "peer" in v4 && formatIp(v4.peer) === "127.0.0.2");
  flows.order.push(7, 8);
  const asked = system.accepted(7);
  const clients = [await Deno.connect({ hostname: "127.0.0.1", port: v4.port })];
  const conn = (await asked)!;
  clients.push(await Deno.connect({ hostname: "127.0.0.1", port: v4.port }));
  const later = (await system.accepted(8))!;
  const ports = clients.map(({ localAddr }) => localAddr.port);
  assertEquals([conn.remoteAddr.port, later.remoteAddr.port], ports);
  assertEquals(flows.seen, ports.map((port) => `127.0.0.1:${port} 127.0.0.1:${v4.port}`));
  for (const open of [conn, later, ...clients]) open.close();
  system.close();
  system.close();
});

Deno.test("SystemListener closes strangers, and what waits when it closes", async () => {
  const flows = new Flows();
  const system = openTunListeners(addresses, listenLocal);
  system.start(flows);
  const client = await Deno.connect({ hostname: "127.0.0.1", port: system.listeners.v4!.port });
  assertEquals(await client.read(new Uint8Array(1)), null);
  assertEquals(system.foreign, 1);
  const asked = system.accepted(9);
  system.close();
  assertEquals(await asked, undefined);
  client.close();
});

Deno.test("SystemListener gives up a flow that is over before it was accepted", async () => {
  const flows = new Flows();
  const system = openTunListeners(addresses, listenLocal);
  system.start(flows);
  const asked = system.accepted(9);
  flows.closed.add(9);
  assertEquals(await asked, undefined);
  system.close();
});

Deno.test("openReflectListeners() listens on all addresses of both versions, or of the one that there is", () => {
  const asked: string[] = [];
  const both = openReflectListeners((address) => (asked.push(address), listenLocal()));
  assertEquals([asked, both.listeners.way, both.listeners.v6 !== undefined], [["0.0.0.0", "::"], "reflect", true]);
  both.close();
  const one = openReflectListeners((address) => {
    if (address === "::") throw new Error("no IPv6");
    return listenLocal();
  });
  assertEquals(one.listeners.v6, undefined);
  one.close();
});
