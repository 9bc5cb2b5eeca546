/** `weir run` over WinDivert under Wine, in both modes: every byte compared, rules hit by process, nothing lost, nothing left behind. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { randomBytes, sha256 } from "../live/programs/bytes.ts";
import { hasTool } from "../../scripts/build/wine_lab.ts";
import { rulesOfAll, startDivert, tablesOf } from "./divert_case.ts";
import { SERVER_V4, SERVER_V6 } from "./lab.ts";
import { downloadAtOnce, PARALLEL_COUNT, sendDatagrams } from "./transfers.ts";
import { download, runClient, startWebServer, upload, WEB_PORT, windowsTest } from "./windows_test_case.ts";

const DNS_SERVER = new URL("./programs/dns_server.ts", import.meta.url);
const RESOLVE_CLIENT = new URL("./programs/resolve_client.ts", import.meta.url);
const HUNDRED_MB = 100_000_000;
const BYTES = 50_000;
const URL_OF_BYTES = `http://${SERVER_V4}:${WEB_PORT}/bytes/${BYTES}/5`;
const CURL_RESET = 56;

function countOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

for (const mode of ["netstack", "redirect"]) {
  windowsTest(`weir.exe carries what WinDivert diverts when the mode is ${mode}`, async (lab, context) => {
    await startWebServer(lab);
    await lab.startDeno(lab.world, DNS_SERVER, [SERVER_V4]).wrote("name server listens");
    const weir = await startDivert(lab, { mode, rules: rulesOfAll(lab) });
    assert((await tablesOf(lab)).includes("NFQUEUE"));
    await context.step("100 MB down and up", async () => {
      await download(lab, SERVER_V4, HUNDRED_MB, 1);
      await upload(lab, SERVER_V4, HUNDRED_MB, 2);
    });
    await context.step("5 MB down and up over IPv6", async () => {
      await download(lab, `[${SERVER_V6}]`, 5_000_000, 3);
      await upload(lab, `[${SERVER_V6}]`, 5_000_000, 4);
    });
    await context.step(`${PARALLEL_COUNT} flows at once`, () => downloadAtOnce(lab));
    await context.step("a Windows program of another name passes", async () => {
      assertEquals(await runClient(lab, "free.exe", URL_OF_BYTES), `got ${BYTES} ${sha256(randomBytes(BYTES, 5))}`);
    });
    await context.step("a name that weir reads in the flow hits", async () => {
      const host = ["-H", "Host: blocked.example"];
      const { code } = await lab.exec(lab.host, ["curl", "-sS", "--max-time", "20", ...host, URL_OF_BYTES]);
      assertEquals(code, CURL_RESET);
      await weir.wrote("Domain(blocked.example) → REJECT");
    });
    await context.step("datagrams of all sizes and questions to name servers pass", async () => {
      await sendDatagrams(lab);
      const client = lab.startDeno(lab.host, RESOLVE_CLIENT, [SERVER_V4, "some.test"]);
      await client.wrote(`resolved ${SERVER_V4}`);
    });
    await context.step("PROCESS-NAME and PROCESS-PATH hit", async () => {
      assertStringIncludes(await runClient(lab, "game.exe", URL_OF_BYTES), "failed");
      await weir.wrote("ProcessName(game.exe) → REJECT");
      assertStringIncludes(await runClient(lab, "chat.exe", URL_OF_BYTES), "failed");
      await weir.wrote(`ProcessPath(${lab.home.programs}\\chat.exe) → REJECT`);
    });
    await context.step("nothing was lost on the way, and nothing is left when it ends", async () => {
      // Each connection was carried once, and weir's own for it went on as it was. The last of them may still be closing.
      const counts = () => [/ closed: /g, / Own\S* → DIRECT/g].map((pattern) => countOf(weir.text, pattern));
      const expected = [PARALLEL_COUNT + 5, PARALLEL_COUNT + 5];
      const isQuiet = async () => (await lab.state()).divert.waiting === 0 && String(counts()) === String(expected);
      for (let tries = 0; tries < 50 && !await isQuiet(); tries++) await new Promise((wake) => setTimeout(wake, 200));
      assertEquals(counts(), expected);
      assertEquals((await lab.state()).divert.overflow, 0);
      assertEquals([await weir.stop("SIGINT"), weir.text], [0, weir.text]);
      assertEquals(await tablesOf(lab), "");
      await download(lab, SERVER_V4, 1_000_000, 6);
    });
  });
}

const PROXY_PORT = 1080;
const TEN_MB = 10_000_000;

for (const mode of ["netstack", "redirect"]) {
  windowsTest(`weir.exe carries what WinDivert diverts through a proxy when the mode is ${mode}`, async (lab) => {
    if (!hasTool("microsocks")) return console.log("diverting to a proxy is skipped: microsocks is not installed");
    await startWebServer(lab);
    lab.start(lab.world, ["microsocks", "-i", "0.0.0.0", "-p", String(PROXY_PORT)]);
    const proxies = [`{ name: p, type: socks5, server: ${SERVER_V4}, port: ${PROXY_PORT} }`];
    const weir = await startDivert(lab, { mode, rules: [`DST-PORT,${WEB_PORT},p`, "MATCH,DIRECT"], proxies });
    await download(lab, SERVER_V4, TEN_MB, 1);
    await upload(lab, SERVER_V4, TEN_MB, 2);
    await Promise.all([3, 4, 5, 6].map((seed) => download(lab, SERVER_V4, 1_000_000 + seed, seed)));
    assertEquals([await weir.stop("SIGINT"), weir.text], [0, weir.text]);
    // The filter leaves weir's own way to the proxy alone, so that nothing of it was seen.
    const counts = [/ → p\b/g, / Own\S* → DIRECT/g].map((pattern) => countOf(weir.text, pattern));
    assertEquals([counts[0]! >= 6, counts[1]], [true, 0], weir.text.slice(-2000));
    assertEquals(await tablesOf(lab), "");
  });
}
