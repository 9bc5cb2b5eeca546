/** Every capture there is through the whole pipeline: nothing vanishes, nothing is said that is not documented, and twice is the same. */
import { assert, assertEquals } from "@std/assert";
import type { ReplayRequest } from "../../core/cli/replay.ts";
import { replay } from "../../sim/mod.ts";
import { checkReplayDocument } from "../support/replay_schema.ts";
import { noSharedCaptures as ignore, SHARED_CAPTURES, sharedCaptures } from "./shared_captures.ts";

const CONFIG = `
proxies:
  - { name: office, type: socks5, server: proxy.example, port: 1080, udp: true }
proxy-groups:
  - { name: pick, type: select, proxies: [office, DIRECT] }
rules:
  - DOMAIN-SUFFIX,com,pick
  - PROCESS-NAME,Google Chrome,office
  - DST-PORT,53,REJECT-DROP
  - AND,((NETWORK,UDP),(DST-PORT,443)),REJECT
  - IP-CIDR,10.0.0.0/8,DIRECT
  - MATCH,pick
`;

/** The pipeline in each of its shapes; without a configuration all is direct, with this one there are lookups and all four verdicts. */
const SHAPES: Record<string, Omit<ReplayRequest, "captures">> = {
  "tun": { mode: "tun" },
  "divert, verified": { mode: "divert", verifyChecksums: true },
  "tun, configured and explained": { mode: "tun", explain: true, config: "yes" },
};

async function withConfig<T>(run: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(path, CONFIG);
    return await run(path);
  } finally {
    await Deno.remove(path);
  }
}

for (const [shape, request] of Object.entries(SHAPES)) {
  Deno.test({
    name: `replay() keeps the law, its schema and its word on every capture when it is ${shape}`,
    ignore,
    async fn() {
      await withConfig(async (path) => {
        const config = request.config === undefined ? undefined : path;
        const verdicts = new Set<string>();
        const files = sharedCaptures();
        assert(files.length > 150, `only ${files.length} captures`);
        for (const file of files) {
          const options = { ...request, config, captures: [SHARED_CAPTURES + file] };
          // The replay itself asserts the law after every packet.
          const first = await replay(options);
          assertEquals(checkReplayDocument(first), [], file);
          assertEquals(JSON.stringify(await replay(options)), JSON.stringify(first), `${file}: twice is not the same`);
          for (const flow of first.flows) verdicts.add(flow.verdict);
        }
        assertEquals(verdicts.size, config === undefined ? 1 : 4);
      });
    },
  });
}

Deno.test({
  name: "replay() says the same of all captures in one run as of each alone, packet for packet",
  ignore,
  async fn() {
    const files = sharedCaptures("zeek/").map((file) => SHARED_CAPTURES + file);
    const together = await replay({ captures: files, mode: "divert" });
    assertEquals(checkReplayDocument(together), []);
    let received = 0;
    for (const file of files) received += (await replay({ captures: [file], mode: "divert" })).counters.received;
    assertEquals(together.counters.received, received);
    assertEquals(together.captures.map(({ file }) => file), files);
  },
});
