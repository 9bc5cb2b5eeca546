/** Every TCP flow of every capture there is, played against the stack: where it can be played, every byte arrives as it was captured. */
import { assert, assertEquals } from "@std/assert";
import { replay } from "../../sim/mod.ts";
import { checkReplayDocument } from "../support/replay_schema.ts";
import { noSharedCaptures as ignore, SHARED_CAPTURES, sharedCaptures } from "./shared_captures.ts";

const CONFIG = `
proxies:
  - { name: office, type: socks5, server: proxy.example, port: 1080, udp: true }
rules:
  - MATCH,office
`;

Deno.test({
  name: "replay() plays the flows of every capture against the stack without a difference",
  ignore,
  async fn() {
    const config = await Deno.makeTempFile({ suffix: ".yaml" });
    const tally: Record<string, number> = {};
    let bytes = 0;
    try {
      await Deno.writeTextFile(config, CONFIG);
      for (const file of sharedCaptures()) {
        const result = await replay({ captures: [SHARED_CAPTURES + file], config, stack: "netstack" });
        assertEquals(checkReplayDocument(result), [], file);
        for (const { metadata, play } of result.flows) {
          assertEquals(play === undefined, metadata.network !== "tcp");
          if (play === undefined) continue;
          assert(play.outcome !== "different", `${file}, port ${metadata.sourcePort}: ${play.reason}`);
          assertEquals(play.outcome === "equal", play.reason === "", file);
          tally[play.outcome] = (tally[play.outcome] ?? 0) + 1;
          bytes += play.bytesToServer + play.bytesToClient;
        }
      }
    } finally {
      await Deno.remove(config);
    }
    console.log(`flows: ${JSON.stringify(tally)}; ${bytes} bytes compared`);
    assert(tally["equal"]! > 250 && bytes > 2_000_000);
  },
});
