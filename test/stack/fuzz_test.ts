/** Any bytes at a stack: no throw, no growth, no amplification. */
import { assert } from "@std/assert";
import { fuzzStack } from "../fuzz/stack_fuzz.ts";

Deno.test("Stack takes 100,000 mutated packets without a throw, growth or amplification (seed 20)", () => {
  const { bytesIn, bytesOut, outcomes } = fuzzStack(20, 100_000);
  assert(bytesOut <= bytesIn, `${bytesOut} bytes out for ${bytesIn} in: not even the allowance is needed`);
  assert(bytesOut > 500_000, "the stack had something to say");
  assert((outcomes.get("none") ?? 0) > 20_000, "most packets get through");
  for (const name of ["noConnection", "badAddress", "icmpUnrelated", "unsupportedProtocol", "fragmentOverlap"]) {
    assert((outcomes.get(name) ?? 0) > 20, `${name} occurs`);
  }
});
