/** Transfers that every adapter has to carry: many at once, and datagrams of all sizes. */
import { assertEquals } from "@std/assert";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { SERVER_V4, SERVER_V6, type WindowsLab } from "./lab.ts";
import { WEB_PORT } from "./windows_test_case.ts";

const UDP_SERVER = new URL("../live/programs/udp_server.ts", import.meta.url);
const UDP_CLIENT = new URL("../live/programs/udp_client.ts", import.meta.url);
/** How many flows there are at once. */
export const PARALLEL_COUNT = 200;
const PARALLEL_BYTES = 20_000;

/** Downloads by that many flows, which all wait until the last of them has come. */
export async function downloadAtOnce(lab: WindowsLab): Promise<void> {
  const lines: string[] = [];
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const path = `gate/${PARALLEL_BYTES + seed}/${seed}/${PARALLEL_COUNT}`;
    lines.push(`url = "http://${SERVER_V4}:${WEB_PORT}/${path}"`, `output = "${lab.folder}/p${seed}"`);
  }
  await Deno.writeTextFile(`${lab.folder}/curl`, lines.join("\n"));
  const options = ["-Z", "--parallel-immediate", "--parallel-max", "300", "--fail-early", "--max-time", "60"];
  const { code, stderr } = await lab.exec(lab.host, ["curl", "-sS", ...options, "-K", `${lab.folder}/curl`], 90_000);
  assertEquals([code, stderr], [0, code === 0 ? stderr : ""]);
  for (let seed = 0; seed < PARALLEL_COUNT; seed++) {
    const bytes = await Deno.readFile(`${lab.folder}/p${seed}`);
    assertEquals([seed, sha256(bytes)], [seed, sha256(randomBytes(PARALLEL_BYTES + seed, seed))]);
  }
}

/** Sends datagrams over both versions to a server that answers from two ports. */
export async function sendDatagrams(lab: WindowsLab): Promise<void> {
  await lab.startDeno(lab.world, UDP_SERVER, ["700"]).wrote("udp server listens");
  for (const address of [SERVER_V4, SERVER_V6]) {
    const client = lab.startDeno(lab.host, UDP_CLIENT, [address, "700"]);
    await client.wrote("answers 700 701");
    assertEquals((await client.child.status).code, 0);
  }
}
