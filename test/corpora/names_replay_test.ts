/** The names of nDPI's flows end to end: through capture, parse, defragmentation, flow table and sniffer of a replay. */
import { assert } from "@std/assert";
import { replay } from "../../sim/mod.ts";
import { flowKey, isNamedFlow, readNdpiFlows } from "./names_harness.ts";
import { noSharedCaptures as ignore, SHARED_CAPTURES, sharedCaptures } from "./shared_captures.ts";

function endpoint(ip: string, port: string): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

Deno.test({
  name: "replay() reports nDPI's name as sniffHost for 99 % of its TLS, QUIC and HTTP flows",
  ignore,
  async fn() {
    let total = 0;
    const differences: string[] = [];
    for (const file of sharedCaptures("ndpi/")) {
      const names = new Map<string, string[]>();
      for (const { metadata: m } of (await replay({ captures: [SHARED_CAPTURES + file] })).flows) {
        const source = endpoint(m.sourceIP, m.sourcePort);
        const key = flowKey(m.network, source, endpoint(m.destinationIP, m.destinationPort));
        names.set(key, [...names.get(key) ?? [], m.sniffHost]);
      }
      for (const flow of readNdpiFlows(Deno.readTextFileSync(`${SHARED_CAPTURES}${file}.out`))) {
        if (!isNamedFlow(flow)) continue;
        total++;
        const ours = names.get(flow.key) ?? [];
        if (ours.includes(flow.name.toLowerCase())) continue;
        differences.push(`${file}: ${flow.key}: nDPI ${flow.name}, ours ${ours.join(", ") || "nothing"}`);
      }
    }
    for (const difference of differences) console.log(`differs: ${difference}`);
    console.log(`${total - differences.length} of ${total} names are the same end to end`);
    assert(total >= 380, `only ${total} flows were compared`);
    assert(differences.length <= 0.01 * total, `${differences.length} of ${total} names differ`);
  },
});
