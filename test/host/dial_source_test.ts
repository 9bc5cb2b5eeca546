import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { addressOn, Dialer } from "../../core/host/dial.ts";

const LOOPBACK = Deno.networkInterfaces().find(({ address }) => address === "127.0.0.1")?.name;

Deno.test("addressOn() says so when the interface is not there, or has no such address", () => {
  assertThrows(
    () => addressOn("no-such-interface", 4),
    Error,
    "Cannot leave by no-such-interface: it has no IPv4 address",
  );
});

Deno.test("Dialer.dial() binds to the address of the interface that is named", async () => {
  assert(LOOPBACK !== undefined);
  assertEquals(addressOn(LOOPBACK, 4), parseIp("127.0.0.1"));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  // Our own source is one that leads nowhere: the interface goes before it.
  const dialer = new Dialer({ v4: parseIp("192.0.2.1"), v6: undefined });
  const { stream, failure } = await dialer.dial(parseIp("127.0.0.1")!, listener.addr.port, undefined, LOOPBACK);
  assertEquals(failure, undefined);
  const conn = await accepted;
  assertEquals(conn.remoteAddr.hostname, "127.0.0.1");
  conn.close();
  stream!.close();
  listener.close();
});

Deno.test("Dialer.dial() fails when the interface is not there", async () => {
  const { failure, message } = await new Dialer().dial(parseIp("127.0.0.1")!, 9, undefined, "no-such-interface") as {
    failure: string;
    message: string;
  };
  assertEquals([failure, message], [
    "networkUnreachable",
    "Cannot leave by no-such-interface: it has no IPv4 address",
  ]);
});
