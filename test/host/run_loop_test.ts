import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { addMicros, type Micros, NEVER } from "../../core/base/micros.ts";
import { type LoopBody, RunLoop } from "../../core/host/run_loop.ts";

/** A device that is ready, or gone, when a test says so. */
class SilentDevice implements Adapter {
  readonly capabilities: Capabilities = { kind: "tun", mtu: 1500, batch: 1, checksumsVouched: true };
  #settle = Promise.withResolvers<void>();

  receive(): number {
    return 0;
  }
  send(): boolean {
    return true;
  }
  ready(): Promise<void> {
    return this.#settle.promise;
  }
  wake(): void {
    const settle = this.#settle;
    this.#settle = Promise.withResolvers();
    settle.resolve();
  }
  vanish(): void {
    this.#settle.reject(new Error("the device is gone"));
  }
  close(): void {}
}

/** Answers each turn as a test says; the turns' number is kept. */
class CountingBody implements LoopBody {
  turns = 0;
  answer: (now: Micros) => Micros = () => NEVER;
  turn(now: Micros): Micros {
    this.turns++;
    return this.answer(now);
  }
}

function start(): {
  device: SilentDevice;
  loop: RunLoop;
  body: CountingBody;
  stop: AbortController;
  running: Promise<void>;
} {
  const device = new SilentDevice();
  const loop = new RunLoop(device);
  const body = new CountingBody();
  const stop = new AbortController();
  return { device, loop, body, stop, running: loop.run(body, stop.signal) };
}

/** Time for all that is due, on a busy machine too: what a timer has started comes after it. */
async function soon(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 10));
}

Deno.test("RunLoop.run() calls its body for the device, for timers, and for whom has touched it, and not otherwise", async () => {
  const { device, loop, body, stop, running } = start();
  await soon();
  assertEquals(body.turns, 1);
  device.wake();
  await soon();
  assertEquals(body.turns, 2);
  loop.touched();
  loop.touched();
  await soon();
  assertEquals(body.turns, 3);
  body.answer = (now) => body.turns === 4 ? addMicros(now, 5_000) : NEVER;
  loop.touched();
  await soon();
  assertEquals(body.turns, 5);
  stop.abort();
  await running;
  loop.touched();
  await soon();
  assertEquals(body.turns, 5);
});

Deno.test("RunLoop.run() lets timers of others run when its body is never done", async () => {
  const { body, stop, running } = start();
  body.answer = (now) => now;
  await soon();
  assert(body.turns > 10);
  stop.abort();
  await running;
});

Deno.test("RunLoop.run() rejects when the device is gone or the body throws", async () => {
  const gone = start();
  await soon();
  gone.device.vanish();
  await assertRejects(() => gone.running, Error, "the device is gone");
  const broken = start();
  broken.body.answer = () => {
    throw new Error("a mistake of ours");
  };
  await assertRejects(() => broken.running, Error, "a mistake of ours");
});
