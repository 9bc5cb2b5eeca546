/** Transfers over a path that loses, doubles, damages and reorders packets in both directions. */
import { assertEquals } from "@std/assert";
import { SERVER_V4, SERVER_V6 } from "./lab.ts";
import { download, liveTest, startWebServer, startWeir, upload } from "./live_test_case.ts";
import type { FaultOptions } from "../../core/adapter/fault_plan.ts";

const PATHS: Readonly<Record<string, Partial<FaultOptions>>> = {
  "loses 3 %": { lossPpm: 30_000 },
  "loses in bursts": { burstEnterPpm: 5_000, burstLeavePpm: 200_000, burstLossPpm: 500_000 },
  "reorders": { reorderPpm: 50_000, reorderUs: 3_000 },
  "doubles": { duplicatePpm: 100_000 },
  "damages": { corruptPpm: 20_000 },
  "is bad in every way": {
    lossPpm: 10_000,
    duplicatePpm: 10_000,
    corruptPpm: 10_000,
    reorderPpm: 20_000,
    reorderUs: 2_000,
    delayUs: 2_000,
    jitterUs: 500,
  },
};

for (const [what, faults] of Object.entries(PATHS)) {
  liveTest(`weir run carries every byte when the path ${what}`, async (lab) => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    console.log(`seed ${seed}`);
    await startWebServer(lab);
    const env = { WEIR_FAULTS: JSON.stringify(faults), WEIR_SEED: String(seed) };
    const weir = await startWeir(lab, ["--adapter=faulty", "--mtu=1500"], env);
    for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
      await download(lab, host, 3_000_000, 4);
      await upload(lab, host, 3_000_000, 5);
    }
    assertEquals(await weir.stop(), 0);
  });
}
