/**
 * Goal: flows through proxies hold what direct flows hold, over bad lines, whatever the programs do; the same seed is the same world.
 * Method: some seeds in every run of the tests; spoiled proxies that must be noticed; digests compared.
 */
import { assert, assertEquals } from "@std/assert";
import { ByteQueue } from "../../../core/outbound/byte_queue.ts";
import { OutgoingBytes } from "../../../sim/proxied/outgoing_bytes.ts";
import { ProxiedRun } from "../../../sim/proxied/proxied_run.ts";
import type { Socket } from "../../../sim/world/application.ts";
import { micros } from "../../../core/base/micros.ts";
import type { Tamper } from "../../../sim/world/host.ts";
import { runSeed } from "../../../sim/world/scenario_run.ts";
import { Violation } from "../../../sim/world/violation.ts";
import { skipByte } from "../world/canaries.ts";

const SEEDS = [1, 2, 3, 5, 240, 246];

Deno.test("ProxiedRun carries every byte of every flow, and leaves nothing behind", async (t) => {
  for (const seed of SEEDS) {
    await t.step(`seed ${seed}`, () => {
      const run = new ProxiedRun(seed);
      run.play();
      for (const { client, server } of run.flows) {
        if (client.outcome !== "done" || server.outcome !== "done") continue;
        assertEquals([server.receivedBytes, client.receivedBytes], [client.sentBytes, server.sentBytes]);
      }
    });
  }
});

Deno.test("ProxiedRun draws every protocol, chains and WebSockets within 60 seeds", () => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    for (const { hops } of new ProxiedRun(seed).flows) {
      kinds.add(`${hops.length} proxies`);
      for (const { protocol, webSocket } of hops) {
        kinds.add(webSocket === undefined ? protocol.kind : `${protocol.kind} ws`);
      }
    }
  }
  assertEquals([...kinds].sort(), [
    "1 proxies",
    "2 proxies",
    "3 proxies",
    "http",
    "socks5",
    "ss",
    "trojan",
    "vless",
    "vmess",
    "vmess ws",
  ]);
});

/** What becomes of a world that something is wrong with. */
function outcomeOf(seed: number, tamper?: Tamper, spoil: (run: ProxiedRun) => void = () => {}): string {
  const run = new ProxiedRun(seed, tamper);
  spoil(run);
  try {
    run.play();
    return "fine";
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return error.invariant;
  }
}

Deno.test("ProxiedRun notices a stack that leaves a byte out", () => {
  // Where it spoils nothing but requests to the servers, flows are refused, which is no violation.
  const caught = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seed) => outcomeOf(seed, skipByte));
  assert(caught.filter((outcome) => outcome === "delivery").length >= 7, caught.join());
});

/** Makes every program's connection behave otherwise, from the moment when it gets one. */
function onAttach(run: ProxiedRun, change: (socket: Socket) => void): void {
  for (const { server } of run.flows) {
    const attach = server.attach.bind(server);
    server.attach = (socket, ...rest) => {
      change(socket);
      attach(socket, ...rest);
    };
  }
}

Deno.test("ProxiedRun notices a proxy that spoils a byte, or keeps a flow's end to itself", () => {
  const spoilsBytes = SEEDS.map((seed) =>
    outcomeOf(seed, undefined, (run) =>
      onAttach(run, (socket) => {
        const receive = socket.receive.bind(socket);
        socket.receive = (into, at, length, now) => {
          const count = receive(into, at, length, now);
          if (count > 0) into[at] = into[at]! ^ 1;
          return count;
        };
      }))
  );
  assertEquals(new Set(spoilsBytes), new Set(["delivery"]));
  const keepsEnds = SEEDS.map((seed) =>
    outcomeOf(seed, undefined, (run) =>
      onAttach(run, (socket) => {
        socket.shutdownSend = () => {};
        socket.close = () => {};
      }))
  );
  assert(keepsEnds.every((outcome) => outcome === "liveness" || outcome === "cleanup"), keepsEnds.join());
});

Deno.test("runSeed() sends some worlds through proxies, and gives the same digest again", () => {
  // Seeds 4 and 27 are such worlds.
  for (const seed of [4, 27]) {
    const first = runSeed(seed);
    assertEquals(first.failure, undefined);
    assertEquals(runSeed(seed), first);
    const run = new ProxiedRun(seed);
    run.play();
    assertEquals([run.world.steps, run.bytes], [first.steps, first.bytes]);
  }
});

Deno.test("OutgoingBytes sends what a connection takes, in order, and keeps the rest", () => {
  const queue = new ByteQueue();
  const outgoing = new OutgoingBytes(queue);
  const sent: number[] = [];
  let room = 0;
  const socket = {
    send(bytes: Uint8Array, from: number, length: number): number {
      const count = Math.min(room, length);
      sent.push(...bytes.subarray(from, from + count));
      room -= count;
      return count === 0 ? -1 : count;
    },
  } as unknown as Socket;
  queue.push(Uint8Array.of(1, 2, 3));
  queue.push(Uint8Array.of(4, 5));
  assertEquals([outgoing.send(socket, micros(0)), outgoing.length], [false, 5]);
  room = 4;
  assertEquals([outgoing.send(socket, micros(0)), outgoing.length, sent], [true, 1, [1, 2, 3, 4]]);
  const into = new Uint8Array(4);
  assertEquals([outgoing.read(into, 1, 3), [...into], outgoing.length], [1, [0, 5, 0, 0], 0]);
});
