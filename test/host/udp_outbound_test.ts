import { assert, assertEquals } from "@std/assert";
import { createSocket, type Socket } from "node:dgram";
import { formatIp, ipFromWords, parseIp } from "../../core/base/ip_address.ts";
import { micros } from "../../core/base/micros.ts";
import { Dialer } from "../../core/host/dial.ts";
import { Outbounds } from "../../core/host/outbounds.ts";
import { UdpOutbounds } from "../../core/host/udp_outbound.ts";
import type { UdpSource } from "../../core/host/udp_relay.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import { testEnv } from "../support/outbound_pairs.ts";

const LOOPBACK = parseIp("127.0.0.1")!;
const FAKE = parseIp("198.18.0.4")!;
const LOST = {
  ...{ name: "lost", protocol: { kind: "ss", cipher: "aes-128-gcm", password: "x" }, server: "127.0.0.1", port: 9 },
  ...{ udp: true, tls: undefined, webSocket: undefined, dialer: "nobody", interfaceName: undefined, ipVersion: "dual" },
} as OutboundSettings;

/** An application's source that notes what comes: "from:port text". */
class Application implements UdpSource {
  isOpen = true;
  readonly got: string[] = [];
  #wake = () => {};

  send(from: Uint32Array, fromPort: number, bytes: Uint8Array, at: number, length: number): boolean {
    const [w0, w1, w2, w3] = from as unknown as [number, number, number, number];
    const text = new TextDecoder().decode(bytes.subarray(at, at + length));
    this.got.push(`${formatIp(ipFromWords(w0, w1, w2, w3))}:${fromPort} ${text}`);
    this.#wake();
    return true;
  }

  /** Waits for so many datagrams. */
  async has(count: number): Promise<string[]> {
    while (this.got.length < count) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.got;
  }
}

function openEcho(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket)));
}

function make() {
  const told: string[] = [];
  const outbounds = new Outbounds([LOST], {
    dialer: new Dialer(),
    env: testEnv(),
    resolve: () => Promise.resolve([LOOPBACK]),
  });
  const udp = new UdpOutbounds(outbounds, { now: () => micros(0), touched: () => {}, closed: (why) => told.push(why) });
  return { udp, told };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("UdpOutbounds answers from the address that the application sent to, fake ones too", async () => {
  const [first, second] = [await openEcho(), await openEcho()];
  const { udp, told } = make();
  const application = new Application();
  const [port, other] = [first.address().port, second.address().port];
  udp.send(application, [], { address: undefined, host: "echo.test", port }, { address: FAKE, port }, bytes("one"));
  udp.send(
    application,
    [],
    { address: LOOPBACK, host: "", port: other },
    { address: LOOPBACK, port: other },
    bytes("two"),
  );
  assertEquals([...await application.has(2)].sort(), [`127.0.0.1:${other} two`, `198.18.0.4:${port} one`].sort());
  assertEquals(udp.channelCount, 1);
  udp.forget(application);
  assertEquals([udp.channelCount, told], [0, [""]]);
  assertEquals(udp.counts, { sent: 2, received: 2, undelivered: 0, evicted: 0 });
  for (const socket of [first, second]) socket.close();
});

Deno.test("UdpOutbounds opens a new way for the next datagram once the old one has been closed", async () => {
  const echo = await openEcho();
  const { port } = echo.address();
  const { udp } = make();
  const application = new Application();
  for (const text of ["one", "two", "three"]) {
    udp.send(application, [], { address: LOOPBACK, host: "", port }, { address: LOOPBACK, port }, bytes(text));
    await application.has(application.got.length + 1);
    udp.close();
    assertEquals(udp.channelCount, 0);
  }
  assertEquals(application.got.map((line) => line.split(" ")[1]), ["one", "two", "three"]);
  echo.close();
});

Deno.test("UdpOutbounds sends nothing straight out when a proxy of the chain is not there, and says so", async () => {
  const echo = await openEcho();
  let came = 0;
  echo.on("message", () => came++);
  const { port } = echo.address();
  const { udp, told } = make();
  const application = new Application();
  for (const chain of [["nobody"], ["lost"]]) {
    udp.send(application, chain, { address: LOOPBACK, host: "", port }, { address: LOOPBACK, port }, bytes("x"));
  }
  await new Promise((resolve) => echo.send(bytes("last"), port, "127.0.0.1", resolve));
  assertEquals([udp.channelCount, udp.counts.sent, told.length], [0, 0, 2]);
  assert(
    told.every((why) => /^Cannot use the proxy "(nobody|lost)"/.test(why) || why.includes('"nobody"')),
    told.join("\n"),
  );
  assert(came <= 1);
  echo.close();
});

/** A SOCKS 5 server for associations only: each datagram goes back as it came, so its destination becomes its source. */
async function startAssociations() {
  const relay = await openEcho();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controls: Deno.TcpConn[] = [];
  const accept = async () => {
    for await (const conn of listener) {
      controls.push(conn);
      const buffer = new Uint8Array(100);
      await conn.read(buffer);
      await conn.write(Uint8Array.of(5, 0));
      await conn.read(buffer);
      const { port } = relay.address();
      await conn.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, port >>> 8, port & 255));
    }
  };
  const accepting = accept();
  const close = async () => {
    listener.close();
    relay.close();
    await accepting;
    for (const conn of controls.splice(0)) conn.close();
  };
  return { port: listener.addr.port, controls, close };
}

Deno.test("UdpOutbounds tells that a SOCKS 5 server ended the association, and asks for another with the next datagram", async () => {
  const server = await startAssociations();
  const told: string[] = [];
  const proxy: OutboundSettings = {
    ...{ name: "p", protocol: { kind: "socks5", login: undefined }, server: "127.0.0.1", port: server.port, udp: true },
    ...{ tls: undefined, webSocket: undefined, dialer: undefined, interfaceName: undefined, ipVersion: "dual" },
  };
  const outbounds = new Outbounds([proxy], {
    dialer: new Dialer(),
    env: testEnv(),
    resolve: () => Promise.resolve([LOOPBACK]),
  });
  const ended = Promise.withResolvers<void>();
  const udp = new UdpOutbounds(outbounds, {
    now: () => micros(0),
    touched: () => {},
    closed: (why) => {
      told.push(why);
      ended.resolve();
    },
  });
  const application = new Application();
  const send = (text: string) =>
    udp.send(application, ["p"], { address: LOOPBACK, host: "", port: 7 }, { address: FAKE, port: 7 }, bytes(text));
  send("one");
  send("two");
  assertEquals([...await application.has(2)].sort(), ["198.18.0.4:7 one", "198.18.0.4:7 two"]);
  assertEquals(server.controls.length, 1);
  server.controls.shift()!.close();
  await ended.promise;
  assertEquals([udp.channelCount, told], [0, ["the SOCKS 5 server ended the association"]]);
  send("three");
  assertEquals((await application.has(3)).at(-1), "198.18.0.4:7 three");
  udp.close();
  assertEquals(udp.channelCount, 0);
  await server.close();
});
