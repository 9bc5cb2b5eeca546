import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { Prng } from "../../core/base/prng.ts";
import type { Destination, StreamTunnel } from "../../core/outbound/tunnel.ts";
import type { ServerTunnel } from "../../sim/servers/proxy_server.ts";
import { ADDRESSED, NAMED, type Pair, PAIRS, SECRET, testEnv, WRONG_SECRET } from "../support/outbound_pairs.ts";

interface Outcome {
  readonly client: StreamTunnel;
  readonly server: ServerTunnel;
  readonly atTarget: Uint8Array;
  readonly atApplication: Uint8Array;
}

function collect(chunks: Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Carries bytes both ways in pieces that `random` cuts, until nothing moves any more. */
function converse(
  pair: Pair,
  destination: Destination,
  secret: string,
  up: Uint8Array,
  down: Uint8Array,
  random: Prng,
): Outcome {
  const client = pair.client(destination, secret, testEnv(random.below(1 << 30)));
  const server = pair.server(testEnv(random.below(1 << 30)));
  const [atTarget, atApplication]: [Uint8Array[], Uint8Array[]] = [[], []];
  const state = { sentUp: 0, sentDown: 0, hasEnded: false, hasAccepted: false, serverEnded: false, toldEnd: false };
  let wireUp = new Uint8Array(0);
  let wireDown = new Uint8Array(0);
  const append = (to: Uint8Array, chunk: Uint8Array) => Uint8Array.from([...to, ...chunk]);
  const cut = (length: number) => Math.min(length, 1 + random.below(random.below(4) === 0 ? 4096 : 7));
  client.start();
  for (let idle = 0; idle < 6;) {
    let moved = false;
    for (let chunk = client.toServer.shift(); chunk !== undefined; chunk = client.toServer.shift()) {
      wireUp = append(wireUp, chunk);
      moved = true;
    }
    if (wireUp.length > 0) {
      const count = cut(wireUp.length);
      server.receive(wireUp.slice(0, count));
      wireUp = wireUp.slice(count);
      moved = true;
    } else if (client.closesTransport && !state.toldEnd) {
      state.toldEnd = moved = true;
      server.receiveEnd();
    }
    if (server.refusal === undefined && server.destination !== undefined && !state.hasAccepted) {
      state.hasAccepted = moved = true;
      server.accept();
    }
    for (let chunk = server.toTarget.shift(); chunk !== undefined; chunk = server.toTarget.shift()) {
      atTarget.push(chunk);
    }
    if (state.hasAccepted && state.sentDown < down.length) {
      const count = cut(down.length - state.sentDown);
      server.write(down.slice(state.sentDown, state.sentDown + count));
      state.sentDown += count;
      moved = true;
    } else if (state.hasAccepted && !state.serverEnded && state.sentUp === up.length && wireUp.length === 0) {
      state.serverEnded = moved = true;
      server.end();
    }
    for (let chunk = server.toClient.shift(); chunk !== undefined; chunk = server.toClient.shift()) {
      wireDown = append(wireDown, chunk);
      moved = true;
    }
    if (wireDown.length > 0) {
      const count = cut(wireDown.length);
      client.receive(wireDown.slice(0, count));
      wireDown = wireDown.slice(count);
      moved = true;
    } else if (
      (state.serverEnded || server.refusal !== undefined) && client.state !== "failed" && !client.isServerDone
    ) {
      client.receiveEnd();
      moved = true;
    }
    for (let c = client.toApplication.shift(); c !== undefined; c = client.toApplication.shift()) atApplication.push(c);
    if (client.state === "open" && state.sentUp < up.length) {
      const count = cut(up.length - state.sentUp);
      client.write(up.slice(state.sentUp, state.sentUp + count));
      state.sentUp += count;
      moved = true;
    } else if (client.state === "open" && !state.hasEnded && pair.closesHalf) {
      state.hasEnded = moved = true;
      client.end();
    }
    idle = moved ? 0 : idle + 1;
  }
  return { client, server, atTarget: collect(atTarget), atApplication: collect(atApplication) };
}

function bytes(length: number, seed: number): Uint8Array {
  const random = new Prng(seed);
  return Uint8Array.from({ length }, () => random.below(256));
}

for (const pair of PAIRS) {
  Deno.test(`${pair.name} carries every byte both ways, however the stream is cut`, () => {
    const lengths = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3_000 }));
    fc.assert(
      fc.property(lengths, lengths, fc.integer({ min: 1, max: 1 << 30 }), fc.boolean(), (up, down, seed, isNamed) => {
        const destination = isNamed ? NAMED : ADDRESSED;
        const [sent, answered] = [bytes(up, seed), bytes(down, seed + 1)];
        const outcome = converse(pair, destination, SECRET, sent, answered, new Prng(seed + 2));
        assertEquals(outcome.client.failure, undefined);
        assertEquals(outcome.server.refusal, undefined);
        assertEquals(outcome.server.destination, destination);
        assertEquals(outcome.atTarget, sent);
        assertEquals(outcome.atApplication, answered);
        assert(outcome.client.isServerDone, "the end of the server's stream arrives");
        if (pair.closesHalf) assert(outcome.server.isClientDone, "the end of the client's stream arrives");
      }),
      { numRuns: 25, seed: 7 },
    );
  });

  Deno.test(`${pair.name} with a wrong secret carries nothing, and tells no secret`, () => {
    const outcome = converse(pair, NAMED, WRONG_SECRET, bytes(400, 1), bytes(400, 2), new Prng(3));
    assert(outcome.server.refusal !== undefined);
    assertEquals(outcome.atTarget.length, 0);
    assertEquals(outcome.atApplication.length, 0);
    const message = outcome.client.failure?.message ?? "";
    for (const secret of [SECRET, WRONG_SECRET, btoa(WRONG_SECRET)]) assertFalse(message.includes(secret), message);
  });

  Deno.test(`${pair.name} survives whatever a server may say`, () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), fc.boolean(), (chunks, ends) => {
        const client = pair.client(NAMED, SECRET, testEnv());
        client.start();
        for (const chunk of chunks) {
          client.receive(chunk);
          if (client.state === "open") client.write(Uint8Array.of(1, 2, 3));
        }
        if (ends) client.receiveEnd();
        const given = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        assert(client.toApplication.length <= given, "nothing comes from nowhere");
        assert(client.state !== "failed" || client.failure !== undefined, "a failure says why");
      }),
      { numRuns: 200, seed: 11 },
    );
  });

  Deno.test(`${pair.name} survives a damaged conversation`, () => {
    // A true server's answer with one byte changed: a cipher must notice, the others must at least not throw.
    for (let at = 0; at < 120; at++) {
      const [client, server] = [pair.client(NAMED, SECRET, testEnv(5)), pair.server(testEnv(6))];
      client.start();
      for (let turn = 0, seen = 0; turn < 12; turn++) {
        if (client.toServer.length > 0) server.receive(client.toServer.takeAll());
        if (server.destination !== undefined && turn < 9) {
          server.accept();
          server.write(bytes(20, turn));
        }
        if (server.toClient.length === 0) continue;
        const answer = server.toClient.takeAll().slice();
        if (at >= seen && at < seen + answer.length) answer[at - seen]! ^= 0x41;
        seen += answer.length;
        client.receive(answer);
      }
      client.receiveEnd();
    }
  });
}
