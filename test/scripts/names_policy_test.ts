/** The example policy that answers names, loaded as it is. */
import { assertEquals } from "@std/assert";
import { PolicyHost } from "../../core/host/policy_host.ts";

Deno.test("scripts/policies/names.ts refuses, redirects, chooses servers, and leaves the rest alone", async () => {
  const { host, issues } = await PolicyHost.load("scripts/policies/names.ts");
  assertEquals(issues, []);
  try {
    const kindOf = async (name: string, type = "A") => (await host!.askDns({ name, type }))?.kind;
    assertEquals(await kindOf("a.ads.example.net"), "rcode");
    assertEquals(await kindOf("git.corp.example.com"), "upstream");
    assertEquals(await host!.askDns({ name: "old.example.org", type: "AAAA" }), {
      kind: "rewrite",
      name: "new.example.org",
    });
    assertEquals([await kindOf("printer.home.arpa"), await kindOf("printer.home.arpa", "AAAA")], ["answer", undefined]);
    assertEquals(await kindOf("ads.example.net.example.org"), undefined);
  } finally {
    await host!.close();
  }
});
