/**
 * README.md kept honest: its TypeScript blocks type-check, its shell blocks name tasks, commands, options and files that exist.
 * A block of another kind, or one marked `ignore`, is only read by people.
 */
import { projectFiles, readProjectFile, ROOT } from "./project.ts";

/** A fenced block of a Markdown file. Units: `line` counts from 1 and is the line after the fence. */
export interface Snippet {
  readonly language: string;
  readonly line: number;
  readonly text: string;
}

/** The fenced blocks of a Markdown text, in order. */
export function readSnippets(markdown: string): Snippet[] {
  const snippets: Snippet[] = [];
  let open: { language: string; line: number; body: string[] } | undefined;
  markdown.split("\n").forEach((text, index) => {
    const fence = /^```\s*(.*)$/.exec(text);
    if (open === undefined && fence !== null) open = { language: fence[1]!.trim(), line: index + 2, body: [] };
    else if (open !== undefined && fence !== null) {
      snippets.push({ language: open.language, line: open.line, text: open.body.join("\n") });
      open = undefined;
    } else open?.body.push(text);
  });
  return snippets;
}

/** What exists in the project, for shell lines to be held against. */
export interface Known {
  readonly tasks: readonly string[];
  readonly commands: readonly string[];
  readonly options: readonly string[];
  readonly files: readonly string[];
}

/** What a shell line names that does not exist, one sentence each. */
export function checkShellLine(line: string, known: Known): string[] {
  const problems: string[] = [];
  const words = line.replace(/\s#.*$/, "").split(/\s+/).filter((word) => word !== "");
  const task = words.indexOf("task");
  if (task > 0 && /deno/.test(words[task - 1]!)) {
    const name = words[task + 1] ?? "";
    if (!known.tasks.includes(name)) problems.push(`deno.json has no task ${name}`);
  }
  const weir = words.findIndex((word) => /(^|[/\\])(weir(\.exe)?|main\.ts)$/.test(word));
  if (weir >= 0) {
    const command = words[weir + 1] ?? "";
    if (/^[a-z]+$/.test(command) && !known.commands.includes(command)) problems.push(`weir has no command ${command}`);
    for (const word of words.slice(weir + 1)) {
      const option = /^--([a-z-]+)/.exec(word)?.[1];
      if (option !== undefined && !known.options.includes(option)) problems.push(`weir has no option --${option}`);
    }
  }
  for (const word of words) {
    if (!/^(core|ffi|scripts|sim|test)\/[\w./-]+\.\w+$/.test(word)) continue;
    if (!known.files.includes(word)) problems.push(`there is no file ${word}`);
  }
  return problems;
}

/** Command names are file names in core/cli/; an option is any quoted word there, or in main.ts, that could be one. */
function readKnown(): Known {
  const files = projectFiles();
  const cli = files.filter((file) => /^core\/cli\/.*\.ts$|^main\.ts$/.test(file));
  const words = cli.flatMap((file) =>
    [...readProjectFile(file).matchAll(/["'`\s](?:--)?([a-z][a-z-]*)\b/g)].map((hit) => hit[1]!)
  );
  const commands = cli.flatMap((file) => /([a-z]+)(?:_command)?\.ts$/.exec(file)?.[1] ?? []);
  const config: { tasks: Record<string, string> } = JSON.parse(readProjectFile("deno.json"));
  return { tasks: Object.keys(config.tasks), commands, options: words, files };
}

/** Runs the check over README.md. Shape: one sentence a problem; empty when all is well. */
export async function checkDocs(): Promise<string[]> {
  let markdown: string;
  try {
    markdown = readProjectFile("README.md");
  } catch {
    return ["there is no README.md"];
  }
  const known = readKnown();
  const problems: string[] = [];
  for (const { language, line, text } of readSnippets(markdown)) {
    if (!/^(sh|bash|shell|console|powershell)$/.test(language)) continue;
    text.split("\n").forEach((each, index) => {
      for (const problem of checkShellLine(each, known)) problems.push(`README.md:${line + index}: ${problem}`);
    });
  }
  const args = ["check", "--quiet", "--doc-only", "README.md"];
  const check = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stderr: "inherit", stdout: "inherit" })
    .output();
  if (!check.success) problems.push("README.md: a TypeScript block does not type-check, see above");
  return problems;
}

if (import.meta.main) {
  const problems = await checkDocs();
  for (const problem of problems) console.error(problem);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
