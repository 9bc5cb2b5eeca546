import { assertEquals } from "@std/assert";
import { RELAY_BUFFER_BYTES_MAX, RELAY_HALF_CLOSED_IDLE_US, TCP_IDLE_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import { Relay } from "../../core/host/relay.ts";

/** A stream of a script: it gives what it is told, and notes what happens to it. */
class ScriptedStream implements Duplex {
  readonly events: string[] = [];
  written = 0;
  /** Most bytes that one write takes. */
  takes = Infinity;
  readonly #gifts: (number | null | Error)[] = [];
  #wake: (() => void) | undefined = undefined;

  give(...gifts: (number | null | Error)[]): void {
    this.#gifts.push(...gifts);
    this.#wake?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#gifts.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    const gift = this.#gifts[0]!;
    if (gift === null || gift instanceof Error) {
      this.#gifts.shift();
      if (gift === null) return null;
      throw gift;
    }
    const read = Math.min(gift, into.length);
    if (read === gift) this.#gifts.shift();
    else this.#gifts[0] = gift - read;
    return read;
  }

  write(bytes: Uint8Array): Promise<number> {
    const taken = Math.min(bytes.length, this.takes);
    this.written += taken;
    return Promise.resolve(taken);
  }

  closeWrite(): Promise<void> {
    this.events.push("closeWrite");
    return Promise.resolve();
  }

  close(): void {
    this.events.push("close");
  }

  abort(): void {
    this.events.push("abort");
    this.give(new Error("aborted"));
  }
}

function pair(): { near: ScriptedStream; far: ScriptedStream; time: { now: number }; relay: Relay } {
  const [near, far, time] = [new ScriptedStream(), new ScriptedStream(), { now: 0 }];
  return { near, far, time, relay: new Relay(near, far, () => micros(time.now)) };
}

Deno.test("Relay.run() hands on every byte and closes each half by itself", async () => {
  const { near, far, relay } = pair();
  far.takes = 1_000;
  near.give(10 * RELAY_BUFFER_BYTES_MAX, null);
  const running = relay.run();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([far.written, far.events, near.events], [10 * RELAY_BUFFER_BYTES_MAX, ["closeWrite"], []]);
  far.give(5, 6, null);
  assertEquals(await running, "closed");
  assertEquals([relay.upload, relay.download, near.written], [10 * RELAY_BUFFER_BYTES_MAX, 11, 11]);
  assertEquals([near.events, far.events], [["closeWrite", "close"], ["closeWrite", "close"]]);
});

Deno.test("Relay.run() aborts both sides when one breaks", async () => {
  const { near, far, relay } = pair();
  far.give(7, new Error("reset"));
  assertEquals(await relay.run(), "broken");
  assertEquals([near.written, near.events, far.events], [7, ["abort"], ["abort"]]);
});

Deno.test("Relay.expire() ends a silent relay, sooner when a half is closed", async () => {
  for (const [limitUs, isHalfClosed] of [[TCP_IDLE_US, false], [RELAY_HALF_CLOSED_IDLE_US, true]] as const) {
    const { near, far, relay, time } = pair();
    const running = relay.run();
    time.now = 5_000;
    near.give(1, ...(isHalfClosed ? [null] : []));
    await new Promise((resolve) => setTimeout(resolve, 0));
    relay.expire(micros(5_000 + limitUs - 1));
    assertEquals(near.events, []);
    relay.expire(micros(5_000 + limitUs));
    assertEquals(await running, "idle");
    assertEquals([near.events.at(-1), far.events.at(-1)], ["abort", "abort"]);
  }
});
