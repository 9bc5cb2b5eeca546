import { assertEquals } from "@std/assert";
import { emptyFacts, toMetadata } from "../../core/classify/facts.ts";
import type { Metadata, Policy } from "../../core/policy/mod.ts";
import { createRuleBuilder } from "../../core/policy/rule_builder.ts";
import demo from "../../scripts/policies/demo.ts";
import games from "../../scripts/policies/games.ts";
import knownPrograms from "../../scripts/policies/known_programs.ts";
import office from "../../scripts/policies/office.ts";
import preferTcp from "../../scripts/policies/prefer_tcp.ts";

function lines(policy: Policy): string[] {
  const made = typeof policy.rules === "function" ? policy.rules(createRuleBuilder()) : policy.rules ?? [];
  return made.map((rule) => typeof rule === "string" ? rule : rule.text);
}

function flow(fields: Partial<Metadata>): Metadata {
  return { ...toMetadata(emptyFacts("udp")), ...fields };
}

Deno.test("demo.ts duplicates the game's datagrams and asks the rules about the rest", () => {
  assertEquals(demo.onConnection?.(flow({ process: "game.exe" })), { duplicate: 2, via: "DIRECT" });
  assertEquals(demo.onConnection?.(flow({ process: "curl" })), undefined);
  assertEquals(demo.onConnection?.(flow({ process: "game.exe", network: "tcp" })), undefined);
  assertEquals(lines(demo), [
    "PROCESS-NAME,updater.exe,DIRECT",
    "AND,((NETWORK,tcp),(DST-PORT,9418)),Work",
  ]);
});

Deno.test("games.ts leaves web traffic alone", () => {
  assertEquals(games.onConnection?.(flow({ process: "CS2.exe", destinationPort: "27015" })), {
    duplicate: 2,
    via: "DIRECT",
  });
  assertEquals(games.onConnection?.(flow({ process: "cs2.exe", destinationPort: "443" })), undefined);
});

Deno.test("office.ts reads its names from the file beside it", () => {
  assertEquals(lines(office), [
    "DOMAIN-SUFFIX,example.com,office",
    "DOMAIN-SUFFIX,git.example.net,office",
    "IP-CIDR,198.51.100.0/24,office,no-resolve",
    "IP-CIDR,2001:db8:2::/48,office,no-resolve",
    "MATCH,DIRECT",
  ]);
});

Deno.test("known_programs.ts refuses what it does not name", () => {
  const made = lines(knownPrograms);
  assertEquals(made[1], "AND,((NETWORK,udp),(DST-PORT,53/123)),DIRECT");
  assertEquals(made.at(-1)?.startsWith("NOT,((OR,((PROCESS-NAME,curl),"), true);
});

Deno.test("prefer_tcp.ts refuses QUIC to hosts behind a proxy", async () => {
  const ask = async (fields: Partial<Metadata>) => await preferTcp.onConnection?.(flow(fields));
  assertEquals(await ask({ destinationPort: "443", sniffHost: "video.example.org" }), "REJECT");
  assertEquals(await ask({ destinationPort: "443", host: "www.example.com" }), undefined);
  assertEquals(await ask({ destinationPort: "443", sniffHost: "video.example.org", network: "tcp" }), undefined);
});
