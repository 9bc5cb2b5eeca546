/** Our stack's own sockets against the kernel's: the kernel serves, the kernel connects. */
import { assertEquals } from "@std/assert";
import { CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, WEB_PORT } from "./live_test_case.ts";

const STACK_PEER = new URL("./programs/stack_peer.ts", import.meta.url);
const ECHO_CLIENT = new URL("./programs/echo_client.ts", import.meta.url);
const WEB_SERVER = new URL("./programs/web_server.ts", import.meta.url);

for (const offload of ["on", "off"]) {
  liveTest(`TcpConn carries streams to and from the kernel when offload is ${offload}`, async (lab) => {
    await lab.startDeno("client", WEB_SERVER, [String(WEB_PORT)]).wrote("web server listens");
    for (const [server, elsewhere] of [[CLIENT_V4, SERVER_V4], [CLIENT_V6, SERVER_V6]] as const) {
      const peer = lab.startDeno("middle", STACK_PEER, [lab.namespace("client"), offload, server, "1000000", "20"]);
      await peer.wrote("right 20");
      const client = lab.startDeno("client", ECHO_CLIENT, [elsewhere, "2000000", "20"]);
      await client.wrote("right 20");
      assertEquals((await client.child.status).code, 0);
      // Killed, so that its rules stay behind: the next one has to live with them.
      await peer.stop("SIGKILL");
    }
  });
}
