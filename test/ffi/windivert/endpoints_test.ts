import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../../core/base/ip_address.ts";
import { DIVERT_ENDPOINT_ENDED_US } from "../../../core/base/limits.ts";
import { micros } from "../../../core/base/micros.ts";
import type { LocalSocket, ProcessSource } from "../../../core/host/process_source.ts";
import type { EndpointEvent } from "../../../ffi/windivert/address.ts";
import { DivertEndpoints } from "../../../ffi/windivert/endpoints.ts";
import { DivertEvent } from "../../../ffi/windivert/layout.ts";

const NOW = micros(5_000_000);
const {
  SocketBind: BIND,
  SocketConnect: CONNECT,
  SocketListen: LISTEN,
  SocketAccept: ACCEPT,
  SocketClose: CLOSE,
  FlowEstablished: ESTABLISHED,
  FlowDeleted: DELETED,
} = DivertEvent;

function ip(text: string) {
  return parseIp(text)!;
}

/** Shape of `local` and `remote`: "address port". */
function event(
  kind: number,
  processId: number,
  network: "tcp" | "udp",
  local: string,
  remote = "0.0.0.0 0",
  endpoint = processId,
): EndpointEvent {
  const [localIp, localPort] = local.split(" ");
  const [remoteIp, remotePort] = remote.split(" ");
  return {
    event: kind,
    endpointId: BigInt(endpoint),
    parentEndpointId: 0n,
    processId,
    localIp: ip(localIp!),
    localPort: Number(localPort),
    remoteIp: ip(remoteIp!),
    remotePort: Number(remotePort),
    protocol: network === "tcp" ? 6 : 17,
  };
}

function socket(network: "tcp" | "udp", local: string, remote = "198.51.100.2 443"): LocalSocket {
  const { localIp, localPort, remoteIp, remotePort } = event(0, 0, network, local, remote);
  return { network, localIp, localPort, remoteIp, remotePort };
}

function tables(): ProcessSource & { asked: number } {
  return {
    asked: 0,
    findOwner() {
      this.asked++;
      return 999;
    },
    describe: (processId) => ({ name: "x", path: "/x", processId, user: "", uid: undefined }),
  };
}

Deno.test("DivertEndpoints.findOwner() finds whom an event named, else asks the second source", () => {
  const table: [name: string, events: EndpointEvent[], asked: LocalSocket, owner: number][] = [
    ["connect", [event(CONNECT, 7, "tcp", "10.0.0.1 5000", "198.51.100.2 443")], socket("tcp", "10.0.0.1 5000"), 7],
    ["accept", [event(ACCEPT, 7, "tcp", "10.0.0.1 80", "198.51.100.2 443")], socket("tcp", "10.0.0.1 80"), 7],
    ["established", [event(ESTABLISHED, 7, "udp", "10.0.0.1 9", "198.51.100.2 443")], socket("udp", "10.0.0.1 9"), 7],
    ["another remote", [event(CONNECT, 7, "tcp", "10.0.0.1 5000", "1.1.1.1 443")], socket("tcp", "10.0.0.1 5000"), 999],
    ["another network", [event(BIND, 7, "tcp", "10.0.0.1 53")], socket("udp", "10.0.0.1 53"), 999],
    ["bound", [event(BIND, 7, "udp", "10.0.0.1 53")], socket("udp", "10.0.0.1 53"), 7],
    ["bound to all", [event(BIND, 7, "udp", "0.0.0.0 53")], socket("udp", "10.0.0.1 53"), 7],
    ["bound to all of both", [event(BIND, 7, "udp", ":: 53")], socket("udp", "10.0.0.1 53"), 7],
    [
      "IPv4's wildcard is not IPv6's",
      [event(BIND, 7, "udp", "0.0.0.0 53")],
      socket("udp", "2001:db8::1 53", "2001:db8::2 1"),
      999,
    ],
    ["listening", [event(LISTEN, 7, "tcp", "0.0.0.0 80")], socket("tcp", "10.0.0.1 80"), 7],
    [
      "IPv6",
      [event(CONNECT, 7, "tcp", "2001:db8::1 5", "2001:db8::2 6")],
      socket("tcp", "2001:db8::1 5", "2001:db8::2 6"),
      7,
    ],
    [
      "the port's next user",
      [
        event(CONNECT, 7, "tcp", "10.0.0.1 5", "198.51.100.2 443", 1),
        event(CLOSE, 7, "tcp", "10.0.0.1 5", "198.51.100.2 443", 1),
        event(CONNECT, 8, "tcp", "10.0.0.1 5", "198.51.100.2 443", 2),
        event(DELETED, 7, "tcp", "10.0.0.1 5", "198.51.100.2 443", 1),
      ],
      socket("tcp", "10.0.0.1 5"),
      8,
    ],
    ["a process without number", [event(BIND, 0, "udp", "0.0.0.0 53")], socket("udp", "10.0.0.1 53"), 999],
  ];
  for (const [name, events, asked, owner] of table) {
    const endpoints = new DivertEndpoints(tables(), 1);
    for (const each of events) endpoints.note(each, NOW);
    assertEquals(endpoints.findOwner(asked), owner, name);
  }
});

Deno.test("DivertEndpoints lets a closed socket answer for packets that are still queued, and for nobody later", () => {
  for (const end of [CLOSE, DELETED]) {
    const endpoints = new DivertEndpoints(undefined, 1);
    endpoints.note(event(CONNECT, 7, "tcp", "10.0.0.1 5", "198.51.100.2 443"), NOW);
    endpoints.note(event(end, 7, "tcp", "10.0.0.1 5", "198.51.100.2 443"), NOW);
    assertEquals(endpoints.findOwner(socket("tcp", "10.0.0.1 5")), 7);
    endpoints.expire(micros(NOW + DIVERT_ENDPOINT_ENDED_US));
    assertEquals(endpoints.findOwner(socket("tcp", "10.0.0.1 5")), undefined);
    assertEquals(endpoints.size, 0);
  }
});

Deno.test("DivertEndpoints.findOwner() reads new events before it asks anybody else", () => {
  const second = tables();
  const endpoints = new DivertEndpoints(second, 1);
  endpoints.readFrom((now) => endpoints.note(event(BIND, 7, "udp", "0.0.0.0 53"), now));
  assertEquals(endpoints.findOwner(socket("udp", "10.0.0.1 53")), 7);
  assertEquals(second.asked, 0);
});

Deno.test("DivertEndpoints.describe() asks the second source, and knows weir itself without one", () => {
  assertEquals(new DivertEndpoints(tables(), 1).describe(5)?.path, "/x");
  assertEquals([1, 2].map((id) => new DivertEndpoints(undefined, 1).describe(id)?.isSelf), [true, false]);
});

Deno.test("DivertEndpoints never remembers more than its bound, whatever the events are", () => {
  const kinds = fc.constantFrom(BIND, LISTEN, CONNECT, ACCEPT, ESTABLISHED, DELETED, CLOSE, 99);
  const events = fc.array(fc.tuple(kinds, fc.nat(20), fc.nat(60), fc.nat(3_000_000)), { maxLength: 300 });
  fc.assert(
    fc.property(events, (given) => {
      const endpoints = new DivertEndpoints(undefined, 1, 16);
      let now = NOW;
      for (const [kind, id, port, wait] of given) {
        now = micros(now + wait / 100);
        endpoints.note(event(kind, id, "tcp", `10.0.0.1 ${port}`, "198.51.100.2 443"), now);
        if (endpoints.size > 16) return false;
      }
      endpoints.expire(micros(now + DIVERT_ENDPOINT_ENDED_US));
      for (let id = 0; id <= 20; id++) endpoints.note(event(CLOSE, id, "tcp", "0.0.0.0 0"), now);
      endpoints.expire(micros(now + 2 * DIVERT_ENDPOINT_ENDED_US));
      return endpoints.size === 0;
    }),
    { seed: 7, numRuns: 300 },
  );
});
