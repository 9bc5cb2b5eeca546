import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../core/base/ip_address.ts";
import { readDestination, writeDestination } from "../../core/outbound/destination.ts";
import { ShadowsocksDatagrams } from "../../core/outbound/shadowsocks/datagrams.ts";
import { ShadowsocksDatagrams2022 } from "../../core/outbound/shadowsocks/datagrams_2022.ts";
import { sessionKey, type ShadowsocksMethod, shadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";
import { ReplayWindow } from "../../core/outbound/shadowsocks/replay_window.ts";
import type { DatagramCodec, Destination, OutboundEnv, TunnelledDatagram } from "../../core/outbound/tunnel.ts";
import { testEnv } from "../support/outbound_pairs.ts";

const NOW = 1_700_000_000;
const DESTINATIONS: readonly Destination[] = [
  { address: undefined, host: "example.org", port: 53 },
  { address: parseIp("192.0.2.7"), host: "", port: 443 },
  { address: parseIp("2001:db8::7"), host: "", port: 65_535 },
];

/** The far end of an association, written down plainly from SIP004 and SIP022. */
interface FarEnd {
  open(datagram: Uint8Array): TunnelledDatagram | undefined;
  seal(source: Destination, payload: Uint8Array, change?: FarChange): Uint8Array;
}

/** What a far end does that it should not. */
interface FarChange {
  readonly type?: number;
  readonly unixSeconds?: number;
  readonly session?: Uint8Array;
}

interface Way {
  readonly method: ShadowsocksMethod;
  readonly client: DatagramCodec;
  readonly far: FarEnd;
}

function firstGeneration(method: ShadowsocksMethod, key: Uint8Array): Way {
  const far = new ShadowsocksDatagrams(method, key, testEnv(2));
  return {
    method,
    client: new ShadowsocksDatagrams(method, key, testEnv(1)),
    far: { open: (datagram) => far.open(datagram), seal: (source, payload) => far.seal(source, payload)! },
  };
}

function serverOf2022(method: ShadowsocksMethod, key: Uint8Array, env: OutboundEnv): FarEnd {
  const ownSession = env.randomBytes(8);
  const aeadOf = (session: Uint8Array) => env.crypto.aead(method.aead, sessionKey(method, key, session, env.crypto));
  let clientSession: Uint8Array = new Uint8Array(8);
  let sent = 0n;
  return {
    open: (datagram) => {
      const header = env.crypto.aesBlock(key, datagram.slice(0, 16), "decrypt");
      clientSession = header.slice(0, 8);
      const plain = aeadOf(clientSession).open(header.slice(4), datagram.slice(16));
      if (plain === undefined) return undefined;
      const view = new DataView(plain.slice().buffer);
      assertEquals([view.getUint8(0), view.getBigUint64(1)], [0, BigInt(NOW)]);
      const read = readDestination(plain, 11 + view.getUint16(9))!;
      return { source: read.destination, payload: plain.slice(11 + view.getUint16(9) + read.length) };
    },
    seal: (source, payload, { type = 1, unixSeconds = NOW, session = clientSession } = {}) => {
      const header = new Uint8Array(16);
      header.set(ownSession);
      new DataView(header.buffer).setBigUint64(8, sent++);
      const fixed = new Uint8Array(19);
      const view = new DataView(fixed.buffer);
      view.setUint8(0, type);
      view.setBigUint64(1, BigInt(unixSeconds));
      fixed.set(session, 9);
      view.setUint16(17, 3);
      const plain = Uint8Array.of(...fixed, 0, 0, 0, ...writeDestination(source)!, ...payload);
      const sealed = aeadOf(ownSession).seal(header.slice(4), plain);
      return Uint8Array.of(...env.crypto.aesBlock(key, header, "encrypt"), ...sealed);
    },
  };
}

function wayOf(cipher: string): Way {
  const method = shadowsocksMethod(cipher)!;
  const key = Uint8Array.from({ length: method.keyBytes }, (_, i) => i * 7 + 1);
  if (!method.is2022) return firstGeneration(method, key);
  const client = new ShadowsocksDatagrams2022(method, key, testEnv(1, NOW));
  return { method, client, far: serverOf2022(method, key, testEnv(2, NOW)) };
}

const CIPHERS = [
  "aes-128-gcm",
  "aes-256-gcm",
  "chacha20-ietf-poly1305",
  "2022-blake3-aes-128-gcm",
  "2022-blake3-aes-256-gcm",
];

for (const cipher of CIPHERS) {
  Deno.test(`${cipher} datagrams carry every payload both ways, and believe each datagram once`, () => {
    const { client, far } = wayOf(cipher);
    const arbitrary = fc.record({ at: fc.nat(DESTINATIONS.length - 1), payload: fc.uint8Array({ maxLength: 1_500 }) });
    fc.assert(
      fc.property(arbitrary, ({ at, payload }) => {
        const there = far.open(client.seal(DESTINATIONS[at]!, payload)!);
        assertEquals(there && [there.source, [...there.payload]], [DESTINATIONS[at]!, [...payload]]);
        const answer = far.seal(DESTINATIONS[at]!, payload);
        const back = client.open(answer);
        assertEquals(back && [back.source, [...back.payload]], [DESTINATIONS[at]!, [...payload]]);
        assertEquals(client.open(answer), undefined, "the same again is somebody else's");
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  Deno.test(`${cipher} datagrams that are damaged, cut or anything are not believed`, () => {
    const { client, far } = wayOf(cipher);
    far.open(client.seal(DESTINATIONS[0]!, new Uint8Array(3))!);
    const answer = far.seal(DESTINATIONS[1]!, Uint8Array.of(1, 2, 3, 4));
    for (let at = 0; at < answer.length; at++) {
      const damaged = answer.slice();
      damaged[at]! ^= 1 << (at % 8);
      assertEquals(client.open(damaged), undefined, `byte ${at}`);
      assertEquals(client.open(answer.slice(0, at)), undefined, `cut at ${at}`);
    }
    const anything = fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => client.open(bytes) === undefined);
    fc.assert(anything, { seed: 2, numRuns: 300 });
    assert(client.open(answer) !== undefined, "what was damaged came in its own right at last");
  });
}

const REFUSED: readonly { name: string; change: FarChange }[] = [
  { name: "has a client's type", change: { type: 0 } },
  { name: "is 31 seconds old", change: { unixSeconds: NOW - 31 } },
  { name: "is 31 seconds ahead", change: { unixSeconds: NOW + 31 } },
  { name: "answers another session", change: { session: new Uint8Array(8) } },
];

for (const { name, change } of REFUSED) {
  Deno.test(`ShadowsocksDatagrams2022.open() does not believe a datagram that ${name}`, () => {
    const { client, far } = wayOf("2022-blake3-aes-128-gcm");
    far.open(client.seal(DESTINATIONS[0]!, new Uint8Array(3))!);
    assertEquals(client.open(far.seal(DESTINATIONS[1]!, new Uint8Array(3), change)), undefined);
    assert(client.open(far.seal(DESTINATIONS[1]!, new Uint8Array(3))) !== undefined);
  });
}

/** What the window stands for: the set of all numbers, and how far the highest lies ahead. */
function slowWindow(windowBits: number): (number: number) => boolean {
  const seen = new Set<number>();
  let highest = -1;
  return (number) => {
    if (number + windowBits <= highest || seen.has(number)) return false;
    seen.add(number);
    highest = Math.max(highest, number);
    return true;
  };
}

Deno.test("ReplayWindow.accept() agrees with a set of all numbers", () => {
  const step = fc.oneof(fc.integer({ min: -2_100, max: 40 }), fc.integer({ min: 0, max: 5_000 }), fc.constant(1));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.array(step, { maxLength: 200 }), (start, steps) => {
      const window = new ReplayWindow();
      const slow = slowWindow(63 * 32);
      let highest = start;
      for (const step of steps) {
        const number = Math.max(0, highest + step);
        assertEquals(window.accept(number), slow(number), `${number} after ${highest}`);
        highest = Math.max(highest, number);
      }
    }),
    { seed: 3, numRuns: 300 },
  );
  for (const number of [-1, 0.5, NaN, 2 ** 53]) assertEquals(new ReplayWindow().accept(number), false, String(number));
});
