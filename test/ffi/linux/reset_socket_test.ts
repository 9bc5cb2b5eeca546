import { assert, assertEquals, assertRejects } from "@std/assert";
import { SocketResetter } from "../../../ffi/linux/reset_socket.ts";

const isHere = Deno.build.os === "linux";
if (!isHere) console.log("skipped: this is not Linux");

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test({
    name: `SocketResetter.reset() lets the peer see a reset when the connection is one of Deno's over ${hostname}`,
    ignore: !isHere,
    fn: async () => {
      using resetter = new SocketResetter();
      using listener = Deno.listen({ hostname, port: 0 });
      const conns = await Promise.all(
        Array.from({ length: 20 }, () => Deno.connect({ hostname, port: listener.addr.port })),
      );
      const peers = await Promise.all(conns.map(() => listener.accept()));
      const chosen = conns[11]!;
      const peer = peers.find(({ remoteAddr }) => remoteAddr.port === chosen.localAddr.port)!;
      await chosen.write(new Uint8Array(10));
      assert(resetter.reset(chosen.localAddr, chosen.remoteAddr));
      chosen.close();
      await assertRejects(async () => {
        while (await peer.read(new Uint8Array(100)) !== null);
      }, Deno.errors.ConnectionReset);
      // The others are as they were.
      const other = peers.find(({ remoteAddr }) => remoteAddr.port === conns[3]!.localAddr.port)!;
      await conns[3]!.write(new Uint8Array(5));
      assertEquals(await other.read(new Uint8Array(100)), 5);
      for (const conn of [...conns, ...peers]) if (conn !== chosen) conn.close();
    },
  });
}

Deno.test({
  name: "SocketResetter.reset() does nothing when there is no such connection",
  ignore: !isHere,
  fn: () => {
    using resetter = new SocketResetter();
    const [local, remote] = [{ hostname: "127.0.0.1", port: 1 }, { hostname: "127.0.0.1", port: 2 }];
    assertEquals(resetter.reset(local, remote), false);
    assertEquals(resetter.reset({ hostname: "nowhere", port: 1 }, remote), false);
  },
});
