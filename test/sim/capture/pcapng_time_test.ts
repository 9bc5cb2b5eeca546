import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { convertTime } from "../../../sim/capture/pcapng_time.ts";

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** The draft's definition in exact integers: rounding down, cut to what a number holds. */
function oracle(resolution: number, offsetUs: number, units: bigint): [number, number] {
  const exponent = BigInt(resolution & 0x7f);
  const ns = units * 1_000_000_000n / (resolution >= 0x80 ? 2n ** exponent : 10n ** exponent);
  const us = ns / 1000n;
  const sum = (us > SAFE ? SAFE : us) + BigInt(offsetUs);
  return [Number(sum > SAFE ? SAFE : sum < -SAFE ? -SAFE : sum), Number(ns % 1000n)];
}

Deno.test("convertTime() agrees with exact arithmetic when the time lies in the next two centuries", () => {
  const resolutions = fc.oneof(fc.constantFrom(6, 9), fc.integer({ min: 0, max: 255 }));
  const property = fc.property(
    resolutions,
    fc.bigInt({ min: 0n, max: 8_000_000_000_000_000_000n }),
    fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }),
    (resolution, units, offsetSeconds) => {
      const offsetUs = offsetSeconds * 1_000_000;
      const out = { timestampUs: 0, timestampNsRest: 0 };
      convertTime({ resolution, offsetUs }, Number(units >> 32n), Number(units & 0xffff_ffffn), out);
      const [us, rest] = oracle(resolution, offsetUs, units);
      assertEquals(Number.isSafeInteger(out.timestampUs), true);
      assertEquals(out.timestampNsRest, rest);
      // Where the exact time does not fit, only the cut is asked for.
      if (Math.abs(us) < 8e15) assertEquals(out.timestampUs, us);
    },
  );
  fc.assert(property, { seed: 20, numRuns: 3000 });
});
