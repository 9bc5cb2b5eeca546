/** weir beside the programs that it serves, in one network: its own sockets must not go round in circles. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Lab, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWebServer, WEB_PORT, WEIR } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

async function downloadHere(lab: Lab, host: string, bytes: number): Promise<void> {
  const file = `${lab.folder}/here`;
  const url = `http://${host}:${WEB_PORT}/bytes/${bytes}/3`;
  const { code, stderr } = await lab.exec("middle", ["curl", "-sS", "--max-time", "60", "-o", file, url]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, 3)));
}

for (const choice of [[], ["--source-address=10.77.0.1,fd77::1"]]) {
  liveTest(`weir run dials past its own device when the source is ${choice[0] ?? "found by itself"}`, async (lab) => {
    await startWebServer(lab);
    const weir = lab.startDeno("middle", WEIR, ["--route=198.51.100.0/24,2001:db8::/64", "--log=debug", ...choice]);
    await weir.wrote("is up");
    await downloadHere(lab, SERVER_V4, 20_000_000);
    await downloadHere(lab, `[${SERVER_V6}]`, 20_000_000);
    await weir.wrote(`tcp 198.18.0.1`);
    assertEquals(weir.text.split(" → DIRECT\n").length - 1, 2);
    // A program that binds the same address as weir's own sockets goes past the device, as the rule says.
    const args = [
      "curl",
      "-sS",
      "--interface",
      "10.77.0.1",
      "-o",
      "/dev/null",
      `http://${SERVER_V4}:${WEB_PORT}/bytes/10/1`,
    ];
    assertEquals((await lab.exec("middle", args)).code, 0);
    assertEquals(weir.text.split(" → DIRECT\n").length - 1, 2);
    const before = (await lab.exec("middle", ["ip", "rule"])).stdout;
    assertStringIncludes(before, "from 10.77.0.1 lookup main");
    assertEquals(await weir.stop(), 0);
    assertEquals((await lab.exec("middle", ["ip", "rule"])).stdout.includes("7170"), false);
  });
}

liveTest("weir run says so when it has no address to tell its own sockets by", async (lab) => {
  const weir = lab.startDeno("middle", WEIR, ["--route=0.0.0.0/0"]);
  assertEquals((await weir.child.status).code, 1);
  await weir.wrote("Cannot route 0.0.0.0/0 into the device: this machine has no IPv4 address in that direction");
});
