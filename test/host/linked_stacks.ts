/** Two stacks with live loops and a cable between them: sockets without any device. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { Dialer, type DialResult } from "../../core/host/dial.ts";
import { monotonicClock, RunLoop } from "../../core/host/run_loop.ts";
import { StackBody } from "../../core/host/stack_body.ts";
import { StackHost } from "../../core/host/stack_host.ts";
import type { TcpConn } from "../../core/host/tcp_conn.ts";
import { Stack } from "../../core/stack/stack.ts";
import { words } from "../support/stack_world.ts";

const QUEUE_PACKETS_MAX = 256;

/** One end of a cable. */
class CableEnd implements Adapter {
  readonly capabilities: Capabilities = { kind: "tun", mtu: 1500, batch: 64, checksumsVouched: false };
  other: CableEnd | undefined = undefined;
  readonly #queue: Uint8Array[] = [];
  #wake: (() => void) | undefined = undefined;

  receive(arena: Arena): number {
    let count = 0;
    while (this.#queue.length > 0 && count < 64) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) break;
      const packet = this.#queue.shift()!;
      arena.bytes.set(packet, arena.at(slot));
      arena.length[slot] = packet.length;
      arena.wireLength[slot] = packet.length;
      arena.arrive(slot);
      count++;
    }
    return count;
  }

  send(arena: Arena, slot: Slot): boolean {
    const queue = this.other!.#queue;
    if (queue.length >= QUEUE_PACKETS_MAX) return false;
    queue.push(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!));
    this.other!.#wake?.();
    return true;
  }

  ready(): Promise<void> {
    if (this.#queue.length > 0) return Promise.resolve();
    return new Promise((resolve) => this.#wake = resolve);
  }

  close(): void {}
}

/** A dialer that finds everything on this machine's loopback: the port stays. */
export class LoopbackDialer extends Dialer {
  override dial(_address: unknown, port: number, signal?: AbortSignal): Promise<DialResult> {
    return super.dial(parseIp("127.0.0.1")!, port, signal);
  }
}

/** One stack with its loop. */
class End {
  readonly loop: RunLoop;
  readonly stack: Stack;
  readonly host: StackHost;
  readonly body: StackBody;
  readonly running: Promise<void>;

  constructor(cable: CableEnd, seed: number, stop: AbortSignal, udpIdleUs: number) {
    const arena = new Arena(128);
    this.loop = new RunLoop(cable);
    this.stack = new Stack({ mtu: 1500, udpIdleUs }, new Prng(seed), arena, cable);
    this.host = new StackHost(this.stack, new LoopbackDialer(), this.loop);
    this.body = new StackBody(cable, arena, this.stack, this.host);
    this.running = this.loop.run(this.body, stop);
  }
}

/** Programs on `near`, the Internet behind `far`. */
export class LinkedStacks {
  readonly near: End;
  readonly far: End;
  readonly #stop = new AbortController();
  #port = 40_000;

  constructor(udpIdleUs = 300_000_000) {
    const [one, two] = [new CableEnd(), new CableEnd()];
    one.other = two;
    two.other = one;
    this.near = new End(one, 1, this.#stop.signal, udpIdleUs);
    this.far = new End(two, 2, this.#stop.signal, udpIdleUs);
  }

  /** A connection of the near stack to a port somewhere; its handshake is under way. */
  connect(port: number): TcpConn {
    const { stack, host, loop } = this.near;
    const local = words("10.0.0.2");
    const connection = stack.connect(4, local, this.#port++, words("198.51.100.1"), port, monotonicClock());
    loop.touched();
    return host.conn(connection!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.near.host.close();
    this.far.host.close();
    this.#stop.abort();
    await Promise.all([this.near.running, this.far.running]);
  }
}

/** A server on loopback that does the same for each connection. */
export class LoopbackServer {
  readonly #listener: Deno.TcpListener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #done: Promise<void>;

  constructor(serve: (conn: Deno.TcpConn) => Promise<void>) {
    this.#done = (async () => {
      for await (const conn of this.#listener) {
        await serve(conn).catch(() => {});
        try {
          conn.close();
        } catch {
          // Whoever served it has closed it.
        }
      }
    })();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#done;
  }
}
