/** How tests of the Wine lab are written: skipped with a reason where there can be no lab. */
import { assert, assertEquals } from "@std/assert";
import type { Running } from "../live/lab.ts";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { whyNotWindows, WindowsLab } from "./lab.ts";

const WEB_SERVER = new URL("../live/programs/web_server.ts", import.meta.url);
/** The web server's port. */
export const WEB_PORT = 8080;

const REASON = whyNotWindows();
if (REASON !== undefined) console.log(`test/windows is skipped: ${REASON}`);

/** A test with a lab of its own. */
export function windowsTest(
  name: string,
  body: (lab: WindowsLab, context: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore: REASON !== undefined,
    fn: async (context) => {
      await using lab = await WindowsLab.make();
      await body(lab, context);
    },
  });
}

/** Starts `weir run` on the adapter weir0 with everything routed into it. */
export async function startWeir(lab: WindowsLab, options: readonly string[] = []): Promise<Running> {
  const weir = lab.startWeir(runArguments(lab, options));
  await weir.wrote(" is up");
  return weir;
}

/** The command line of `weir run` in the lab. */
export function runArguments(lab: WindowsLab, options: readonly string[] = []): string[] {
  return [
    "run",
    `--iphlpapi=${lab.home.programs}\\weir-iphlpapi.dll`,
    "--route=0.0.0.0/0,::/0",
    "--mtu=1500",
    ...options,
  ];
}

/** Starts the web server. */
export async function startWebServer(lab: WindowsLab): Promise<void> {
  await lab.startDeno(lab.world, WEB_SERVER, [String(WEB_PORT)]).wrote("web server listens");
}

/** Downloads with curl and compares the SHA-256. */
export async function download(lab: WindowsLab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/${seed}`;
  const url = `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`;
  const { code, stderr } = await lab.exec(lab.host, ["curl", "-sS", "--max-time", "100", "-o", file, url], 120_000);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

/** Uploads with curl; the server's SHA-256 must be ours. */
export async function upload(lab: WindowsLab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/up-${seed}`;
  await Deno.writeFile(file, randomBytes(bytes, seed));
  const args = ["-sS", "--max-time", "100", "--data-binary", `@${file}`, `http://${host}:${WEB_PORT}/sum`];
  const { code, stdout, stderr } = await lab.exec(lab.host, ["curl", ...args], 120_000);
  assertEquals([code, stderr, stdout], [0, "", sha256(randomBytes(bytes, seed))]);
}

/** Writes a file that Windows programs find as well, and answers with their path of it. */
export async function writeForWindows(lab: WindowsLab, name: string, text: string): Promise<string> {
  await Deno.writeTextFile(`${lab.programFolder}/${name}`, text);
  return `${lab.home.programs}\\${name}`;
}

/** Gets a URL under Wine by a program of that name: what it says. */
export async function runClient(lab: WindowsLab, name: string, url: string): Promise<string> {
  const path = `${lab.programFolder}/${name}`;
  await Deno.link(`${lab.home.folder}/../../deno.exe`, path).catch(() => {});
  const [...command] = lab.home.denoCommand("test/windows/programs/http_client.ts", [url]);
  const deno = command.indexOf("Z:\\lab\\deno.exe");
  assert(deno > 0, "the command line has the path of deno.exe");
  command[deno] = `${lab.home.programs}\\${name}`;
  const { stdout } = await lab.home.run(command, 30_000);
  return stdout.trim();
}
