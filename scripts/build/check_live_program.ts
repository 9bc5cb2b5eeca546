/** What an executable must do beyond replays: examine the machine, and run on a TUN device of its own until it is asked to stop. */

const STOP_AFTER_MS = 60_000;
/** A network namespace without a name, which goes with the program, and in it a way out that weir's own sockets could use. */
const NAMELESS = [
  "ip link set lo up",
  "ip link add link0 type veth peer name link1",
  "ip addr add 10.77.0.1/24 dev link0",
  "ip link set link0 up",
  "ip link set link1 up",
  "ip route add default via 10.77.0.2",
  'exec "$@"',
].join(" && ");
const RUN = ["run", "--address=198.18.0.1/30", "--route=198.51.100.0/24"];

/** What is wrong with the document of `weir doctor --json`, one sentence each. */
export function checkDoctorAnswer(code: number, json: string): string[] {
  let document: { schema?: unknown; findings?: unknown; adapters?: unknown };
  try {
    document = JSON.parse(json);
  } catch {
    return [`weir doctor does not answer with JSON, exit status ${code}`];
  }
  const { schema, findings, adapters } = document;
  if (schema !== "weir.doctor/1") return [`weir doctor answers with the schema ${schema}`];
  if (!Array.isArray(findings) || findings.length === 0) return ["weir doctor finds nothing out"];
  const isReady = Object.values(adapters ?? {}).includes(true);
  return code === (isReady ? 0 : 1) ? [] : [`weir doctor ends with ${code}`];
}

/** Why `weir run` cannot be tried here; undefined when it can. */
export function whyNoRun(): string | undefined {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, not Linux`;
  if (Deno.uid() !== 0) return "this is not root";
  try {
    Deno.statSync("/dev/net/tun");
    for (const tool of ["unshare", "ip"]) {
      new Deno.Command(tool, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync();
    }
  } catch (error) {
    return `something is missing: ${error instanceof Error ? error.message : error}`;
  }
  return undefined;
}

/** Runs `weir run` until it is up, and stops it with SIGINT. Shape: one sentence a problem. */
async function checkRun(program: string): Promise<string[]> {
  const args = ["--net", "--", "sh", "-c", NAMELESS, "sh", program, ...RUN];
  const child = new Deno.Command("unshare", { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const giveUp = setTimeout(() => child.kill("SIGKILL"), STOP_AFTER_MS);
  let text = "";
  let isUp = false;
  await Promise.all([child.stdout, child.stderr].map(async (stream) => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (isUp || !text.includes(" is up")) continue;
      isUp = true;
      child.kill("SIGINT");
    }
  }));
  const { code } = await child.status;
  clearTimeout(giveUp);
  const isWell = isUp && code === 0 && text.includes("routes and rules are undone");
  return isWell ? [] : [`weir run ${isUp ? "was" : "was not"} up and ended with ${code}: ${text.trim()}`];
}

/** Tries `weir doctor` and, where that can be, `weir run`. Shape: one sentence a problem. */
export async function checkLiveProgram(program: string): Promise<string[]> {
  const { code, stdout } = await new Deno.Command(program, { args: ["doctor", "--json"], stderr: "inherit" }).output();
  const problems = checkDoctorAnswer(code, new TextDecoder().decode(stdout));
  const reason = whyNoRun();
  if (reason !== undefined) console.log(`weir run of the executable is skipped: ${reason}`);
  else problems.push(...await checkRun(program));
  return problems;
}
