/** A small share of `scripts/fuzz.ts`, with a fixed seed. */
import { assert } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { drawRequest, FUZZ_CONFIG, mutateCapture, replayChecked } from "./capture_fuzz.ts";
import { builtConversations, FuzzWorld, runWorld } from "./packet_fuzz.ts";
import { buildCaptures } from "./build_captures.ts";
import { drawOutbound, readOutboundInput } from "./outbound_fuzz.ts";

const SEED = 20260605;

Deno.test("Engine keeps its law, its slots and its flows over 60,000 mutated packets", () => {
  const conversations = builtConversations();
  const dropped = new Set<string>();
  let flows = 0;
  for (let i = 0; i < 30; i++) {
    const prng = new Prng(SEED).fork(`world-${i}`);
    const world = new FuzzWorld(prng, () => performance.now());
    runWorld(world, prng, conversations, 2_000);
    for (const reason of Object.keys(world.report.dropped)) dropped.add(reason);
    flows += world.report.flows;
    assert(world.report.slowest < 2_000, `a packet took ${world.report.slowest} ms`);
  }
  assert(dropped.size >= 25, [...dropped].join());
  assert(flows > 5_000, `${flows} flows`);
});

Deno.test("replay() gives a sound result for 300 mutated captures", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [file, config] = [`${folder}/mutated`, `${folder}/config.yaml`];
    await Deno.writeTextFile(config, FUZZ_CONFIG);
    const prng = new Prng(SEED).fork("captures");
    const files = buildCaptures(builtConversations());
    let damaged = 0;
    for (let i = 0; i < 300; i++) {
      await Deno.writeFile(file, mutateCapture(prng, files));
      const start = performance.now();
      const { captures } = await replayChecked(file, drawRequest(prng, config));
      assert(performance.now() - start < 2_000, `capture ${i} took too long`);
      if (captures[0]!.error !== null) damaged++;
    }
    assert(damaged > 30 && damaged < 270, `${damaged} of 300 are damaged`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("every reader of proxy and name servers' answers survives 5,000 damaged ones", () => {
  const outcomes = new Set<string>();
  for (let i = 0; i < 5_000; i++) {
    const prng = new Prng(SEED).fork(`outbound-${i}`);
    outcomes.add(readOutboundInput(prng, drawOutbound(prng)));
  }
  assert(outcomes.size >= 8, [...outcomes].join());
});
