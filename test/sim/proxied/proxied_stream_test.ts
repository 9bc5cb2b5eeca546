import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { OutboundSettings, ProtocolSettings } from "../../../core/outbound/settings.ts";
import { createOutboundCrypto } from "../../../core/host/outbound_crypto.ts";
import { Prng } from "../../../core/base/prng.ts";
import { FlowPlay } from "../../../sim/live_play/flow_play.ts";
import { micros } from "../../../core/base/micros.ts";
import { protocolNames, ProxiedStream } from "../../../sim/proxied/proxied_stream.ts";
import { simulatedEnv } from "../../../sim/proxied/proxy_ways.ts";
import { ADDRESSED, NAMED } from "../../support/outbound_pairs.ts";
import { handshake, type Line, packetOf } from "../live_play/captured_flow.ts";

function settings(name: string, protocol: ProtocolSettings, more: Partial<OutboundSettings> = {}): OutboundSettings {
  return {
    name,
    protocol,
    server: `${name}.example`,
    port: 443,
    udp: false,
    tls: undefined,
    webSocket: undefined,
    dialer: undefined,
    interfaceName: undefined,
    ipVersion: "dual",
    ...more,
  };
}

const UUID = "b831381d-6324-4d53-ad4f-8cda48b30811";
const WEB_SOCKET = { path: "/way", headers: [], earlyDataBytesMax: 0, earlyDataHeader: "Sec-WebSocket-Protocol" };
const HOPS: readonly OutboundSettings[] = [
  settings("socks", { kind: "socks5", login: { user: "u", password: "p" } }),
  settings("http", { kind: "http", login: undefined, headers: [] }),
  settings("ss", { kind: "ss", cipher: "aes-128-gcm", password: "p" }),
  settings("ss22", { kind: "ss", cipher: "2022-blake3-aes-128-gcm", password: btoa("0123456789abcdef") }),
  settings("trojan", { kind: "trojan", password: "p" }),
  settings("vmess", { kind: "vmess", uuid: UUID, cipher: "auto" }),
  settings("vless", { kind: "vless", uuid: UUID }),
  settings("vless-ws", { kind: "vless", uuid: UUID }, { webSocket: WEB_SOCKET }),
  settings("vmess-early", { kind: "vmess", uuid: UUID, cipher: "none" }, {
    webSocket: { ...WEB_SOCKET, earlyDataBytesMax: 4_096 },
  }),
];

const env = (seed = 1) => simulatedEnv(createOutboundCrypto(), new Prng(seed), () => 1_700_000_000);

/** VMess tells the end itself; the others leave it to what carries them, and a WebSocket has no halves. */
function tellsEnd([hop, ...rest]: readonly OutboundSettings[]): boolean {
  if (hop === undefined || hop.protocol.kind === "vmess") return true;
  return hop.webSocket === undefined && tellsEnd(rest);
}

function take(next: () => Uint8Array | undefined): number[] {
  const bytes: number[] = [];
  for (let chunk = next(); chunk !== undefined; chunk = next()) for (const byte of chunk) bytes.push(byte);
  return bytes;
}

Deno.test("ProxiedStream carries both directions and their ends through any chain of up to three proxies", () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 20_000 }), { maxLength: 4 });
  const chains = fc.array(fc.constantFrom(...HOPS), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(chains, pieces, pieces, fc.boolean(), fc.nat(), (hops, up, down, isNamed, seed) => {
      const stream = ProxiedStream.open(hops, isNamed ? NAMED : ADDRESSED, env(seed));
      assert(stream instanceof ProxiedStream);
      assertEquals([stream.failure, stream.isOpen], [undefined, true]);
      const got: number[] = [];
      for (const piece of down.slice(0, 1)) stream.answer(piece.slice());
      got.push(...take(() => stream.takeForApplication()));
      for (const piece of up) stream.write(piece.slice());
      assertEquals(take(() => stream.takeForTarget()), up.flatMap((piece) => [...piece]));
      stream.end();
      assertEquals(stream.server.isClientDone, tellsEnd(hops));
      for (const piece of down.slice(1)) stream.answer(piece.slice());
      stream.answerEnd();
      got.push(...take(() => stream.takeForApplication()));
      assertEquals(got, down.flatMap((piece) => [...piece]));
      assertEquals([stream.client.isServerDone, stream.failure], [true, undefined]);
    }),
    { seed: 11, numRuns: 150 },
  );
});

Deno.test("ProxiedStream.open() says why a chain cannot be used", () => {
  const bad = settings("bad", { kind: "ss", cipher: "2022-blake3-aes-128-gcm", password: "no key" });
  assertStringIncludes(String(ProxiedStream.open([bad], NAMED, env())), 'Cannot use the proxy "bad"');
  assertStringIncludes(
    String(ProxiedStream.open([settings("no", { kind: "reject" })], NAMED, env())),
    "it refuses everything",
  );
  assertEquals(ProxiedStream.open([settings("straight", { kind: "direct" })], NAMED, env()), undefined);
  assertEquals(protocolNames([settings("straight", { kind: "direct" }), HOPS[0]!]), ["socks5"]);
});

/** A captured flow, played through a proxy whose stream `spoil` may spoil. */
function play(spoil: (stream: ProxiedStream) => void, hop = HOPS[5]!) {
  const prng = new Prng(1);
  const open = (unixSeconds: number) => {
    const way = ProxiedStream.open(
      [hop],
      ADDRESSED,
      simulatedEnv(createOutboundCrypto(), prng, () => unixSeconds),
    );
    assert(way instanceof ProxiedStream);
    spoil(way);
    return way;
  };
  const flow = new FlowPlay(FlowPlay.createArena(), () => prng.uint32(), { protocols: ["vmess auto"], open });
  const lines: Line[] = [
    ...handshake(),
    { from: "client", flags: "PA", at: 0, ack: 0, data: "question" },
    { from: "server", flags: "PA", at: 0, ack: 8, data: "answer" },
    { from: "client", flags: "A", at: 8, ack: 6 },
    { from: "server", flags: "FA", at: 6, ack: 8 },
    { from: "client", flags: "FA", at: 8, ack: 7 },
    { from: "server", flags: "A", at: 7, ack: 9 },
  ];
  lines.forEach((line, i) => flow.packet(packetOf(line), micros(1_700_000_000_000_000 + i * 1_000)));
  return flow.finish();
}

Deno.test("FlowPlay through a proxy compares what arrives behind it, both ways", () => {
  const good = play(() => {});
  assertEquals([good.outcome, good.reason, good.bytesToServer, good.bytesToClient], ["equal", "", 8, 6]);
  assertEquals([good.proxy!.protocols, good.proxy!.failure], [["vmess auto"], ""]);
});

Deno.test("FlowPlay notices a proxy that spoils, keeps, or refuses", () => {
  const flipped = (bytes: Uint8Array | undefined) => bytes?.map((byte) => byte ^ 1);
  const cases: [spoil: (stream: ProxiedStream) => void, reason: string][] = [
    [(s) => {
      const next = s.takeForTarget.bind(s);
      s.takeForTarget = () => flipped(next());
    }, "the server got other bytes than the client sent, at 0"],
    [(s) => {
      s.takeForTarget = () => undefined;
    }, "the server got 0 of the client's 8 bytes"],
    [(s) => {
      const next = s.takeForApplication.bind(s);
      s.takeForApplication = () => flipped(next());
    }, "the proxy handed on other bytes than the server sent, at 0"],
    [(s) => {
      s.takeForApplication = () => undefined;
    }, "the proxy handed on 0 of the server's 6 bytes"],
  ];
  const damage = (s: ProxiedStream) => {
    const receive = s.server.receive.bind(s.server);
    s.server.receive = (bytes) => receive(flipped(bytes)!);
  };
  const refused = play(damage, HOPS[2]);
  assertEquals([refused.outcome, refused.proxy!.failure], ["different", "the server refused: a tag does not fit"]);
  assertStringIncludes(refused.reason, "the proxy does not carry it: the server refused: a tag does not fit");
  for (const [spoil, reason] of cases) {
    const result = play(spoil);
    assertEquals(result.outcome, "different");
    assertStringIncludes(result.reason, reason);
  }
});
