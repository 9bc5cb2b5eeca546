import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../core/cli/arguments.ts";
import { checkCommand } from "../../core/cli/check.ts";
import type { LoadPolicy } from "../../core/cli/configured.ts";
import type { Issue } from "../../core/config/issue.ts";
import { MemoryFiles } from "../config/memory_files.ts";
import { HANDMADE_FILES } from "../config/realistic.ts";
import { CapturedIo } from "./captured_io.ts";

const noPolicy: LoadPolicy = () => Promise.resolve({ issues: [] });

function policyWith(issues: readonly Issue[], rules: readonly string[] = []): { load: LoadPolicy; log: string[] } {
  const log: string[] = [];
  const ruleLines = rules.map((text, i) => ({ text, file: "p.ts", line: i + 1, column: 3 }));
  const host = {
    ruleLines,
    hasOnConnection: false,
    ask: () => Promise.resolve({ kind: "rules" as const }),
    close: () => Promise.resolve(void log.push("close")),
  };
  const load: LoadPolicy = (path) => {
    log.push(`load ${path}`);
    return Promise.resolve(issues.length > 0 ? { issues } : { host, issues });
  };
  return { load, log };
}

async function check(
  args: string[],
  files: Readonly<Record<string, string>>,
  loadPolicy = noPolicy,
  io = new CapturedIo(),
) {
  const status = await checkCommand(args, io, { files: new MemoryFiles(files), loadPolicy });
  return { status, output: io.output, errors: io.errors };
}

const ISSUE: Issue = {
  severity: "error",
  file: "p.ts",
  line: 4,
  column: 7,
  message: "Cannot load the policy: it throws",
};

Deno.test("checkCommand() says what is in a configuration without mistakes, and exits with 0", async () => {
  const result = await check(["--config", "/etc/weir/config.yaml"], HANDMADE_FILES);
  assertEquals(result, {
    status: 0,
    output: "no mistakes in 5 files: 6 rules, 3 proxies, 3 groups, 3 rule-providers with 7 entries\n",
    errors: "",
  });
});

Deno.test("checkCommand() exits with 0 when there are only warnings", async () => {
  const { status, output } = await check(["--config=c.yaml"], { "c.yaml": "rulse: []\n" });
  assertEquals(status, 0);
  assertEquals(
    output,
    'c.yaml:1:1: warning: unknown key "rulse"; did you mean "rules"?\n1 warning in 1 file: 0 rules, 0 proxies, 0 groups\n',
  );
});

Deno.test("checkCommand() lists the mistakes of configuration and policy, and exits with 2", async () => {
  const policy = policyWith([ISSUE]);
  const { status, output } = await check(
    ["--config", "c.yaml", "--policy", "p.ts"],
    { "c.yaml": "port: x\nweir: {policy: other.ts}\n" },
    policy.load,
  );
  assertEquals(status, 2);
  assertEquals(
    output,
    'c.yaml:1:7: error: Cannot read port: found "x", expected a port from 0 to 65535\n' +
      "p.ts:4:7: error: Cannot load the policy: it throws\n2 errors in 2 files\n",
  );
  assertEquals(policy.log, ["load p.ts"]);
});

Deno.test("checkCommand() checks the policy that the configuration names, and its rules against the configuration", async () => {
  const policy = policyWith([], ["DOMAIN,a.example,office"]);
  const { status, output } = await check(
    ["--config", "/a/c.yaml"],
    { "/a/c.yaml": "weir: {policy: p.ts}\n" },
    policy.load,
  );
  assertEquals(status, 2);
  assertEquals(
    output,
    'p.ts:1:3: error: Cannot read the rule "DOMAIN,a.example,office": found "office", expected the name of a proxy or group\n' +
      "1 error in 2 files\n",
  );
  assertEquals(policy.log, ["load /a/p.ts", "close"]);
});

Deno.test("checkCommand() still checks the policy when the configuration is no YAML", async () => {
  const policy = policyWith([ISSUE]);
  const { output } = await check(["--config", "c.yaml", "--policy", "p.ts"], { "c.yaml": "[" }, policy.load);
  assertEquals(output.trimEnd().split("\n").slice(-2), [
    "p.ts:4:7: error: Cannot load the policy: it throws",
    "2 errors in 2 files",
  ]);
});

Deno.test("checkCommand() prints one JSON document with --json", async () => {
  const { status, output, errors } = await check(["--config", "c.yaml", "--json"], {
    "c.yaml": "port: x\nrulse: []\n",
  });
  assertEquals([status, errors], [2, ""]);
  assertEquals(JSON.parse(output), {
    schema: "weir.check/1",
    files: ["c.yaml"],
    errors: 1,
    warnings: 1,
    issues: [
      {
        severity: "error",
        file: "c.yaml",
        line: 1,
        column: 7,
        message: 'Cannot read port: found "x", expected a port from 0 to 65535',
      },
      {
        severity: "warning",
        file: "c.yaml",
        line: 2,
        column: 1,
        message: 'unknown key "rulse"; did you mean "rules"?',
      },
    ],
  });
});

Deno.test("checkCommand() colours only for terminals and never passes control characters on", async () => {
  const files = { "c.yaml": 'mode: "\\e[31mred"\n' };
  const plain = await check(["--config", "c.yaml"], files);
  assertEquals(plain.output.includes("\x1b"), false);
  const colored = await check(["--config", "c.yaml"], files, noPolicy, new CapturedIo(true));
  assertEquals(
    colored.output.split("\n")[0],
    '\x1b[1mc.yaml:1:7:\x1b[0m \x1b[31;1merror:\x1b[0m Cannot read mode: found " [31mred", expected one of rule, global, direct',
  );
});

Deno.test("checkCommand() refuses arguments that it cannot use", async () => {
  for (const args of [[], ["c.yaml"], ["--confg", "c.yaml"], ["--config"]]) {
    await assertRejects(() => check(args, {}), UsageError);
  }
});
