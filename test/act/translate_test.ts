/** TCP flows of a TUN device that end in the system's own TCP: a test plays application, listener and host. */
import { assert, assertEquals } from "@std/assert";
import type { DialCommand, DialError } from "../../core/act/command.ts";
import type { Translator } from "../../core/act/translate.ts";
import type { TranslateOptions } from "../../core/act/translate_options.ts";
import { FLOW_WAITING_COUNT_MAX, NAT_TIME_WAIT_US } from "../../core/base/limits.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { Verify } from "../../core/parse/parse.ts";
import { ACKNOWLEDGMENT, type PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { ipv4Packet, tcpPacket, tcpSegment, type TransportChoices, udpPacket } from "../support/packets.ts";
import { parseOne } from "../support/slots.ts";

const HTTP = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const LISTENER = "198.18.0.1";
const PEER = "198.18.0.2";
const LISTENER_6 = "fd18:0:0:0:0:0:0:1";
const PEER_6 = "fd18:0:0:0:0:0:0:2";
const APP_6 = "2001:db8:0:0:0:0:0:1";
const PORT = 7_001;
const PORT_6 = 7_002;

const TRANSLATE: TranslateOptions = {
  listeners: {
    way: "tun",
    v4: { address: parseIp(LISTENER)!, peer: parseIp(PEER)!, port: PORT },
    v6: { address: parseIp(LISTENER_6)!, peer: parseIp(PEER_6)!, port: PORT_6 },
  },
  secret: 5,
};
const SYN: TransportChoices = { flags: "S", sequence: 100, tcpOptions: [2, 4, 0x22, 0xd8] };

/** A packet as it left: its tuple in text, what it says, and its meta. Checksums are right, or the test ends here. */
interface Left {
  readonly way: string;
  readonly flags: string;
  readonly natPort: number;
  readonly meta: PacketMeta;
  readonly bytes: Uint8Array;
}

function textOf(words: Uint32Array, at: number, port: number): string {
  if (words[at + 2] !== 0xffff) return `[${words[at]!.toString(16)}…${words[at + 3]}]:${port}`;
  const word = words[at + 3]!;
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}:${port}`;
}

class World extends EngineWorld {
  constructor() {
    super({ stack: { env: new Prng(5) }, translate: TRANSLATE });
  }

  get translator(): Translator {
    return this.engine.translator!;
  }

  /** The packet that left first and was not taken yet. */
  take(): Left {
    const bytes = this.adapter.sent.shift();
    assert(bytes !== undefined, "a packet left");
    const { reason, meta } = parseOne(bytes, { verify: Verify.All });
    assertEquals(reason, "none");
    const isToListener = meta.destinationPort === PORT || meta.destinationPort === PORT_6;
    const natPort = isToListener ? meta.sourcePort : 0;
    const flags = [..."FSRPA"].filter((_, bit) => (meta.flags & [1, 2, 4, 8, 16][bit]!) !== 0).join("");
    const from = textOf(meta.words, 0, isToListener ? 0 : meta.sourcePort);
    return { way: `${from} ${textOf(meta.words, 4, meta.destinationPort)}`, flags, natPort, meta, bytes };
  }

  takeAll(): Left[] {
    return Array.from({ length: this.adapter.sent.length }, () => this.take());
  }

  dial(): DialCommand {
    const command = this.engine.commands.shift();
    assertEquals(command?.kind, "dial");
    return command as DialCommand;
  }

  dialed({ flow }: DialCommand): void {
    this.engine.handle({ kind: "dialed", flow }, this.now);
    this.check();
  }

  /** Opens a flow up to the SYN that reaches the listener; answers with the port that stands for the application. */
  open(choices: TransportChoices = SYN): { flow: number; natPort: number } {
    this.feed(tcpPacket(choices));
    const dial = this.dial();
    this.dialed(dial);
    return { flow: dial.flow, natPort: this.take().natPort };
  }

  /** A packet of the listener. */
  listener(natPort: number, choices: TransportChoices): void {
    this.feed(
      tcpPacket({ ...choices, source: LISTENER, sourcePort: PORT, destination: PEER, destinationPort: natPort }),
    );
  }
}

const APP_TO_LISTENER = `${PEER}:0 ${LISTENER}:${PORT}`;
const SERVER_TO_APP = "198.51.100.2:443 192.0.2.1:50000";

Deno.test("Translator lets a SYN wait until its flow is dialed, then carries the connection both ways", () => {
  const world = new World();
  world.feed(tcpPacket(SYN), tcpPacket(SYN));
  assertEquals(world.adapter.sent.length, 0, "nothing is answered before the far side is there");
  const dial = world.dial();
  assertEquals([dial.facts.destinationPort, world.engine.commands.length], [443, 0]);
  world.dialed(dial);
  const syn = world.take();
  assertEquals([syn.way, syn.flags, syn.meta.words[SEQUENCE]], [APP_TO_LISTENER, "S", 100]);
  assertEquals(tcp.findOption(new DataView(syn.bytes.buffer), 20, tcp.OPTION_MSS), 40);
  assertEquals([...syn.bytes.slice(40, 44)], [2, 4, 1460 >>> 8, 1460 & 255], "8,920 is more than the device takes");
  const accepted = (port: number) => world.translator.flowOfAccepted(parseIp(PEER)!, port, parseIp(LISTENER)!, PORT);
  assertEquals([accepted(syn.natPort), accepted(syn.natPort + 1)], [dial.flow, -1]);
  world.listener(syn.natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  const synAck = world.take();
  assertEquals([synAck.way, synAck.flags, synAck.meta.words[ACKNOWLEDGMENT]], [SERVER_TO_APP, "SA", 101]);
  world.feed(tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 901, payload: HTTP }));
  const request = world.take();
  assertEquals([request.way, request.natPort], [APP_TO_LISTENER, syn.natPort]);
  assertEquals(new TextDecoder().decode(request.bytes.slice(40)), HTTP);
  world.listener(syn.natPort, { flags: "PA", sequence: 901, acknowledgment: 101 + HTTP.length, payload: "200" });
  assertEquals([world.take().way, world.adapter.sent.length], [SERVER_TO_APP, 0]);
  const { received, delivered, consumed } = world.engine.counters;
  assertEquals([received, delivered, consumed], [5, 3, 2], "the SYNs were taken in, and one was made anew");
  world.finish();
  assertEquals([world.ended.length, world.ended[0]!.upload, world.ended[0]!.download], [1, HTTP.length, 3]);
  assertEquals(world.ended[0]!.record.facts.sniffHost, "www.example.org");
});

Deno.test("Translator carries IPv6, and answers UDP and unknown connections as the stack does", () => {
  const world = new World();
  const six = { source: APP_6, destination: "2001:db8:0:0:0:0:0:2" };
  world.feed(tcpPacket({ ...SYN, ...six }));
  world.dialed(world.dial());
  const syn = world.take();
  assertEquals(syn.way, "[fd180000…2]:0 [fd180000…1]:7002");
  assertEquals([...syn.bytes.slice(60, 64)], [2, 4, 1440 >>> 8, 1440 & 255]);
  const back = { source: LISTENER_6, sourcePort: PORT_6, destination: PEER_6, destinationPort: syn.natPort };
  world.feed(tcpPacket({ ...back, flags: "SA", sequence: 1, acknowledgment: 101 }));
  assertEquals(world.take().way, "[20010db8…2]:443 [20010db8…1]:50000");
  world.feed(udpPacket({ payload: "x" }));
  const dial = world.dial();
  assertEquals(dial.facts.network, "udp");
  world.feed(tcpPacket({ flags: "PA", sequence: 7, acknowledgment: 9, sourcePort: 50_009, payload: "x" }));
  assertEquals([world.take().flags, world.engine.counters.droppedByName()], ["R", { noConnection: 1 }]);
  world.finish();
});

Deno.test("Translator tells the application truly why a flow could not be dialed", () => {
  const cases: readonly (readonly [DialError, number | "reset"])[] = [
    ["refused", "reset"],
    ["failed", "reset"],
    ["hostUnreachable", 1],
    ["networkUnreachable", 0],
    ["timedOut", 1],
    ["prohibited", 13],
  ];
  for (const [error, expected] of cases) {
    const world = new World();
    world.feed(tcpPacket(SYN));
    world.engine.handle({ kind: "dialFailed", flow: world.dial().flow, error }, world.now);
    const { meta } = world.take();
    if (expected === "reset") assertEquals([meta.flags, meta.words[ACKNOWLEDGMENT]], [tcp.RST | tcp.ACK, 101]);
    else assertEquals([meta.protocol, meta.sourcePort, meta.destinationPort], [1, 3, expected]);
    // A SYN that is sent once more dials once more.
    world.feed(tcpPacket(expected === "reset" ? { ...SYN, sequence: 5_000 } : SYN));
    world.dialed(world.dial());
    assertEquals(world.take().way, APP_TO_LISTENER);
    world.finish();
  }
});

Deno.test("Translator answers nothing for a silent server, and forgets the dialing when the application gives up", () => {
  const world = new World();
  world.feed(tcpPacket(SYN));
  const { flow } = world.dial();
  world.feed(tcpPacket({ flags: "R", sequence: 101 }));
  assertEquals(world.engine.commands.splice(0), [{ kind: "cancelDial", flow }]);
  world.engine.handle({ kind: "dialed", flow }, world.now);
  assertEquals([world.adapter.sent.length, world.translator.isOpen(flow)], [0, false]);
  world.finish();
});

Deno.test("Translator lets a SYN through early when the decision needs the flow's first bytes", () => {
  for (const action of ["direct", "reject", "drop"] as const) {
    const world = new World();
    world.decider.script.wants = ["name"];
    world.decider.script.action = action;
    world.feed(tcpPacket(SYN));
    const { natPort } = world.take();
    assertEquals(world.engine.commands.length, 0, "nothing is dialed yet");
    world.listener(natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
    assertEquals(world.take().flags, "SA");
    world.feed(tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 901, payload: HTTP }));
    assertEquals(world.take().way, APP_TO_LISTENER);
    assertEquals(world.decider.seen.map(({ host }) => host), ["www.example.org"]);
    if (action === "direct") {
      const dial = world.dial();
      world.dialed(dial);
      assertEquals([world.adapter.sent.length, world.translator.isOpen(dial.flow)], [0, true]);
    } else {
      const resets = world.takeAll();
      const [toApp, toListener] = action === "reject" ? resets : [undefined, resets[0]];
      if (toApp !== undefined) {
        assertEquals([toApp.way, toApp.flags, toApp.meta.words[SEQUENCE]], [SERVER_TO_APP, "R", 901]);
      }
      assertEquals([toListener!.way, toListener!.flags], [APP_TO_LISTENER, "R"]);
      assertEquals(toListener!.meta.words[SEQUENCE], 101 + HTTP.length);
      world.listener(natPort, { flags: "A", sequence: 901, acknowledgment: 101 + HTTP.length });
      assertEquals([world.take().flags, world.adapter.sent.length], ["R", 0], "only the listener is answered");
    }
    world.finish();
  }
});

Deno.test("Translator dials nothing for a connection that was reset before it was decided", () => {
  const world = new World();
  world.decider.script.wants = ["name"];
  world.feed(tcpPacket(SYN));
  const { natPort } = world.take();
  world.listener(natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  world.feed(tcpPacket({ flags: "R", sequence: 101 }));
  assertEquals([world.decider.seen.length, world.engine.commands], [1, []]);
  assertEquals(world.takeAll().map(({ flags }) => flags), ["SA", "R"], "the listener hears of it");
  world.finish();
});

Deno.test("Translator carries a half-closed connection on, and keeps its tuple through TIME-WAIT", () => {
  const world = new World();
  const { natPort } = world.open();
  world.listener(natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  world.feed(tcpPacket({ flags: "FA", sequence: 101, acknowledgment: 901 }));
  world.at(world.now + 3_000_000_000);
  world.listener(natPort, { flags: "PA", sequence: 901, acknowledgment: 102, payload: "late" });
  world.listener(natPort, { flags: "FA", sequence: 905, acknowledgment: 102 });
  world.feed(tcpPacket({ flags: "A", sequence: 102, acknowledgment: 906 }));
  const ways = world.takeAll().map(({ way, flags }) => `${flags} ${way}`);
  const [app, server] = [APP_TO_LISTENER, SERVER_TO_APP];
  assertEquals(ways, [`SA ${server}`, `FA ${app}`, `PA ${server}`, `FA ${server}`, `A ${app}`]);
  // A FIN that comes again is still translated.
  world.at(world.now + NAT_TIME_WAIT_US - 1_000_000);
  world.listener(natPort, { flags: "FA", sequence: 905, acknowledgment: 102 });
  assertEquals(world.take().way, SERVER_TO_APP);
  world.at(world.now + NAT_TIME_WAIT_US);
  assertEquals(world.translator.table.count, 0);
  world.listener(natPort, { flags: "FA", sequence: 905, acknowledgment: 102 });
  assertEquals(world.take().way, APP_TO_LISTENER, "what nobody knows any more is reset");
  assertEquals(world.engine.counters.droppedByName(), { noConnection: 1 });
  world.finish();
});

Deno.test("Translator makes a new connection of a SYN on used ports, with a port of its own", () => {
  const world = new World();
  const first = world.open();
  world.listener(first.natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  world.feed(tcpPacket({ flags: "FA", sequence: 101, acknowledgment: 901 }));
  world.listener(first.natPort, { flags: "FA", sequence: 901, acknowledgment: 102 });
  world.adapter.sent.length = 0;
  const second = world.open({ ...SYN, sequence: 77_000 });
  assert(second.flow !== first.flow && second.natPort !== first.natPort);
  world.listener(first.natPort, { flags: "A", sequence: 902, acknowledgment: 103 });
  assertEquals(world.take().flags, "R", "the old connection is over");
  world.listener(second.natPort, { flags: "SA", sequence: 5, acknowledgment: 77_001 });
  assertEquals(world.take().way, SERVER_TO_APP);
  world.finish();
});

Deno.test("Translator breaks a flow off towards both sides, and answers each that goes on", () => {
  const world = new World();
  const { flow, natPort } = world.open();
  world.listener(natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  world.listener(natPort, { flags: "PA", sequence: 901, acknowledgment: 101, payload: "1234" });
  world.adapter.sent.length = 0;
  world.translator.abort(flow, world.now);
  world.translator.abort(flow, world.now);
  const resets = world.takeAll();
  assertEquals(resets.map(({ way, flags, meta }) => [way, flags, meta.words[SEQUENCE]]), [
    [SERVER_TO_APP, "R", 905],
    [APP_TO_LISTENER, "R", 101],
  ]);
  world.feed(tcpPacket({ flags: "A", sequence: 101, acknowledgment: 901 }));
  assertEquals([world.take().meta.words[SEQUENCE], world.adapter.sent.length], [901, 0]);
  world.feed(tcpPacket({ flags: "R", sequence: 101 }));
  assertEquals(world.adapter.sent.length, 0, "a reset is not answered");
  world.finish();
});

Deno.test("Translator sends a segment in fragments as one packet", () => {
  const world = new World();
  const { natPort } = world.open();
  world.listener(natPort, { flags: "SA", sequence: 900, acknowledgment: 101 });
  world.adapter.sent.length = 0;
  const segment = tcpSegment({ flags: "PA", sequence: 101, acknowledgment: 901, payload: "x".repeat(60) });
  const piece = (from: number, to: number) =>
    ipv4Packet(segment.slice(from, to), { protocol: 6, id: 9, offset: from, more: to < segment.length });
  world.feed(piece(40, 80), piece(0, 40));
  const { way, bytes } = world.take();
  assertEquals([way, bytes.length, world.adapter.sent.length], [APP_TO_LISTENER, 100, 0]);
  assertEquals([world.engine.counters.consumed, world.engine.counters.delivered], [3, 1]);
  world.finish();
});

Deno.test("Translator lets nobody but the application and the listener speak", () => {
  const world = new World();
  const { natPort } = world.open();
  const back = { source: "198.51.100.2", sourcePort: 443, destination: "192.0.2.1", destinationPort: 50_000 };
  world.feed(tcpPacket({ ...back, flags: "SA", sequence: 1, acknowledgment: 101 }));
  world.listener(natPort + 1, { flags: "SA", sequence: 1, acknowledgment: 101 });
  assertEquals(world.engine.counters.droppedByName(), { noConnection: 2 });
  assertEquals([world.take().flags, world.adapter.sent.length], ["R", 0], "the listener is told");
  world.finish();
  assertEquals(world.ended.length, 1, "neither made a flow");
});

Deno.test("Translator keeps SYNs outside of the arena, however many wait, and counts what the device refuses", () => {
  const world = new World();
  const count = 20 * FLOW_WAITING_COUNT_MAX;
  for (let i = 0; i < count; i++) world.feed(tcpPacket({ ...SYN, sourcePort: 10_000 + i }));
  assertEquals([world.engine.commands.length, world.engine.arena.freeCount], [count, world.engine.arena.slotCount]);
  for (const command of world.engine.commands.splice(0)) world.dialed(command as DialCommand);
  const ports = new Set(world.takeAll().map(({ natPort }) => natPort));
  assertEquals([ports.size, world.translator.table.count], [count, count]);
  world.adapter.isFull = true;
  world.feed(tcpPacket({ flags: "A", sequence: 101, sourcePort: 10_000 }));
  assertEquals(world.engine.counters.droppedByName(), { deviceFull: 1 });
  world.finish();
});
