/** Rules that need an address, answered from the capture's own DNS answers, real ones and fake ones. */
import { assertEquals } from "@std/assert";
import type { ReplayResult } from "../../../core/cli/replay_result.ts";
import { replay } from "../../../sim/mod.ts";
import { PcapngWriter } from "../../../sim/capture/write.ts";
import { tcpPacket, udpPacket } from "../../support/packets.ts";

const START_US = 1_700_000_000_000_000;
const FAKE = "198.18.0.7";

/** An answer to a question for a.test. */
function answerOf(address: string, ttl = 60): number[] {
  return [
    ...[0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
    ...[1, 97, 4, 116, 101, 115, 116, 0, 0, 1, 0, 1],
    ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, ...address.split(".").map(Number)],
  ];
}

const dns = (address: string, ttl?: number) =>
  udpPacket({
    source: "198.51.100.2",
    destination: "192.0.2.1",
    sourcePort: 53,
    destinationPort: 50_000,
    payload: answerOf(address, ttl),
  });
const syn = (destination: string, sourcePort = 40_000) =>
  tcpPacket({ flags: "S", sequence: 1, destination, sourcePort, destinationPort: 22 });

/** Replays packets, a second apart, by a configuration with fake addresses or without. */
async function run(packets: readonly Uint8Array[], rules: readonly string[], isFake: boolean): Promise<ReplayResult> {
  const folder = await Deno.makeTempDir();
  try {
    const bytes: number[] = [];
    const writer = new PcapngWriter((part) => bytes.push(...part), {});
    writer.addInterface({});
    packets.forEach((packet, i) => {
      const fields = { timestampUs: START_US + i * 1_000_000, originalLength: packet.length, direction: 0 } as const;
      writer.writePacket(packet, 0, packet.length, { ...fields, comment: undefined });
    });
    writer.flush();
    await Deno.writeFile(`${folder}/c.pcapng`, new Uint8Array(bytes));
    const mode = isFake ? "fake-ip" : "redir-host";
    const config = { dns: { enable: true, "enhanced-mode": mode, "fake-ip-range": "198.18.0.1/16" }, rules };
    await Deno.writeTextFile(`${folder}/c.yaml`, JSON.stringify(config));
    return await replay({ captures: [`${folder}/c.pcapng`], config: `${folder}/c.yaml`, explain: true });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Of each TCP flow: name, how it is known, address, rule. */
function seen({ flows }: ReplayResult): unknown[] {
  return flows.filter(({ metadata }) => metadata.network === "tcp").map((
    { metadata, rule },
  ) => [metadata.host, metadata.dnsMode, metadata.destinationIP, rule]);
}

const RULES = ["IP-CIDR,203.0.113.0/24,REJECT", "IP-CIDR,198.18.0.0/16,REJECT-DROP,no-resolve", "MATCH,DIRECT"];

Deno.test("replay() takes a fake address for its name, and resolves that from the answers before", async () => {
  const result = await run([dns("203.0.113.9"), dns(FAKE), syn(FAKE)], RULES, true);
  assertEquals(seen(result), [["a.test", "fake-ip", "203.0.113.9", "IPCIDR"]]);
});

Deno.test("replay() resolves the name of a fake address from an answer that came only behind the flow", async () => {
  const result = await run([dns(FAKE, 1), syn(FAKE), dns("203.0.113.9")], RULES, true);
  assertEquals(seen(result), [["a.test", "fake-ip", "203.0.113.9", "IPCIDR"]]);
});

Deno.test("replay() never takes a fake address for the answer to a lookup, and says that nobody knows", async () => {
  const result = await run([dns(FAKE), syn(FAKE), syn("198.18.0.99", 40_001)], RULES, true);
  assertEquals(seen(result), [["a.test", "fake-ip", "", "Match"], ["", "fake-ip", "", "Match"]]);
  const [named] = result.flows.filter(({ metadata }) => metadata.host === "a.test");
  assertEquals(named!.explain!.some(({ kind, outcome }) => kind === "lookup" && outcome !== "matched"), true);
});

Deno.test("replay() leaves the same addresses alone where the configuration gives out none", async () => {
  const result = await run([dns(FAKE), syn(FAKE)], RULES, false);
  assertEquals(seen(result), [["a.test", "redir-host", FAKE, "IPCIDR"]]);
});
