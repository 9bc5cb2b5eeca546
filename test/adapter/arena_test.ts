import { assertEquals, assertThrows } from "@std/assert";
import { Arena, NO_SLOT, NO_TAG } from "../../core/adapter/arena.ts";

Deno.test("Arena hands out every slot once, clean of what its last packet left", () => {
  const arena = new Arena(2);
  const first = arena.acquire();
  arena.tag[first] = 7;
  arena.changed[first] = 1;
  arena.direction[first] = 2;
  arena.release(first);
  const again = arena.acquire();
  assertEquals([again, arena.tag[again], arena.changed[again], arena.direction[again]], [first, NO_TAG, 0, 0]);
  arena.acquire();
  assertEquals(arena.acquire(), NO_SLOT);
});

Deno.test("Arena.onRelease hears of slots that are given back with their device's tag, before they are free", () => {
  const arena = new Arena(3);
  const heard: [number, number, number][] = [];
  const [own, sent, kept] = [arena.acquire(), arena.acquire(), arena.acquire()];
  arena.tag[sent] = 5;
  arena.tag[kept] = 0x7fff_ffff;
  arena.onRelease = (slot, tag) => heard.push([slot, tag, arena.freeCount]);
  arena.release(own);
  arena.tag[sent] = NO_TAG;
  arena.release(sent);
  arena.release(kept);
  assertEquals(heard, [[kept, 0x7fff_ffff, 2]]);
  assertEquals(arena.tag[kept], NO_TAG);
});

Deno.test("Arena.disown() ends what the device knows of a packet, once", () => {
  const arena = new Arena(1);
  const heard: number[] = [];
  arena.onRelease = (_slot, tag) => heard.push(tag);
  const slot = arena.acquire();
  arena.tag[slot] = 9;
  arena.disown(slot);
  arena.disown(slot);
  arena.release(slot);
  assertEquals(heard, [9]);
});

Deno.test("Arena.release() throws when more slots come back than went out", () => {
  const arena = new Arena(1);
  assertThrows(() => arena.release(0));
});
