/** What the kernel says about checksums of packets that it hands over with offloads on. */
import { assertStringIncludes } from "@std/assert";
import { liveTest } from "./live_test_case.ts";

const PROBE = new URL("./programs/vouched_probe.ts", import.meta.url);

liveTest("TunAdapter.receive() vouches for checksums that the kernel vouches for, and for no others", async (lab) => {
  const probe = lab.startDeno("client", PROBE, []);
  await probe.wrote("damaged:");
  await probe.stop();
  assertStringIncludes(probe.text, "plain: vouched 1 reason none\n");
  assertStringIncludes(probe.text, "raw: vouched 0 reason none\n");
  assertStringIncludes(probe.text, "damaged: vouched 0 reason udpBadChecksum\n");
});
