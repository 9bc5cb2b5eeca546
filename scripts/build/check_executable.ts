/**
 * `deno task test:compile`: both executables are made; the Linux one must answer exactly what the source answers on two versions of Deno,
 * in a folder that has nothing of the project but the capture, its configuration and its policy, and must examine the machine and run on it; the Windows
 * one must be a sound program.
 */
import { checkLiveProgram } from "./check_live_program.ts";
import { compileAll, PROGRAMS } from "./compile.ts";
import { DENORT_VERSION, npmTool, readPe } from "./denort.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
const DEMO = [
  "test/captures/demo.pcapng",
  "scripts/policies/demo.yaml",
  "scripts/policies/demo_ads.yaml",
  "scripts/policies/demo.ts",
];
const REPLAY = ["replay", "demo.pcapng", "--config", "demo.yaml", "--policy", "demo.ts", "--explain", "--json"];
const MACHINE_AMD64 = 0x8664;

/** What is unsound about a Windows program, one sentence each. */
export function checkWindowsProgram(file: Uint8Array): string[] {
  const { machine, imageBytes, sections } = readPe(file);
  const problems: string[] = [];
  if (machine !== MACHINE_AMD64) problems.push(`it is for machine 0x${machine.toString(16)}, not for x64`);
  const names = sections.map(({ name }) => name);
  for (const name of [".text", ".rdata"]) if (!names.includes(name)) problems.push(`it has no section ${name}`);
  if (names.filter((name) => name === ".pedata").length !== 1) {
    problems.push("it does not have exactly one section .pedata");
  }
  let address = 0;
  let offset = 0;
  for (const section of sections) {
    if (section.virtualAddress <= address) {
      problems.push(`section ${section.name} does not come after the one before it in memory`);
    }
    if (section.rawBytes > 0 && section.rawOffset < offset) {
      problems.push(`section ${section.name} overlaps the one before it`);
    }
    address = section.virtualAddress;
    if (section.rawBytes > 0) offset = section.rawOffset + section.rawBytes;
  }
  if (imageBytes <= address) problems.push("its image ends before its last section");
  return problems;
}

interface Answer {
  readonly by: string;
  readonly code: number;
  readonly json: string;
  readonly stderr: string;
}

async function ask(by: string, program: string, args: readonly string[], cwd: string): Promise<Answer> {
  const command = new Deno.Command(program, { args: [...args, ...REPLAY], cwd, stdout: "piped", stderr: "piped" });
  const { code, stdout, stderr } = await command.output();
  return { by, code, json: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** Where two texts part, with a little of both. */
export function firstDifference(left: string, right: string): string {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  const excerpt = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 40));
  return `byte ${at}: ${excerpt(left)} against ${excerpt(right)}`;
}

/** What is wrong with the answers: a failure, no flows, or a byte that differs from the first answer. */
export function compareAnswers(answers: readonly Answer[]): string[] {
  const problems: string[] = [];
  const first = answers[0]!;
  for (const answer of answers) {
    if (answer.code !== 0) problems.push(`${answer.by}: exit status ${answer.code}: ${answer.stderr.trim()}`);
    else if (answer.json !== first.json) {
      problems.push(`${answer.by} and ${first.by} differ at ${firstDifference(answer.json, first.json)}`);
    }
  }
  if (problems.length === 0 && JSON.parse(first.json).flows.length === 0) {
    problems.push(`${first.by}: no flow was decided`);
  }
  return problems;
}

async function checkLinuxProgram(): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    for (const file of DEMO) await Deno.copyFile(ROOT + file, `${folder}/${file.slice(file.lastIndexOf("/") + 1)}`);
    const source = ["run", "-A", "--quiet", "--no-lock", `${ROOT}main.ts`];
    return compareAnswers([
      await ask(`the source on Deno ${Deno.version.deno}`, Deno.execPath(), source, folder),
      await ask(
        `the source on Deno ${DENORT_VERSION}`,
        npmTool("npx"),
        ["-y", `deno@${DENORT_VERSION}`, ...source],
        folder,
      ),
      await ask("the executable", PROGRAMS["linux"]!.output, [], folder),
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  await compileAll([], "either");
  const windows = checkWindowsProgram(await Deno.readFile(PROGRAMS["windows"]!.output));
  const problems = [
    ...windows.map((problem) => `dist/weir.exe: ${problem}`),
    ...await checkLinuxProgram(),
    ...await checkLiveProgram(PROGRAMS["linux"]!.output),
  ];
  for (const problem of problems) console.error(problem);
  if (problems.length === 0) {
    console.log("the executable answers as the source does, on both versions of Deno, and runs");
  }
  Deno.exit(problems.length === 0 ? 0 : 1);
}
