/** Datagrams of real programs through `weir run`. */
import { assertEquals } from "@std/assert";
import { SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWeir } from "./live_test_case.ts";

const UDP_SERVER = new URL("./programs/udp_server.ts", import.meta.url);
const UDP_CLIENT = new URL("./programs/udp_client.ts", import.meta.url);

for (
  const [stack, offload] of [["netstack", "on"], ["netstack", "off"], ["system", "off"], ["mixed", "on"]] as const
) {
  const choice = `the stack is ${stack} and offload ${offload}`;
  liveTest(`weir run carries datagrams of all sizes, from any peer, when ${choice}`, async (lab) => {
    await lab.startDeno("server", UDP_SERVER, ["700"]).wrote("udp server listens");
    const weir = await startWeir(lab, [`--stack=${stack}`, `--offload=${offload}`, "--mtu=1500"]);
    for (const address of [SERVER_V4, SERVER_V6]) {
      const client = lab.startDeno("client", UDP_CLIENT, [address, "700"]);
      await client.wrote("answers 700 701");
      assertEquals((await client.child.status).code, 0);
    }
    assertEquals(await weir.stop(), 0);
  });
}
