import { assert, assertEquals } from "@std/assert";
import type { CommandIo } from "../../core/cli/io.ts";
import type { ReplayResult } from "../../core/cli/replay_result.ts";
import { main } from "../../main.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);

/** What `deno task demo` prints as JSON. */
async function demo(): Promise<string> {
  let out = "";
  let err = "";
  const io: CommandIo = {
    out: (text) => out += text,
    err: (text) => err += text,
    color: false,
    isTerminal: false,
    columns: 120,
  };
  const files = [
    "test/captures/demo.pcapng",
    "--config",
    "scripts/policies/demo.yaml",
    "--policy",
    "scripts/policies/demo.ts",
  ];
  const args = files.map((file) => file.startsWith("--") ? file : ROOT + file);
  assertEquals(await main(["replay", ...args, "--json"], io), 0, err);
  return out;
}

/** One line a flow that is no DNS question: local port, program, host and how it was learned → rule, chain, verdict. */
function summarize(result: ReplayResult): string[] {
  return result.flows.filter(({ metadata }) => metadata.destinationPort !== "53").map((flow) => {
    const { sourcePort, process, host, sniffProtocol } = flow.metadata;
    const known = `${/^501\d\d$/.test(sourcePort) ? sourcePort : "-"} ${process || "-"} ${host || "-"} ${
      sniffProtocol || "-"
    }`;
    return `${known} → ${flow.rule},${flow.rulePayload} ${flow.chains.join("<")} ${flow.verdict}`;
  });
}

Deno.test("the demo decides every flow as its configuration and policy say, twice the same", async () => {
  const json = await demo();
  const result: ReplayResult = JSON.parse(json);
  assertEquals(summarize(result).sort(), [
    "- - - - → GeoIP,lan DIRECT direct",
    "50101 curl www.example.com tls → DomainSuffix,example.com office<Work proxy",
    "50102 curl www.example.com tls → AND,((DomainSuffix,example.com) && (IPCIDR,2001:db8::/32)) DIRECT direct",
    "50103 updater.exe updates.example.net http → ProcessName,updater.exe DIRECT direct",
    "50104 curl ads.example.net tls → RuleSet,ads REJECT reject",
    "50105 python3.11 video.example.org quic → SubRules,(DOMAIN-SUFFIX,example.org) film<Media proxy",
    "50106 curl - tls → IPCIDR,203.0.113.77/32 web-only proxy",
    "50107 nc.openbsd git.example.com - → AND,((Network,tcp) && (DstPort,9418)) office<Work proxy",
    "50108 game.exe game.example.net - → Policy,onConnection DIRECT direct",
    "50109 game.exe game.example.net - → Policy,onConnection DIRECT direct",
    "50110 curl api.example.org connect → SubRules,(DOMAIN-SUFFIX,example.org) office proxy",
    "50111 curl api.example.org socks5 → SubRules,(DOMAIN-SUFFIX,example.org) office proxy",
    "50112 curl intranet.example.com - → Domain,intranet.example.com DIRECT direct",
    "50113 curl intranet.example.com http → Domain,intranet.example.com DIRECT direct",
    "50114 curl v6.example.org http → SubRules,(DOMAIN-SUFFIX,example.org) DIRECT direct",
    "50115 python3.11 video.example.org quic → SubRules,(DOMAIN-SUFFIX,example.org) film<Media proxy",
    "50116 curl - http → Match, DIRECT<Rest direct",
  ]);
  const { received, delivered, consumed, queued, dropped } = result.counters;
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  assertEquals(received, result.captures[0]!.packets);
  assertEquals(received, delivered + consumed + queued + lost);
  assert(lost > 0 && delivered > 0 && consumed > 0);
  assertEquals(await demo(), json);
});
