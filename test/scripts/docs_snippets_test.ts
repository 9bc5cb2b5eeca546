import { assertEquals } from "@std/assert";
import { checkShellLine, readSnippets } from "../../scripts/docs_snippets.ts";

Deno.test("readSnippets() reads language, line and text when a text has fenced blocks", () => {
  assertEquals(readSnippets("a\n```sh\nls\npwd\n```\n\n```ts ignore\nx\n```\n"), [
    { language: "sh", line: 3, text: "ls\npwd" },
    { language: "ts ignore", line: 8, text: "x" },
  ]);
});

const KNOWN = { tasks: ["test"], commands: ["replay"], options: ["json"], files: ["scripts/ok.ts"] };

const LINES: readonly [string, string[]][] = [
  ["npx -y deno@2.9.6 task test", []],
  ["deno task tset", ["deno.json has no task tset"]],
  ["weir replay a.pcap --json", []],
  ["./dist/weir rplay a.pcap", ["weir has no command rplay"]],
  ["deno run -A main.ts replay --jsno x", ["weir has no option --jsno"]],
  ["deno run -A scripts/ok.ts # scripts/gone.ts", []],
  ["deno run -A scripts/gone.ts", ["there is no file scripts/gone.ts"]],
  ["npm --version", []],
];

for (const [line, expected] of LINES) {
  Deno.test(`checkShellLine() finds ${expected.length} when the line is ${line}`, () => {
    assertEquals(checkShellLine(line, KNOWN), expected);
  });
}
