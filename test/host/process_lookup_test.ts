/** Whose answer a flow may read, and who is asked at all. */
import { assertEquals } from "@std/assert";
import type { ProcessOwner } from "../../core/act/command.ts";
import { formatIp, parseIp } from "../../core/base/ip_address.ts";
import { PROCESS_CACHE_COUNT_MAX, PROCESS_MISS_FRESH_US, PROCESS_UDP_FRESH_US } from "../../core/base/limits.ts";
import { emptyFacts, type FlowFacts } from "../../core/classify/facts.ts";
import { ProcessLookup } from "../../core/host/process_lookup.ts";
import type { LocalSocket, ProcessSource } from "../../core/host/process_source.ts";

const HERE = "10.0.0.1";
const THERE = "192.0.2.9";
const OWN_ID = 4242;

/** A machine on which one process at a time has every socket. */
class Machine implements ProcessSource {
  holder: number | undefined = 7;
  now = 0;
  readonly asked: LocalSocket[] = [];
  readonly lookup = new ProcessLookup(this, () => this.now, (ip) => formatIp(ip) === HERE, OWN_ID);

  findOwner(socket: LocalSocket): number | undefined {
    this.asked.push(socket);
    return this.holder;
  }

  describe(processId: number): ProcessOwner | undefined {
    if (processId === 13) return undefined;
    return { name: `p${processId}`, path: `/p${processId}`, processId, user: "u", uid: 1 };
  }

  name(facts: FlowFacts): string | undefined {
    return this.lookup.findProcessNow(facts)?.name;
  }
}

function flow(network: "tcp" | "udp", from = HERE, to = THERE, port = 5000): FlowFacts {
  const facts = emptyFacts(network);
  facts.sourceIp = parseIp(from);
  facts.destinationIp = parseIp(to);
  facts.sourcePort = port;
  facts.destinationPort = 443;
  return facts;
}

Deno.test("findProcessNow() asks once when a flow asks again", async () => {
  const machine = new Machine();
  const facts = flow("tcp");
  assertEquals(machine.name(facts), "p7");
  machine.holder = 8;
  assertEquals((await machine.lookup.findProcess(facts))?.name, "p7");
  assertEquals(machine.asked.length, 1);
  assertEquals(machine.lookup.counts, { asked: 1, remembered: 1, foreign: 0 });
  const { localPort, remotePort, isAccepting } = machine.asked[0]!;
  assertEquals([localPort, remotePort, isAccepting], [5000, 443, undefined]);
});

Deno.test("findProcessNow() asks anew when a new TCP flow has the addresses and ports of an old one", () => {
  const machine = new Machine();
  assertEquals(machine.name(flow("tcp")), "p7");
  machine.holder = 8;
  assertEquals(machine.name(flow("tcp")), "p8");
  machine.holder = undefined;
  assertEquals(machine.name(flow("tcp")), undefined);
  assertEquals(machine.asked.length, 3);
});

Deno.test("findProcessNow() lets UDP flows share an answer when it is fresh", () => {
  const machine = new Machine();
  assertEquals(machine.name(flow("udp")), "p7");
  machine.holder = 8;
  machine.now = PROCESS_UDP_FRESH_US - 1;
  assertEquals(machine.name(flow("udp")), "p7");
  machine.now = PROCESS_UDP_FRESH_US;
  assertEquals(machine.name(flow("udp")), "p8");
});

Deno.test("findProcessNow() asks again when what failed was a while ago", () => {
  for (const network of ["tcp", "udp"] as const) {
    const machine = new Machine();
    machine.holder = undefined;
    const facts = flow(network);
    assertEquals(machine.name(facts), undefined);
    machine.holder = 8;
    machine.now = PROCESS_MISS_FRESH_US - 1;
    assertEquals(machine.name(facts), undefined);
    assertEquals(machine.asked.length, 1);
    machine.now = PROCESS_MISS_FRESH_US;
    assertEquals(machine.name(facts), "p8");
  }
});

Deno.test("findProcessNow() does not ask when a flow is not this machine's", () => {
  const machine = new Machine();
  assertEquals(machine.name(flow("tcp", "10.0.0.2")), undefined);
  assertEquals(machine.name(flow("udp", "10.0.0.2")), undefined);
  assertEquals(machine.lookup.findProcessNow(emptyFacts("tcp")), undefined);
  assertEquals(machine.asked.length, 0);
  assertEquals(machine.lookup.counts.foreign, 2);
});

Deno.test("findProcessNow() asks for the accepting side when a flow comes from elsewhere", () => {
  const machine = new Machine();
  assertEquals(machine.name(flow("tcp", THERE, HERE)), "p7");
  const [socket] = machine.asked;
  assertEquals([formatIp(socket!.localIp), socket!.localPort, socket!.remotePort], [HERE, 443, 5000]);
  assertEquals(socket!.isAccepting, true);
});

for (const [holder, what] of [[0, "nobody's"], [13, "of a process that is gone"]] as const) {
  Deno.test(`findProcessNow() finds nobody when a socket is ${what}`, () => {
    const machine = new Machine();
    machine.holder = holder;
    assertEquals(machine.name(flow("tcp")), undefined);
  });
}

Deno.test("findProcessNow() marks our own process and no other", () => {
  const machine = new Machine();
  assertEquals(machine.lookup.findProcessNow(flow("tcp"))?.isSelf, undefined);
  machine.holder = OWN_ID;
  assertEquals(machine.lookup.findProcessNow(flow("tcp"))?.isSelf, true);
});

Deno.test("findProcessNow() forgets the oldest flow when it remembers too many", () => {
  const machine = new Machine();
  const flows = Array.from({ length: PROCESS_CACHE_COUNT_MAX + 1 }, (_, port) => flow("tcp", HERE, THERE, port));
  for (const facts of flows) machine.name(facts);
  machine.name(flows.at(-1)!);
  assertEquals(machine.asked.length, flows.length);
  machine.name(flows[0]!);
  assertEquals(machine.asked.length, flows.length + 1);
});
