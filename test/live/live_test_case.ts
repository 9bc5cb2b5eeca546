/** How live tests are written: a lab, weir in its middle, a web server at its end. */
import { assertEquals } from "@std/assert";
import { CLIENT_V4, Lab, type Running, whyNotLive } from "./lab.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

/** The program that is tested. */
export const WEIR = new URL("./programs/weir.ts", import.meta.url);
const WEB_SERVER = new URL("./programs/web_server.ts", import.meta.url);
/** The web server's port. */
export const WEB_PORT = 8080;

const REASON = whyNotLive();
if (REASON !== undefined) console.log(`test/live is skipped: ${REASON}`);

/** Where TCP flows may end. */
export type StackName = "netstack" | "system" | "mixed";
/** All of them. */
export const STACKS: readonly StackName[] = ["netstack", "system", "mixed"];

/** Starts weir. `options` come after those that every test needs; `env` is for the faulty adapter. */
export async function startWeir(
  lab: Lab,
  options: readonly string[],
  env: Record<string, string> = {},
): Promise<Running> {
  const args = [
    `--netns=${lab.namespace("client")}`,
    `--address=${CLIENT_V4}/30,fd18::1/64`,
    "--route=0.0.0.0/0,::/0",
    ...options,
  ];
  const weir = lab.startDeno("middle", WEIR, args, env);
  await weir.wrote("is up");
  return weir;
}

/** Starts the web server. */
export async function startWebServer(lab: Lab): Promise<void> {
  await lab.startDeno("server", WEB_SERVER, [String(WEB_PORT)]).wrote("web server listens");
}

/** A test with a lab of its own; skipped where there can be none. */
export function liveTest(name: string, body: (lab: Lab) => Promise<void>): void {
  Deno.test({
    name,
    ignore: REASON !== undefined,
    fn: async () => {
      await using lab = await Lab.make();
      await body(lab);
    },
  });
}

/** Downloads with curl and compares the SHA-256. */
export async function download(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/${seed}`;
  const url = `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`;
  const { code, stderr } = await lab.exec("client", ["curl", "-sS", "--max-time", "100", "-o", file, url], 120_000);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

/** Uploads with curl; the server's SHA-256 must be ours. */
export async function upload(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/up-${seed}`;
  await Deno.writeFile(file, randomBytes(bytes, seed));
  const args = ["-sS", "--max-time", "100", "--data-binary", `@${file}`, `http://${host}:${WEB_PORT}/sum`];
  const { code, stdout, stderr } = await lab.exec("client", ["curl", ...args], 120_000);
  assertEquals([code, stderr, stdout], [0, "", sha256(randomBytes(bytes, seed))]);
}
