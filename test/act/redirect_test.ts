/** Diverted packets: what is proxied is reflected to a listener, or ends in the stack; everything else goes on byte for byte. */
import { assert, assertEquals } from "@std/assert";
import type { DialCommand } from "../../core/act/command.ts";
import type { TranslateOptions } from "../../core/act/translate_options.ts";
import { Direction } from "../../core/adapter/arena.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import type { PacketMeta } from "../../core/parse/packet_meta.ts";
import { Verify } from "../../core/parse/parse.ts";
import { DivertAdapter } from "../support/divert_adapter.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { ipv4Packet, tcpPacket, type TransportChoices, udpDatagram, udpPacket } from "../support/packets.ts";
import { parseOne } from "../support/slots.ts";

const PORT = 7_001;
const REFLECT: TranslateOptions = { listeners: { way: "reflect", v4: { port: PORT }, v6: { port: PORT } }, secret: 5 };
const { Inbound, Outbound } = Direction;
const APP = "192.0.2.1";
const SERVER = "198.51.100.2";

class World extends EngineWorld {
  readonly device: DivertAdapter;

  constructor(mode: "redirect" | "netstack") {
    const adapter = new DivertAdapter();
    const translate = mode === "redirect" ? { translate: REFLECT } : {};
    super({ stack: { env: new Prng(5) }, adapter, ...translate });
    this.device = adapter;
    this.decider.script.action = "proxy";
  }

  /** Lets a packet in as one that goes out, or comes in. */
  send(direction: Direction, ...packets: Uint8Array[]): void {
    this.device.directions[0] = direction;
    this.feed(...packets);
  }

  /** The tuple of the packet that left first, its direction, and whether it was made (m) or reinjected (r). */
  take(): string {
    const left = this.device.left.shift();
    if (left === undefined) return "nothing";
    const { reason, meta } = parseOne(left.bytes, { verify: Verify.All });
    assertEquals(reason, "none");
    const way = left.direction === Inbound ? "in" : left.direction === Outbound ? "out" : "?";
    return `${left.tag < 0 ? "m" : "r"} ${way} ${end(meta, 0, meta.sourcePort)} ${end(meta, 4, meta.destinationPort)}`;
  }

  dial(): DialCommand {
    const command = this.engine.commands.shift();
    assertEquals(command?.kind, "dial");
    return command as DialCommand;
  }

  /** Opens a flow up to its SYN at the listener. */
  open(choices: TransportChoices = {}): string {
    this.send(Outbound, tcpPacket({ flags: "S", sequence: 100, ...choices }));
    const { flow } = this.dial();
    this.engine.handle({ kind: "dialed", flow }, this.now);
    return this.take();
  }
}

function end(meta: PacketMeta, at: number, port: number): string {
  const word = meta.words[at + 3]!;
  const isV4 = meta.words[at + 2] === 0xffff;
  return isV4
    ? `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}:${port}`
    : `[${meta.words[at]!.toString(16)}::${word}]:${port}`;
}

Deno.test("Engine reflects a proxied connection to the listener and its answers to the application", () => {
  const world = new World("redirect");
  assertEquals(world.open(), `m in ${SERVER}:50000 ${APP}:${PORT}`);
  assertEquals(world.device.dropped, [0], "the SYN that was kept ended in the device");
  const listener = { source: APP, sourcePort: PORT, destination: SERVER, destinationPort: 50_000 };
  world.send(Outbound, tcpPacket({ ...listener, flags: "SA", sequence: 900, acknowledgment: 101 }));
  assertEquals(world.take(), `m in ${SERVER}:443 ${APP}:50000`);
  world.send(Outbound, tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 901, payload: "x" }));
  assertEquals(world.take(), `m in ${SERVER}:50000 ${APP}:${PORT}`);
  assertEquals(world.device.dropped, [0, 1, 2], "what is rewritten is no longer the packet that was diverted");
  const { translator } = world.engine;
  assertEquals(translator!.flowOfAccepted(parseIp(SERVER)!, 50_000, parseIp(APP)!, PORT), 0);
  world.finish();
  assertEquals(world.ended.length, 1);
});

Deno.test("Engine keeps addresses and direction between loopback addresses", () => {
  for (
    const [source, destination, from, to] of [
      ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"],
      ["0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:1", "[0::1]", "[0::1]"],
    ] as const
  ) {
    const world = new World("redirect");
    assertEquals(world.open({ source, destination }), `m out ${from}:50000 ${to}:${PORT}`);
    const back = { source: destination, sourcePort: PORT, destination: source, destinationPort: 50_000 };
    world.send(Outbound, tcpPacket({ ...back, flags: "SA", sequence: 900, acknowledgment: 101 }));
    assert(world.device.left[0]!.isChanged, "the device computes the checksums of what was changed");
    assertEquals(world.take(), `r out ${to}:443 ${from}:50000`);
    world.send(Outbound, tcpPacket({ source, destination, flags: "A", sequence: 101, acknowledgment: 901 }));
    assertEquals(world.take(), `r out ${from}:50000 ${to}:${PORT}`);
    assertEquals(world.device.dropped, [0], "only the SYN was kept");
    world.engine.translator!.abort(0, world.now);
    assertEquals([world.take(), world.take()], [
      `m out ${to}:443 ${from}:50000`,
      `m out ${from}:50000 ${to}:${PORT}`,
    ]);
    world.finish();
  }
});

Deno.test("Engine tells connections apart that differ in the server's port alone", () => {
  const world = new World("redirect");
  assertEquals(world.open({ destinationPort: 80 }), `m in ${SERVER}:50000 ${APP}:${PORT}`);
  const second = world.open({ destinationPort: 443 });
  const port = Number(/:(\d+) /.exec(second)![1]);
  assert(port !== 50_000);
  assertEquals(second, `m in ${SERVER}:${port} ${APP}:${PORT}`);
  for (const [natPort, serverPort] of [[50_000, 80], [port, 443]] as const) {
    const listener = { source: APP, sourcePort: PORT, destination: SERVER, destinationPort: natPort };
    world.send(Outbound, tcpPacket({ ...listener, flags: "SA", sequence: 900, acknowledgment: 101 }));
    assertEquals(world.take(), `m in ${SERVER}:${serverPort} ${APP}:50000`);
  }
  assertEquals(world.open({ source: "192.0.2.9", destinationPort: 443 }), `m in ${SERVER}:50000 192.0.2.9:${PORT}`);
  world.finish();
});

Deno.test("Engine never lets the listener's stray packets out, and takes a stranger's port for what it is", () => {
  const world = new World("redirect");
  const stray = { source: APP, sourcePort: PORT, destination: SERVER, destinationPort: 50_000 };
  world.send(Outbound, tcpPacket({ ...stray, flags: "FA", sequence: 1, acknowledgment: 2 }));
  assertEquals([world.take(), world.take()], [`m in ${SERVER}:50000 ${APP}:${PORT}`, "nothing"]);
  assertEquals(world.engine.counters.droppedByName(), { noConnection: 1 });
  world.decider.script.action = "direct";
  const stranger = tcpPacket({ source: SERVER, sourcePort: PORT, destination: APP, flags: "SA" });
  world.send(Inbound, stranger);
  assertEquals([world.device.left[0]!.tag, world.device.left[0]!.bytes], [1, stranger]);
  world.finish();
});

Deno.test("Engine leaves alone what was there before, what comes from outside, and what is direct", () => {
  for (const mode of ["redirect", "netstack"] as const) {
    const cases: readonly (readonly [string, Direction, Uint8Array, "proxy" | "direct", string])[] = [
      ["midway", Outbound, tcpPacket({ flags: "PA", payload: "x" }), "proxy", "Existing"],
      ["answer", Inbound, tcpPacket({ source: SERVER, destination: APP, flags: "SA" }), "proxy", "Inbound"],
      ["incoming", Inbound, tcpPacket({ source: SERVER, destination: APP, flags: "S" }), "proxy", "Inbound"],
      ["datagram", Inbound, udpPacket({ source: SERVER, destination: APP, payload: "x" }), "proxy", "Inbound"],
      ["direct", Outbound, tcpPacket({ flags: "S" }), "direct", "Match"],
      ["ICMP", Outbound, ipv4Packet([8, 0, 0xf7, 0xff, 0, 0, 0, 0], { protocol: 1 }), "proxy", ""],
    ];
    for (const [name, direction, packet, action, rule] of cases) {
      const world = new World(mode);
      world.decider.script.action = action;
      world.send(direction, packet, packet);
      const left = world.device.left.map(({ tag, bytes, isChanged }) => [tag, bytes, isChanged]);
      assertEquals(left, [[0, packet, false], [1, packet, false]], name);
      assertEquals([world.engine.commands, world.device.dropped], [[], []], name);
      world.finish();
      assertEquals(world.ended[0]?.deliberation.verdict.rule ?? "", rule, name);
    }
  }
});

/** A DNS answer: a.example has the server's address. */
const DNS_ANSWER = [
  ...[0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
  ...[1, 97, 7, 101, 120, 97, 109, 112, 108, 101, 0, 0, 1, 0, 1],
  ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 2],
];

Deno.test("Engine decides a diverted connection with the name that DNS gave, and a midway one without any", () => {
  const midway = new World("netstack");
  Object.assign(midway.decider.script, { action: "direct", wants: ["name"] });
  midway.send(Outbound, tcpPacket({ flags: "PA", sequence: 5, payload: "GET / HT", destinationPort: 80 }));
  assertEquals([midway.device.left.length, midway.decider.seen.length], [1, 1]);
  midway.finish();
  const named = new World("netstack");
  Object.assign(named.decider.script, { action: "direct", wants: ["name"] });
  named.send(Inbound, udpPacket({ source: SERVER, sourcePort: 53, destination: APP, payload: DNS_ANSWER }));
  named.send(Outbound, tcpPacket({ flags: "S", destinationPort: 80 }));
  assertEquals(named.decider.seen.at(-1)!.host, "a.example");
  assertEquals(named.device.left.at(-1)!.tag, 1, "it goes on as it is, and at once");
  named.finish();
});

Deno.test("Engine answers a diverted connection for its name where none is known, and carries it on whatever comes", () => {
  for (const mode of ["redirect", "netstack"] as const) {
    const world = new World(mode);
    Object.assign(world.decider.script, { action: "direct", wants: ["name"] });
    world.send(Outbound, tcpPacket({ flags: "S", sequence: 100, destinationPort: 80 }));
    const isRedirect = mode === "redirect";
    const answer = isRedirect ? `m in ${SERVER}:50000 ${APP}:${PORT}` : `m in ${SERVER}:80 ${APP}:50000`;
    assertEquals([world.take(), world.engine.commands.length], [answer, 0]);
    const payload = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    world.send(Outbound, tcpPacket({ flags: "PA", sequence: 101, destinationPort: 80, payload }));
    if (isRedirect) {
      assertEquals(world.decider.seen.map(({ host }) => host), ["www.example.org"]);
      assertEquals(world.dial().verdict.action, "direct");
    }
    world.finish();
  }
});

Deno.test("Engine in mode netstack ends proxied connections in the stack, and drops their packets in the device", () => {
  const world = new World("netstack");
  assertEquals(world.open(), `m in ${SERVER}:443 ${APP}:50000`);
  assertEquals(world.device.dropped, [0]);
  world.decider.script.action = "reject";
  world.send(Outbound, tcpPacket({ flags: "S", sourcePort: 50_001 }));
  assertEquals([world.take(), world.device.dropped], [`m in ${SERVER}:443 ${APP}:50001`, [0, 1]]);
  world.finish();
});

Deno.test("Engine lets fragments follow their first one, also when it comes late", () => {
  for (const mode of ["redirect", "netstack"] as const) {
    for (const action of ["direct", "drop", "proxy"] as const) {
      const world = new World(mode);
      world.decider.script.action = action;
      const payload = udpDatagram({ payload: Array.from({ length: 64 }, (_, i) => i) });
      const piece = (from: number, to: number) =>
        ipv4Packet(payload.slice(from, to), { id: 5, offset: from, more: to < payload.length });
      const pieces = [piece(48, payload.length), piece(24, 48), piece(0, 24)];
      world.send(Outbound, ...pieces);
      const left = world.device.left.map(({ tag, bytes, isChanged }) => [tag, bytes, isChanged]);
      assertEquals(left, action === "direct" ? pieces.map((bytes, tag) => [tag, bytes, false]) : []);
      assertEquals(world.device.dropped, action === "direct" ? [] : [0, 1, 2], "each ends once in the device");
      if (action === "proxy") assertEquals(world.dial().facts.destinationPort, 53);
      world.finish();
    }
  }
});
