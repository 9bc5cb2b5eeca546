import { assertEquals, assertStringIncludes } from "@std/assert";
import { policyTypes } from "../../core/policy/policy_types.ts";

const SCRIPT = `import { definePolicy, type ConnectionAnswer, type Metadata, type RuleBuilder } from "weir";
const games = (r: RuleBuilder) => [r.processName("game.exe").via("fast"), r.and(r.network("udp"), r.not(r.geoip("CN"))).reject()];
export default definePolicy({
  rules: (r) => [...games(r), "MATCH,DIRECT"],
  async onConnection(meta) {
    const port: string = meta.destinationPort;
    await null;
    if (meta.process === "game.exe" && meta.network === "udp") return { duplicate: 2, via: port };
  },
});
export const answer: ConnectionAnswer = "DIRECT";
export const host = (meta: Metadata): string => meta.host;
`;

const WRONG = `import { definePolicy } from "weir";
export default definePolicy({ rules: (r) => [r.domain("a")] });
definePolicy({ onConnection: (meta) => meta.nothing });
definePolicy({ onConnection: () => ({ duplicate: "2" }) });
definePolicy({ onConnect() {} });
`;

async function check(folder: string, config: string): Promise<{ ok: boolean; text: string }> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", config, "policy.ts"],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { ok: success, text: new TextDecoder().decode(stderr) };
}

Deno.test("policyTypes() type-checks a policy that has no weir beside it, in both forms", async () => {
  const folder = await Deno.makeTempDir({ prefix: "weir-types-" });
  try {
    await Deno.writeTextFile(`${folder}/weir.d.ts`, policyTypes("module"));
    await Deno.writeTextFile(`${folder}/ambient.d.ts`, policyTypes("ambient"));
    await Deno.writeTextFile(`${folder}/module.json`, '{ "imports": { "weir": "./weir.d.ts" } }');
    await Deno.writeTextFile(`${folder}/ambient.json`, '{ "compilerOptions": { "types": ["./ambient.d.ts"] } }');
    for (const config of ["module.json", "ambient.json"]) {
      await Deno.writeTextFile(`${folder}/policy.ts`, SCRIPT);
      assertEquals(await check(folder, config), { ok: true, text: "" });
      await Deno.writeTextFile(`${folder}/policy.ts`, WRONG);
      const { ok, text } = await check(folder, config);
      assertEquals(ok, false);
      for (const place of ["policy.ts:2:", "policy.ts:3:", "policy.ts:4:", "policy.ts:5:"]) {
        assertStringIncludes(text, place);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("policyTypes() needs nothing from elsewhere", () => {
  assertEquals(/\bimport\b (?!\{ definePolicy)/.test(policyTypes("module").replace(/\/\*\*[^]*?\*\//g, "")), false);
});
