/** `weir run` over the packet queue, beside the programs whose connections it diverts. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, type Running, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWebServer, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

const MAIN = new URL("../../main.ts", import.meta.url);
const CURL_RESET = 56;

function whyNoQueue(): string | undefined {
  try {
    new Deno.Command("iptables", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync();
    return undefined;
  } catch {
    return "iptables is not installed";
  }
}

const REASON = whyNoQueue();
if (REASON !== undefined) console.log(`tests of redirection are skipped: ${REASON}`);

/** Starts weir in the network of its programs; a rule that needs names makes it answer each connection itself. */
async function startHere(lab: Lab, mode: string, filter: string): Promise<Running> {
  const config = `${lab.folder}/here.yaml`;
  await Deno.writeTextFile(
    config,
    `weir: { divert: { enable: true, mode: ${mode}, filter: "${filter}" } }\n` +
      `sniffer: { enable: true, sniff: { HTTP: { ports: [${WEB_PORT}] } } }\n` +
      `rules: ["DOMAIN,blocked.example,REJECT", "MATCH,DIRECT"]\n`,
  );
  const weir = lab.startDeno("middle", MAIN, ["run", `--config=${config}`, "--log=debug"]);
  await weir.wrote("is up");
  return weir;
}

async function download(lab: Lab, host: string, bytes: number, seed: number, ...options: string[]): Promise<void> {
  const file = `${lab.folder}/${seed}`;
  const url = `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`;
  const { code, stderr } = await lab.exec("middle", ["curl", "-sS", "--max-time", "60", "-o", file, ...options, url]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

for (const mode of REASON === undefined ? ["redirect", "netstack"] : []) {
  liveTest(
    `weir run carries connections of programs beside it in mode ${mode}, and none of its own twice`,
    async (lab) => {
      await startWebServer(lab);
      const before = download(lab, SERVER_V4, 1_000_000, 1, "--limit-rate", "400k");
      await new Promise((resolve) => setTimeout(resolve, 500));
      const weir = await startHere(lab, mode, `tcp.DstPort == ${WEB_PORT}`);
      await download(lab, SERVER_V4, 5_000_000, 2);
      await download(lab, `[${SERVER_V6}]`, 5_000_000, 3);
      await Promise.all([4, 5, 6, 7, 8, 9].map((seed) => download(lab, SERVER_V4, 200_000 + seed, seed)));
      const blocked = ["curl", "-sS", "--max-time", "20", "-H", "Host: blocked.example"];
      const { code } = await lab.exec("middle", [...blocked, `http://${SERVER_V4}:${WEB_PORT}/bytes/9/9`]);
      assertEquals(code, CURL_RESET);
      await before;
      assertEquals(await weir.stop(), 0);
      const count = (pattern: RegExp) => weir.text.match(pattern)?.length ?? 0;
      // Eight downloads are carried; each makes one connection of weir's own, which goes on as it is.
      assertEquals([count(/ closed: /g), count(/ Own\S* → DIRECT/g), count(/ → REJECT/g)], [8, 8, 1]);
      assertStringIncludes(weir.text, "is gone");
    },
  );
}
