import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { QUIC_UNDECRYPTABLE_MAX, SNIFF_DATAGRAMS_MAX } from "../../core/base/limits.ts";
import { createSniffOptions, FlowSniffer, SniffReason, SniffState } from "../../core/classify/sniffer.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { asciiBytes, dtlsHello, helloMessage, hexBytes, viewOf } from "../support/hello_build.ts";
import { cryptoFrame, joinBytes, otherLongPacket, sealInitial, TEST_VERSIONS, V1 } from "../support/quic_build.ts";
import { RFC9001_CLIENT_INITIAL, RFC9001_SERVER_INITIAL, RFC9369_CLIENT_INITIAL } from "../support/quic_vectors.ts";

const initialCrypto = createQuicCrypto();
const options = createSniffOptions();
const DCID = hexBytes("8394c8f03e515708");

function newSniffer(use = options): FlowSniffer {
  return new FlowSniffer("udp", use, initialCrypto);
}

function send(sniffer: FlowSniffer, datagram: Uint8Array, fromClient = true): SniffState {
  return sniffer.udpDatagram(fromClient, viewOf(datagram), 0, datagram.length);
}

Deno.test("FlowSniffer opens the sample Initial packets of RFC 9001 and RFC 9369", () => {
  for (const hex of [RFC9001_CLIENT_INITIAL, RFC9369_CLIENT_INITIAL]) {
    const datagram = hexBytes(hex);
    const before = datagram.slice();
    const sniffer = newSniffer();
    assertEquals(send(sniffer, datagram), SniffState.Found);
    assertEquals([sniffer.host, sniffer.protocol, sniffer.ech], ["example.com", "quic", false]);
    assertEquals(datagram, before, "the captured bytes stay as they are");
  }
});

Deno.test("FlowSniffer names QUIC of every version that it knows", () => {
  const message = helloMessage({ name: "example.com", ech: 0 });
  for (const version of TEST_VERSIONS) {
    const frames = cryptoFrame(0, message);
    for (const numberBytes of [1, 2, 3, 4]) {
      const sniffer = newSniffer();
      send(sniffer, sealInitial({ version, dcid: DCID, frames, numberBytes, packetNumber: 3, payloadBytes: 1_100 }));
      assertEquals([sniffer.host, sniffer.ech], ["example.com", true], version.number.toString(16));
    }
  }
});

Deno.test("FlowSniffer puts CRYPTO frames together over packets, coalesced or not, in any order and repeated", () => {
  const message = helloMessage({ name: "example.com", paddingBytes: 3_000 });
  const cuts = fc.array(fc.nat(message.length - 1), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(cuts, fc.infiniteStream(fc.nat(100)), fc.boolean(), fc.nat(3), (places, keys, coalesced, pings) => {
      const at = [...new Set([0, ...places, message.length])].sort((a, b) => a - b);
      const frames = at.slice(1).map((end, i) => ({
        key: keys.next().value,
        bytes: joinBytes(
          new Uint8Array(pings).fill(1),
          cryptoFrame(at[i]!, message.slice(at[i]!, end)),
          new Uint8Array(2),
        ),
      }));
      frames.push(frames[keys.next().value % frames.length]!);
      frames.sort((a, b) => a.key - b.key);
      const packets = frames.map(({ bytes }, packetNumber) => sealInitial({ dcid: DCID, frames: bytes, packetNumber }));
      const use = createSniffOptions();
      const sniffer = newSniffer(use);
      if (coalesced) send(sniffer, joinBytes(...packets));
      else for (const packet of packets) send(sniffer, packet);
      return sniffer.host === "example.com" && use.budget.bytesUsed === 0;
    }),
    { seed: 20, numRuns: 150 },
  );
});

Deno.test("FlowSniffer steps over 0-RTT, Handshake and unknown packets around the Initial", () => {
  const message = helloMessage({ name: "example.com" });
  for (const version of TEST_VERSIONS.slice(0, 2)) {
    const zeroRtt = otherLongPacket(version, version.zeroRttBits, DCID, 300);
    const first = sealInitial({ version, dcid: DCID, frames: cryptoFrame(0, message.slice(0, 50)) });
    const second = sealInitial({ version, dcid: DCID, frames: cryptoFrame(50, message.slice(50)), packetNumber: 1 });
    const sniffer = newSniffer();
    assertEquals(send(sniffer, joinBytes(zeroRtt, first, zeroRtt)), SniffState.Pending);
    assertEquals(send(sniffer, zeroRtt), SniffState.Pending);
    assertEquals(send(sniffer, joinBytes(second, new Uint8Array(30))), SniffState.Found);
    assertEquals(sniffer.host, "example.com");
  }
});

Deno.test("FlowSniffer keeps the first keys when the server's answer changes the DCID, and takes new ones after a Retry", () => {
  const message = helloMessage({ name: "example.com" });
  const other = hexBytes("f067a5502a4262b5");
  const first = sealInitial({ dcid: DCID, frames: cryptoFrame(0, message.slice(0, 60)) });
  const answered = sealInitial({
    dcid: other,
    keyDcid: DCID,
    frames: cryptoFrame(60, message.slice(60)),
    packetNumber: 1,
  });
  const sniffer = newSniffer();
  send(sniffer, first);
  send(sniffer, hexBytes(RFC9001_SERVER_INITIAL), false);
  assertEquals([send(sniffer, answered), sniffer.host], [SniffState.Found, "example.com"]);

  const token = asciiBytes("token");
  const retried = newSniffer();
  send(retried, first);
  assertEquals(
    send(retried, sealInitial({ dcid: other, token, frames: cryptoFrame(0, message.slice(0, 30)), packetNumber: 1 })),
    SniffState.Pending,
  );
  send(retried, sealInitial({ dcid: other, token, frames: cryptoFrame(30, message.slice(30)), packetNumber: 2 }));
  assertEquals(retried.host, "example.com");
});

Deno.test("FlowSniffer reads the client's packets when the capture begins with the server's", () => {
  const sniffer = newSniffer();
  assertEquals(send(sniffer, hexBytes(RFC9001_SERVER_INITIAL)), SniffState.Pending);
  assertEquals(send(sniffer, hexBytes(RFC9001_CLIENT_INITIAL), false), SniffState.Found);
  assertEquals(sniffer.host, "example.com");
});

Deno.test("FlowSniffer says None for UDP that is none of ours, at once, and why", () => {
  const dnsQuery = hexBytes("abcd010000010000000000000161036f72670000010001");
  const shortHeader = new Uint8Array(40).fill(0x40);
  const badVersion = sealInitial({ version: { ...V1, number: 0x12345678 }, dcid: DCID, frames: new Uint8Array(30) });
  for (const datagram of [dnsQuery, shortHeader, badVersion, new Uint8Array([0x80]), new Uint8Array([22])]) {
    const sniffer = newSniffer();
    assertEquals([send(sniffer, datagram), sniffer.reason], [SniffState.None, SniffReason.Unrecognised]);
  }
  const noName = newSniffer();
  send(noName, sealInitial({ dcid: DCID, frames: cryptoFrame(0, helloMessage({})) }));
  assertEquals([noName.state, noName.reason], [SniffState.None, SniffReason.NoName]);
  const noHello = newSniffer();
  send(noHello, sealInitial({ dcid: DCID, frames: cryptoFrame(0, new Uint8Array([2, 0, 0, 9])) }));
  assertEquals(noHello.state, SniffState.None);
});

Deno.test("FlowSniffer gives up after several packets that no key opens", () => {
  const forged = sealInitial({ dcid: DCID, frames: new Uint8Array(30) });
  forged[40]! ^= 1;
  const sniffer = newSniffer();
  for (let i = 0; i < QUIC_UNDECRYPTABLE_MAX; i++) assertEquals(send(sniffer, forged), SniffState.Pending);
  assertEquals([send(sniffer, forged), sniffer.reason], [SniffState.None, SniffReason.Undecryptable]);
});

Deno.test("FlowSniffer gives up after many datagrams without a whole hello", () => {
  const sniffer = newSniffer();
  const zeroRtt = otherLongPacket(V1, 1, DCID, 100);
  for (let i = 0; i < SNIFF_DATAGRAMS_MAX; i++) assertEquals(send(sniffer, zeroRtt), SniffState.Pending);
  assertEquals([send(sniffer, zeroRtt), sniffer.reason], [SniffState.None, SniffReason.TooManyPackets]);
});

Deno.test("FlowSniffer.finish() takes a name from a hello of which the end is missing, and none from another flow", () => {
  const message = helloMessage({ name: "example.com", paddingBytes: 10 });
  const named = newSniffer();
  send(named, sealInitial({ dcid: DCID, frames: cryptoFrame(0, message.slice(0, message.length - 2)) }));
  assertEquals([named.state, named.finish(), named.host], [SniffState.Pending, SniffState.Found, "example.com"]);
  const without = newSniffer();
  send(without, sealInitial({ dcid: DCID, frames: new Uint8Array([1]) }));
  assertEquals([without.finish(), without.host, without.reason], [SniffState.None, "", SniffReason.Finished]);
});

Deno.test("FlowSniffer names DTLS by fragments in any order, and by the hello that brings the cookie", () => {
  const fragments = dtlsHello({ name: "example.com" }, 30);
  const sniffer = newSniffer();
  for (const fragment of fragments.toReversed()) send(sniffer, fragment);
  assertEquals([sniffer.host, sniffer.protocol], ["example.com", "tls"]);

  const again = newSniffer();
  send(again, fragments[0]!);
  for (const fragment of dtlsHello({ name: "example.com", cookieBytes: 20 }, 60, 1)) send(again, fragment);
  assertEquals(again.host, "example.com");
});

Deno.test("FlowSniffer comes to no harm from mutated Initial packets and from noise", () => {
  const use = createSniffOptions();
  const good = hexBytes(RFC9001_CLIENT_INITIAL);
  const change = fc.tuple(fc.oneof(fc.nat(30), fc.nat(good.length - 1)), fc.nat(255));
  const first = fc.constantFrom(0xc0, 0xd0, 0x80, 22, 0x0d);
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), fc.nat(1_200), fc.uint8Array({ maxLength: 60 }), first, (
      changes,
      length,
      noise,
      byte,
    ) => {
      const mutated = good.slice(0, length);
      for (const [at, value] of changes) if (at < length) mutated[at] = value;
      const sniffer = newSniffer(use);
      send(sniffer, mutated);
      send(sniffer, new Uint8Array([byte, 0, 0, 0, 1, ...noise]));
      send(sniffer, mutated, false);
      sniffer.finish();
      assert(sniffer.host === "" || sniffer.host === "example.com");
      return use.budget.bytesUsed === 0;
    }),
    { seed: 21, numRuns: 1_000 },
  );
});

Deno.test("FlowSniffer comes to no harm from any frames inside a packet that opens", () => {
  const use = createSniffOptions();
  const frame = fc.oneof(
    fc.tuple(fc.nat(5_000), fc.uint8Array({ maxLength: 40 })).map(([offset, data]) => cryptoFrame(offset, data)),
    fc.tuple(fc.nat(0x3fff_ffff), fc.uint8Array({ maxLength: 10 })).map(([offset, data]) => cryptoFrame(offset, data)),
    fc.uint8Array({ maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
      const sniffer = newSniffer(use);
      send(sniffer, sealInitial({ dcid: DCID, frames: joinBytes(...frames) }));
      return sniffer.finish() !== SniffState.Pending && use.budget.bytesUsed === 0;
    }),
    { seed: 22, numRuns: 500 },
  );
});
