import { assert, assertEquals } from "@std/assert";
import { ipFromWords, ipv4FromWord } from "../../../core/base/ip_address.ts";
import { Prng } from "../../../core/base/prng.ts";
import { Verify } from "../../../core/parse/parse.ts";
import { forgeSegment } from "../../../sim/world/forger.ts";
import { scenarioOf } from "../../../sim/world/scenario_run.ts";
import { parseOne } from "../../support/slots.ts";

function words({ w0, w1, w2, w3 }: { w0: number; w1: number; w2: number; w3: number }): Uint32Array {
  return new Uint32Array([w0, w1, w2, w3]);
}

Deno.test("forgeSegment() makes sound packets of both versions, with every kind of flags", () => {
  const prng = new Prng(3);
  const flags = new Set<number>();
  for (let i = 0; i < 400; i++) {
    const version = i % 2 === 0 ? 4 : 6;
    const source = words(version === 4 ? ipv4FromWord(0x0a000001) : ipFromWords(0xfd000000, 0, 0, 1));
    const destination = words(version === 4 ? ipv4FromWord(0x0a000002) : ipFromWords(0xfd000000, 0, 0, 2));
    const packet = forgeSegment({ version, source, sourcePort: 7, destination, destinationPort: 9 }, prng);
    const { reason, meta } = parseOne(packet, { verify: Verify.All });
    assertEquals([reason, meta.version, meta.sourcePort, meta.destinationPort], ["none", version, 7, 9]);
    assertEquals([...meta.words.subarray(0, 8)], [...source, ...destination]);
    flags.add(meta.flags);
  }
  assertEquals(flags.size, 10);
});

Deno.test("scenarioOf() draws forgeries in some runs, within the time before all is healed", () => {
  let forged = 0;
  for (let seed = 0; seed < 300; seed++) {
    const { forgeries, conversations, healUs } = scenarioOf(seed);
    if (forgeries.length > 0) forged++;
    for (const { atUs, conversation } of forgeries) assert(atUs < healUs && conversation < conversations.length);
  }
  assert(forged > 20 && forged < 90, `${forged}`);
});
