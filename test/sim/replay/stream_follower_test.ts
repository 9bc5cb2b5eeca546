import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../../core/base/prng.ts";
import { STREAM_FOLLOW_BYTES_MAX, STREAM_FOLLOW_PIECES_MAX } from "../../../core/base/limits.ts";
import { seqAdd } from "../../../core/wire/seq.ts";
import { StreamFollower } from "../../../sim/replay/stream_follower.ts";

function follow(): { follower: StreamFollower; heard: [string, number][]; text: () => string } {
  const heard: [string, number][] = [];
  const follower = new StreamFollower((bytes, missing) => heard.push([new TextDecoder().decode(bytes), missing]));
  return {
    follower,
    heard,
    text: () => heard.map(([bytes, missing]) => missing > 0 ? `<${missing}>${bytes}` : bytes).join(""),
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("StreamFollower gives segments on in order, each new byte once, when they come out of order and twice", () => {
  for (
    const [name, segments, expected] of [
      ["in order", [[0, "abc"], [3, "def"]], "abcdef"],
      ["swapped", [[0, "ab"], [4, "ef"], [2, "cd"]], "abcdef"],
      ["repeated", [[0, "abc"], [0, "abc"], [3, "d"]], "abcd"],
      ["overlapping what is there", [[0, "abc"], [1, "XXdef"]], "abcdef"],
      ["overlapping what waits", [[0, "a"], [3, "de"], [2, "XYZf"], [1, "b"]], "abXdef"],
      ["filling between two that wait", [[0, "a"], [2, "c"], [4, "e"], [1, "BCDEF"]], "aBcDeF"],
      ["empty", [[0, ""], [0, "a"]], "a"],
    ] as const
  ) {
    const { follower, text } = follow();
    follower.start(0xfffffffe);
    for (const [offset, payload] of segments) follower.segment(seqAdd(0xfffffffe, offset), bytes(payload));
    follower.finish();
    assertEquals(text(), expected, name);
  }
});

Deno.test("StreamFollower says how many bytes the capture has missed when a hole is given up", () => {
  const { follower, heard } = follow();
  follower.start(100);
  follower.segment(105, bytes("f"));
  follower.segment(110, bytes("k"));
  assertEquals([heard.length, follower.hasHole], [0, true]);
  follower.skipHole();
  assertEquals(heard, [["f", 5]]);
  follower.finish();
  assertEquals(heard, [["f", 5], ["k", 4]]);
  assert(!follower.hasHole);
});

Deno.test("StreamFollower begins at the first segment when there was no SYN, and ignores what no window reaches", () => {
  const { follower, text } = follow();
  assert(!follower.started);
  follower.segment(7, bytes("a"));
  follower.segment(0x7000_0000, bytes("of another connection"));
  follower.segment(8, bytes("b"));
  follower.finish();
  assertEquals(text(), "ab");
});

Deno.test("StreamFollower gives the first hole up when too much waits behind it", () => {
  const many = follow();
  many.follower.start(0);
  for (let i = 1; i <= STREAM_FOLLOW_PIECES_MAX + 1; i++) many.follower.segment(2 * i, bytes("x"));
  assertEquals(many.heard, [["x", 2]]);
  const large = follow();
  large.follower.start(0);
  const step = 60_000;
  for (let i = 1; i * step <= STREAM_FOLLOW_BYTES_MAX + step; i++) {
    large.follower.segment(i * step, new Uint8Array(step));
  }
  assertEquals(large.heard[0]![1], step);
  assert(!large.follower.hasHole);
});

Deno.test("StreamFollower agrees with a plain array of bytes on 20,000 seeded segments", () => {
  const prng = new Prng(20260604);
  for (let run = 0; run < 400; run++) {
    const base = prng.uint32();
    const length = prng.between(1, 200);
    const expected = new Array<string>(length).fill("");
    let nextAt = 0;
    let out = "";
    const follower = new StreamFollower((chunk, missing) => {
      nextAt += missing;
      out += "?".repeat(missing);
      for (const byte of chunk) {
        out += String.fromCharCode(byte);
        nextAt++;
      }
    });
    follower.start(base);
    for (let i = 0; i < 50; i++) {
      const at = prng.below(length);
      const size = prng.between(1, Math.min(30, length - at));
      const payload = Uint8Array.from({ length: size }, () => prng.between(97, 122));
      for (let k = 0; k < size; k++) if (expected[at + k] === "") expected[at + k] = String.fromCharCode(payload[k]!);
      follower.segment(seqAdd(base, at), payload);
    }
    follower.finish();
    let end = length;
    while (end > 0 && expected[end - 1] === "") end--;
    assertEquals(out, expected.slice(0, end).map((c) => c === "" ? "?" : c).join(""));
    assertEquals(nextAt, end);
  }
});
