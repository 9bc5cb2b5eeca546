/** Damaged answers of proxy servers and name servers, cut anywhere, into every machine and reader that takes bytes from outside. */
import type { Prng } from "../../core/base/prng.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import {
  addressAnswer,
  addressesOf,
  isTruncated,
  messageId,
  readAnswer,
  readQuery,
  writeAnswer,
  writeFormatError,
  writeQuery,
} from "../../core/dns/message.ts";
import { ShadowsocksDatagrams } from "../../core/outbound/shadowsocks/datagrams.ts";
import { ShadowsocksDatagrams2022 } from "../../core/outbound/shadowsocks/datagrams_2022.ts";
import { shadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";
import { Socks5Datagrams } from "../../core/outbound/socks5.ts";
import { TrojanDatagrams, trojanKey } from "../../core/outbound/trojan.ts";
import type { DatagramCodec, DatagramTunnel, StreamTunnel } from "../../core/outbound/tunnel.ts";
import { LengthDatagrams, VlessTunnel } from "../../core/outbound/vless.ts";
import { VmessSecurity } from "../../core/outbound/vmess/header.ts";
import { VmessDatagrams } from "../../core/outbound/vmess/vmess.ts";
import { NAMED, type Pair, PAIRS, SECRET, testEnv } from "../support/outbound_pairs.ts";
import { mutateBytes, pick } from "./mutate.ts";

const INPUT_BYTES_MAX = 2_000;
/** What a machine may answer to hostile bytes, such as pongs. Units: bytes a byte that came. */
const ANSWER_FACTOR = 8;

/** What a true server says to a client whose randomness is known: a client of the same seed believes it. */
function recordAnswer(pair: Pair): Uint8Array {
  const [client, server] = [pair.client(NAMED, SECRET, testEnv(5)), pair.server(testEnv(6))];
  const answer: number[] = [];
  client.start();
  for (let turn = 0; turn < 12; turn++) {
    if (client.toServer.length > 0) server.receive(client.toServer.takeAll());
    if (server.destination !== undefined && turn < 9) {
      server.accept();
      server.write(new Uint8Array(20).fill(turn));
    }
    const said = server.toClient.takeAll();
    answer.push(...said);
    client.receive(said.slice());
  }
  return Uint8Array.from(answer);
}

const ANSWERS: readonly Uint8Array[] = PAIRS.map(recordAnswer);

function datagramTunnels(): readonly (() => DatagramTunnel)[] {
  const env = testEnv(7);
  const key = trojanKey(SECRET, env.crypto);
  const uuid = new Uint8Array(16);
  return [
    () => new TrojanDatagrams(key, NAMED),
    () => new LengthDatagrams(new VlessTunnel(uuid, NAMED, "udp"), NAMED),
    () => new VmessDatagrams({ userKey: uuid, security: VmessSecurity.ChaCha20Poly1305 }, NAMED, testEnv(8)),
  ];
}

function codecs(): readonly DatagramCodec[] {
  const env = testEnv(9);
  return [
    new Socks5Datagrams(),
    new ShadowsocksDatagrams(shadowsocksMethod("aes-128-gcm")!, new Uint8Array(16), env),
    new ShadowsocksDatagrams2022(shadowsocksMethod("2022-blake3-aes-256-gcm")!, new Uint8Array(32), env),
  ];
}

const TUNNELS = datagramTunnels();
const CODECS = codecs();
const ASKED = { name: "www.example.org", type: "A" } as const;
const QUERY = writeQuery(7, ASKED, { address: parseIp("192.0.2.0")!, bits: 24 });
const ADDRESSES = ["192.0.2.1", "192.0.2.2"].map((text) => parseIp(text)!);
const DNS: readonly Uint8Array[] = [
  QUERY,
  writeAnswer(readQuery(QUERY)!, addressAnswer(ASKED.name, ADDRESSES, 60), { bytesMax: 1_232 }),
];

/** What a server would say is written as the client writes it, but for what opens the stream. */
function recordDatagrams(make: () => DatagramTunnel, index: number): Uint8Array {
  const tunnel = make();
  tunnel.start();
  tunnel.toServer.takeAll();
  for (const length of [0, 30, 400]) tunnel.send(NAMED, new Uint8Array(length));
  const framed = tunnel.toServer.takeAll();
  // VLESS answers with a head of its own.
  return index === 1 ? Uint8Array.of(0, 0, ...framed) : framed;
}

const DATAGRAMS: readonly Uint8Array[] = TUNNELS.map(recordDatagrams);
const SEALED: readonly Uint8Array[] = CODECS.map((codec) => codec.seal(NAMED, new Uint8Array(50))!);

/** One input: bytes, and which reader gets them. */
export interface OutboundInput {
  readonly reader: "stream" | "datagrams" | "codec" | "dns";
  readonly which: number;
  readonly bytes: Uint8Array;
}

/** Draws an input: a true conversation that is damaged, or noise. */
export function drawOutbound(prng: Prng): OutboundInput {
  const reader = pick(prng, ["stream", "stream", "datagrams", "codec", "dns", "dns"] as const);
  const count = { stream: PAIRS.length, datagrams: TUNNELS.length, codec: CODECS.length, dns: DNS.length }[reader];
  const which = prng.below(count);
  const whole = { stream: ANSWERS, datagrams: DATAGRAMS, codec: SEALED, dns: DNS }[reader][which]!;
  if (prng.chance(3, 4)) {
    return { reader, which, bytes: mutateBytes(prng, whole, pick(prng, DNS), INPUT_BYTES_MAX) };
  }
  return { reader, which, bytes: Uint8Array.from({ length: prng.below(200) }, () => prng.below(256)) };
}

function ensure(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Gives bytes to a machine in pieces. */
function inPieces(prng: Prng, bytes: Uint8Array, take: (piece: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length;) {
    const count = 1 + prng.below(prng.chance(1, 2) ? 9 : 400);
    take(bytes.slice(at, at + count));
    at += count;
  }
}

function readStream(prng: Prng, client: StreamTunnel, bytes: Uint8Array): string {
  client.start();
  let answered = -client.toServer.length;
  let carried = 0;
  inPieces(prng, bytes, (piece) => {
    client.receive(piece);
    carried += client.toApplication.takeAll().length;
    answered += client.toServer.takeAll().length;
  });
  client.receiveEnd();
  ensure(carried <= bytes.length, "more is carried than came");
  ensure(answered <= ANSWER_FACTOR * (bytes.length + 64), "the answers are longer than what came allows");
  ensure((client.state === "failed") === (client.failure !== undefined), "a failure says why, and only a failure does");
  return client.state === "failed" ? "stream refused" : carried > 0 ? "stream carried" : "stream silent";
}

function readDatagrams(prng: Prng, tunnel: DatagramTunnel, bytes: Uint8Array): string {
  tunnel.start();
  let carried = 0;
  inPieces(prng, bytes, (piece) => {
    tunnel.receive(piece);
    for (let datagram = tunnel.take(); datagram !== undefined; datagram = tunnel.take()) {
      carried += datagram.payload.length;
    }
  });
  tunnel.receiveEnd();
  ensure(carried <= bytes.length, "more is carried than came");
  return tunnel.state === "failed" ? "datagrams refused" : "datagrams read";
}

function readDns(bytes: Uint8Array): string {
  messageId(bytes);
  isTruncated(bytes);
  const refusal = writeFormatError(bytes);
  ensure(refusal === undefined || refusal.length === 12, "a refusal has twelve bytes");
  const answer = readAnswer(bytes, ASKED);
  ensure(answer === undefined || addressesOf(answer).length * 4 <= bytes.length * 64, "addresses come from nowhere");
  const query = readQuery(bytes);
  if (query === undefined) return answer === undefined ? "dns refused" : "dns answer";
  for (const bytesMax of [query.udpBytes, 65_535]) {
    const given = answer ?? addressAnswer(query.question.name, ADDRESSES, 60);
    ensure(writeAnswer(query, given, { bytesMax }).length <= bytesMax, "an answer is longer than its asker takes");
  }
  return "dns query";
}

/** Gives an input to its reader. Errors: when the reader throws, or makes more of it than it is. */
export function readOutboundInput(prng: Prng, { reader, which, bytes }: OutboundInput): string {
  switch (reader) {
    case "stream":
      return readStream(prng, PAIRS[which]!.client(NAMED, SECRET, testEnv(5)), bytes);
    case "datagrams":
      return readDatagrams(prng, TUNNELS[which]!(), bytes);
    case "codec": {
      const datagram = CODECS[which]!.open(bytes);
      ensure(datagram === undefined || datagram.payload.length <= bytes.length, "more is carried than came");
      return datagram === undefined ? "codec refused" : "codec read";
    }
    case "dns":
      return readDns(bytes);
  }
}
