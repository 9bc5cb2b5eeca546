/** An interface is set up as weir needs it, and is afterwards what it was. */
import { assertEquals, assertThrows } from "@std/assert";
import { type IpPrefix, parseIp, parsePrefix } from "../../../core/base/ip_address.ts";
import { Journal, type JournalStep } from "../../../core/host/journal.ts";
import { InterfaceSetup, undoInterfaceStep } from "../../../ffi/iphlpapi/interface_setup.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import { readInterfaceRow } from "../../../ffi/iphlpapi/rows.ts";
import { adapterGuid, formatGuid } from "../../../ffi/win32/guid.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";
import { FakeIphlpapi } from "./fake_iphlpapi.ts";

const LUID = 0x35_0000_0100_0000n;
const GUID = adapterGuid("weir0");

function prefix(text: string): IpPrefix {
  return parsePrefix(text)!;
}

interface Bench {
  readonly system: FakeIphlpapi;
  readonly journal: Journal;
  readonly setup: InterfaceSetup;
  readonly slept: { ms: number };
}

function bench(
  body: (bench: Bench) => void,
  change: (calls: IphlpapiCalls) => IphlpapiCalls = (calls) => calls,
): () => Promise<void> {
  return async () => {
    const folder = await Deno.makeTempDir();
    try {
      const system = new FakeIphlpapi();
      system.addInterface(LUID);
      const calls = change(system.calls);
      const journal = new Journal(`${folder}/journal`, (step) => undoInterfaceStep(calls, step));
      const slept = { ms: 0 };
      const identity = { name: "weir0", luid: LUID, guid: GUID };
      const setup = new InterfaceSetup(calls, journal, identity, (ms) => slept.ms += ms);
      body({ system, journal, setup, slept });
      assertEquals(journal.undoAll(), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  };
}

function everything(setup: InterfaceSetup): void {
  for (const version of [4, 6] as const) setup.setInterface(version, 1400);
  for (const text of ["198.18.0.1/30", "fdfe:dcba:9876::1/126"]) setup.addAddress(prefix(text));
  setup.setNameServers(4, [parseIp("198.18.0.2")!, parseIp("9.9.9.9")!]);
  setup.setNameServers(6, [parseIp("2620:fe::fe")!]);
  setup.addRoutes(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(prefix));
}

Deno.test(
  "InterfaceSetup sets everything, and undoing gives back what was there, again and again",
  bench(({ system, journal, setup }) => {
    const before = [4, 6].map((version) => readInterfaceRow(system.row(LUID, version as 4 | 6)));
    for (let round = 0; round < 2; round++) {
      everything(setup);
      for (const version of [4, 6] as const) {
        const { metric, isMetricAutomatic, mtu, dadTransmits, routerDiscovery } = readInterfaceRow(
          system.row(LUID, version),
        );
        assertEquals([metric, isMetricAutomatic, mtu, dadTransmits, routerDiscovery], [0, false, 1400, 0, 0]);
      }
      assertEquals([...system.addresses], [`${LUID} 198.18.0.1/30`, `${LUID} fdfe:dcba:9876::1/126`]);
      assertEquals([...system.nameServers], [
        [`${formatGuid(GUID)} 4`, "198.18.0.2,9.9.9.9"],
        [`${formatGuid(GUID)} 6`, "2620:fe::fe"],
      ]);
      assertEquals(
        [...system.routes],
        ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map((text) => `${LUID} ${text}`),
      );
      const steps = [...journal.steps];
      assertEquals(journal.undoAll(), []);
      assertEquals([system.addresses.size, system.routes.size, system.nameServers.size], [0, 0, 0]);
      assertEquals([4, 6].map((version) => readInterfaceRow(system.row(LUID, version as 4 | 6))), before);
      // What is undone can be undone again; what is gone with its interface as well.
      for (const step of steps) undoInterfaceStep(system.calls, step);
    }
    everything(setup);
    system.removeInterface(LUID);
    assertEquals(journal.undoAll(), []);
  }),
);

Deno.test(
  "InterfaceSetup takes over what is there already",
  bench(({ system, setup }) => {
    everything(setup);
    everything(setup);
    assertEquals([system.addresses.size, system.routes.size], [2, 4]);
  }),
);

Deno.test(
  "InterfaceSetup.setInterface() waits until Windows knows the interface",
  bench(({ system, setup, slept }) => {
    system.lateCalls = 5;
    setup.setInterface(4, 1400);
    assertEquals(slept.ms, 100);
    system.removeInterface(LUID);
    assertThrows(
      () => setup.setInterface(6, 1400),
      WinError,
      "Cannot set up IPv6 on weir0: Windows has no IPv6 there; is it switched off on this machine?",
    );
    assertEquals(slept.ms, 10_100);
  }),
);

Deno.test(
  "InterfaceSetup says what Windows refused",
  bench(({ system, setup }) => {
    const fails = (name: string, deed: () => void, words: string) => {
      system.failures.set(name, 5);
      assertThrows(deed, WinError, `${words}: access is denied; run as administrator (error 5)`);
      system.failures.clear();
    };
    const address = prefix("198.18.0.1/30");
    fails("SetIpInterfaceEntry", () => setup.setInterface(4, 1400), "Cannot set MTU and metric of weir0 for IPv4");
    fails(
      "CreateUnicastIpAddressEntry",
      () => setup.addAddress(address),
      "Cannot give weir0 the address 198.18.0.1/30",
    );
    fails("CreateIpForwardEntry2", () => setup.addRoutes([prefix("::/1")]), "Cannot route ::/1 into weir0");
    fails(
      "SetInterfaceDnsSettings",
      () => setup.setNameServers(4, [parseIp("1.1.1.1")!]),
      "Cannot set the name servers of weir0 to 1.1.1.1",
    );
  }),
);

Deno.test(
  "InterfaceSetup says which call an older Windows lacks, and what to do",
  bench(({ setup, journal }) => {
    assertThrows(
      () => setup.setNameServers(6, [parseIp("::1")!]),
      Error,
      'this Windows lacks SetInterfaceDnsSettings (Windows 10 version 2004 or later has it); run "netsh interface ipv6 set dnsservers"',
    );
    setup.setNameServers(4, []);
    assertThrows(
      () => setup.addRoutes([prefix("::/1")]),
      Error,
      "Cannot set up the network: iphlpapi.dll lacks InitializeIpForwardEntry",
    );
    assertEquals(journal.steps.length, 0);
  }, (calls) => ({ ...calls, SetInterfaceDnsSettings: null, InitializeIpForwardEntry: null })),
);

Deno.test("undoInterfaceStep() refuses steps that are damaged or unknown", () => {
  const { calls } = new FakeIphlpapi();
  const good: JournalStep = { kind: "route", luid: "1", destination: "::/1" };
  const row = { kind: "interface", luid: "1", version: 4, mtu: 1, dadTransmits: 1, routerDiscovery: 0 };
  const system = new FakeIphlpapi();
  system.addInterface(1n);
  for (
    const [step, words] of [
      [{ ...good, luid: "-1" }, "its luid is damaged"],
      [{ ...good, luid: 1 }, "its luid is damaged"],
      [{ ...good, destination: "everywhere" }, "its destination is damaged"],
      [{ kind: "address", luid: "1" }, "its address is damaged"],
      [{ kind: "nameServers", guid: "x" }, "its guid is damaged"],
      [{ ...row, metric: -1 }, "its metric is damaged"],
      [{ kind: "magic" }, "Cannot undo a step of kind magic: this weir does not know it"],
    ] as const
  ) assertThrows(() => undoInterfaceStep(step.kind === "interface" ? system.calls : calls, step), Error, words);
});
