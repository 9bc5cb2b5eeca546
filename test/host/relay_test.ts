import { assertEquals } from "@std/assert";
import {
  RELAY_BUFFER_BYTES_MAX,
  RELAY_BUFFER_BYTES_MIN,
  RELAY_HALF_CLOSED_IDLE_US,
  TCP_IDLE_US,
} from "../../core/base/limits.ts";
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

Deno.test("Relay asks for no buffer before a stream has something to say, and lends it on", async () => {
  const { near, far, relay } = pair();
  let asked = 0;
  let speak = () => {};
  const waiting = near as ScriptedStream & { whenReadable?: () => Promise<void> };
  waiting.whenReadable = () => {
    asked++;
    return new Promise((resolve) => speak = resolve);
  };
  let reads = 0;
  const read = near.read.bind(near);
  near.read = (into) => {
    reads++;
    return read(into);
  };
  const running = relay.run();
  near.give(100, 200, null);
  far.give(null);
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals([asked, reads], [i + 1, i]);
    speak();
  }
  assertEquals(await running, "closed");
  assertEquals([relay.upload, far.written], [300, 300]);
});

Deno.test("Relay reads more at once while there is more, and less again afterwards", async () => {
  const { near, far, relay } = pair();
  const sizes: number[] = [];
  const read = far.read.bind(far);
  far.read = (into) => {
    sizes.push(into.length);
    return read(into);
  };
  far.give(RELAY_BUFFER_BYTES_MAX * 4, ...new Array(10).fill(1), null);
  near.give(null);
  assertEquals(await relay.run(), "closed");
  assertEquals(Math.max(...sizes), RELAY_BUFFER_BYTES_MAX);
  assertEquals([sizes[0], sizes.at(-1)], [RELAY_BUFFER_BYTES_MIN, RELAY_BUFFER_BYTES_MIN]);
  assertEquals(near.written, RELAY_BUFFER_BYTES_MAX * 4 + 10);
});
