import { assertEquals, assertStringIncludes } from "@std/assert";
import { line, meta, until, withPolicy } from "./policy_fixture.ts";

const answering = (target: string) =>
  `import { target } from "./lib/target.ts";\nexport default { rules: ["MATCH,${target}"], onConnection: () => target };`;

Deno.test("PolicyHost takes a good new version, and keeps the old one while the new is bad", async () => {
  const files = { "policy.ts": answering("one"), "lib/target.ts": 'export const target = "one";' };
  const versions: string[] = [];
  const options = {
    watch: true,
    watchIntervalMs: 10,
    onReload: (
      { ruleLines }: { ruleLines: readonly { text: string; file: string; line: number; column: number }[] },
    ) => {
      versions.push(ruleLines[0]!.text);
      const refused = ruleLines.filter(({ text }) => text === "MATCH,refused");
      return refused.map(({ file, line, column }) => ({
        severity: "error" as const,
        file,
        line,
        column,
        message: "no such target",
      }));
    },
  };
  await withPolicy(files, options, async ({ host, told, write }) => {
    const via = async () => {
      const answer = await host!.ask(meta());
      return answer.kind === "verdict" ? answer.via : answer.kind;
    };
    assertEquals(await via(), "one");

    await write("lib/target.ts", 'export const target = "two";'); // a sibling alone
    await until(() => versions.length === 1);
    await until(() => told.length === 0);
    assertEquals(await via(), "two");

    await write("lib/target.ts", "export const target = ;");
    await until(() => told.length === 1);
    assertStringIncludes(line(told[0]!), "lib/target.ts:1:23 Cannot read the policy: ");
    assertStringIncludes(told[0]!.message, "(the version before stays)");
    assertEquals(await via(), "two");

    await write("policy.ts", 'throw new Error("broken");'); // it runs, and fails
    await until(() => told.length === 2);
    assertStringIncludes(line(told[1]!), "policy.ts:1:7 Cannot load the policy: Error: broken");
    assertEquals(await via(), "two");

    await write("policy.ts", 'export default { rules: ["MATCH,refused"] };'); // it loads, and the host does not want it
    await until(() => told.length === 3);
    assertStringIncludes(line(told[2]!), "policy.ts:1:18 no such target (the version before stays)");
    assertEquals([await via(), host!.ruleLines[0]!.text], ["two", "MATCH,one"]);

    await write("policy.ts", 'export default { rules: ["MATCH,three"], onConnection: () => "three" };');
    await until(() => host!.ruleLines[0]!.text === "MATCH,three");
    assertEquals(await via(), "three");
    assertEquals(versions, ["MATCH,one", "MATCH,refused", "MATCH,three"]);
    assertEquals(told.length, 3);
  });
});

Deno.test("PolicyHost lets the old version answer what it was asked", async () => {
  const slow = (target: string, ms: number) =>
    `export default { rules: ["MATCH,${target}"], async onConnection() { await new Promise((done) => setTimeout(done, ${ms})); return "${target}"; } };`;
  await withPolicy(
    { "policy.ts": slow("old", 400) },
    { watch: true, watchIntervalMs: 10, deadlineMs: 2_000 },
    async ({ host, write }) => {
      const asked = host!.ask(meta());
      await write("policy.ts", slow("new", 0));
      await until(() => host!.ruleLines[0]!.text === "MATCH,new");
      assertEquals(await asked, { kind: "verdict", via: "old", program: undefined });
      assertEquals(await host!.ask(meta()), { kind: "verdict", via: "new", program: undefined });
    },
  );
});

Deno.test("PolicyHost does not look at its files without `watch`", async () => {
  await withPolicy(
    { "policy.ts": 'export default { onConnection: () => "a" };' },
    { watchIntervalMs: 5 },
    async ({ host, write }) => {
      await write("policy.ts", 'export default { onConnection: () => "b" };');
      await new Promise((resolve) => setTimeout(resolve, 60));
      assertEquals(await host!.ask(meta()), { kind: "verdict", via: "a", program: undefined });
    },
  );
});
