/** A device is made whole or not at all, and leaves nothing behind. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseIp, parsePrefix } from "../../../core/base/ip_address.ts";
import type { DeviceSettings } from "../../../core/host/live_device.ts";
import { parseJournal } from "../../../core/host/journal.ts";
import { openWintun, openWintunBy, type WintunOptions } from "../../../ffi/wintun/open.ts";
import { checkAdapterName, deleteDriver, libraryError, runningDriverVersion } from "../../../ffi/wintun/wintun.ts";
import { adapterGuid } from "../../../ffi/win32/guid.ts";
import { FakeIphlpapi } from "../iphlpapi/fake_iphlpapi.ts";
import { FakeKernel32 } from "../win32/fake_kernel32.ts";
import { FakeWintun } from "./fake_wintun.ts";

/** The LUID that the fake gives adapters. */
const LUID = 0x1234_5678_9abc_def0n;

const SETTINGS: DeviceSettings = {
  name: "weir0",
  addresses: ["198.18.0.1/30", "fdfe:dcba:9876::1/126"].map((text) => parsePrefix(text)!),
  mtu: 1400,
  routes: ["0.0.0.0/0", "::/0"].map((text) => parsePrefix(text)!),
  excludes: [parsePrefix("0.0.0.0/2")!],
  nameServers: [parseIp("198.18.0.2")!],
  isDnsStrict: true,
  sources: [],
  offload: false,
  namespace: undefined,
};

interface Machine {
  readonly kernel: FakeKernel32;
  readonly wintun: FakeWintun;
  readonly system: FakeIphlpapi;
  readonly options: WintunOptions;
  readonly deeds: string[];
  readonly warnings: string[];
  open(settings?: DeviceSettings): ReturnType<typeof openWintunBy>;
  /** Nothing is left of any device. */
  isClean(): void;
}

function machine(body: (machine: Machine) => void | Promise<void>, guardFails = false): () => Promise<void> {
  return async () => {
    const folder = await Deno.makeTempDir();
    const kernel = new FakeKernel32();
    const wintun = new FakeWintun(kernel);
    const system = new FakeIphlpapi();
    system.addInterface(LUID);
    const deeds: string[] = [];
    const warnings: string[] = [];
    const options = { journalPath: `${folder}/journal`, onWarning: (text: string) => warnings.push(text) };
    const raiseGuard = (luid: bigint) => {
      if (guardFails) throw new Error("Cannot keep DNS inside the device: no");
      deeds.push(`guard ${luid === LUID}`);
      return { close: () => deeds.push("guard closed") };
    };
    const parts = {
      wintun: wintun.calls,
      kernel32: kernel.calls,
      iphlpapi: system.calls,
      raiseGuard,
      flushDnsCache: () => deeds.push("flush"),
      sleep: () => {},
      onReleased: () => deeds.push("released"),
    };
    const open = (settings = SETTINGS) => openWintunBy(parts, settings, options);
    const isClean = () => {
      assertEquals([wintun.mistakes, kernel.mistakes], [[], []]);
      assertEquals([wintun.adapters.size, wintun.sessions.size, kernel.handles.size], [0, 0, 0]);
      assertEquals([system.addresses.size, system.routes.size, system.nameServers.size], [0, 0, 0]);
      assertThrows(() => Deno.statSync(options.journalPath), Deno.errors.NotFound);
    };
    try {
      await body({ kernel, wintun, system, options, deeds, warnings, open, isClean });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  };
}

Deno.test(
  "openWintunBy() sets the whole device up, and close() undoes it, as often as one likes",
  machine(({ wintun, system, options, deeds, warnings, open, isClean }) => {
    for (let round = 0; round < 3; round++) {
      deeds.length = 0;
      const device = open();
      assertEquals(wintun.guid, adapterGuid("weir0"));
      assertEquals([wintun.capacity, system.addresses.size], [8 << 20, 2]);
      assertEquals([...system.routes], [
        `${LUID} 64.0.0.0/2`,
        `${LUID} 128.0.0.0/1`,
        `${LUID} ::/1`,
        `${LUID} 8000::/1`,
      ]);
      assertEquals(parseJournal(Deno.readTextFileSync(options.journalPath)).length, 9);
      assertEquals(deeds, ["guard true", "flush"]);
      device.close();
      device.close();
      assertEquals(deeds, ["guard true", "flush", "guard closed", "released", "flush"]);
      isClean();
    }
    assertEquals(warnings, []);
  }),
);

Deno.test(
  "openWintunBy() lets go of the libraries when nobody waits any more",
  machine(async ({ deeds, open, isClean }) => {
    const device = open();
    const waiting = device.adapter.ready();
    device.close();
    assert(!deeds.includes("released"));
    await assertRejects(() => waiting, Error, "the device is closed");
    assert(deeds.includes("released"));
    isClean();
  }),
);

Deno.test(
  "openWintunBy() leaves nothing behind when a step fails, and says which",
  machine(({ wintun, system, open, isClean }) => {
    const fails = (break_: () => void, mend: () => void, words: string) => {
      break_();
      assertThrows(open, Error, words);
      mend();
      isClean();
    };
    const refuse = (name: string, words: string) =>
      fails(() => system.failures.set(name, 87), () => system.failures.clear(), words);
    fails(
      () => wintun.createCode = 5,
      () => wintun.createCode = 0,
      "Cannot make the adapter weir0: access is denied; run as administrator (error 5)",
    );
    fails(
      () => wintun.sessionCode = 183,
      () => wintun.sessionCode = 0,
      "Cannot start a session on weir0: it has a session already; is another weir running? (error 183)",
    );
    refuse("SetIpInterfaceEntry", "Cannot set MTU and metric of weir0 for IPv4");
    refuse("CreateUnicastIpAddressEntry", "Cannot give weir0 the address 198.18.0.1/30");
    refuse("SetInterfaceDnsSettings", "Cannot set the name servers of weir0");
    refuse("CreateIpForwardEntry2", "Cannot route 64.0.0.0/2 into weir0");
    open().close();
    isClean();
  }),
);

Deno.test(
  "openWintunBy() leaves nothing behind when DNS cannot be kept inside",
  machine(({ open, isClean }) => {
    assertThrows(open, Error, "Cannot keep DNS inside the device");
    isClean();
  }, true),
);

Deno.test(
  "openWintunBy() refuses a name that somebody has",
  machine(({ wintun, kernel, open }) => {
    const device = open();
    assertThrows(
      open,
      Error,
      "Cannot open the device weir0: there is one of this name; is another weir running? (error 183)",
    );
    device.close();
    const other = wintun.calls.WintunCreateAdapter(
      new Uint8Array(new Uint16Array([..."weir0\0"].map((c) => c.charCodeAt(0))).buffer),
      new Uint8Array(2),
      new Uint8Array(16),
    );
    assertThrows(
      open,
      Error,
      "Cannot make the adapter weir0: there is an adapter of this name; is another weir running? Choose another name with --device (error 183)",
    );
    wintun.calls.WintunCloseAdapter(other);
    assertEquals([wintun.mistakes, kernel.mistakes, kernel.handles.size], [[], [], 0]);
  }),
);

Deno.test(
  "openWintunBy() undoes what a crash left, and says what it could not",
  machine(({ system, options, warnings, open, isClean }) => {
    const crashed = [
      { weir: 1 },
      ...["11.0.0.0/8", "12.0.0.0/8"].map((destination) => (
        { kind: "route", luid: String(LUID), destination }
      )),
    ];
    for (const text of ["11.0.0.0/8", "12.0.0.0/8"]) system.routes.add(`${LUID} ${text}`);
    Deno.writeTextFileSync(options.journalPath, crashed.map((line) => `${JSON.stringify(line)}\n`).join(""));
    system.failures.set("DeleteIpForwardEntry2", 5);
    const device = open();
    assertEquals(warnings, [
      "a crash has left something: Cannot take away the route 12.0.0.0/8: access is denied; run as administrator (error 5)",
    ]);
    assert(!system.routes.has(`${LUID} 11.0.0.0/8`));
    assertEquals(parseJournal(Deno.readTextFileSync(options.journalPath))[0]?.["destination"], "12.0.0.0/8");
    device.close();
    isClean();
  }),
);

Deno.test(
  "openWintunBy() refuses settings that cannot be",
  machine(({ open, isClean }) => {
    for (
      const [change, words] of [
        [{ name: "a|b" }, 'Cannot name an adapter "a|b"'],
        [{ name: "" }, 'Cannot name an adapter ""'],
        [{ name: "x".repeat(128) }, "1 to 127 characters"],
        [{ namespace: "red" }, "Cannot open weir0 in a network namespace: Windows has none"],
        [{ mtu: 1279 }, "Cannot carry IPv6 with an MTU of 1279: it needs 1280"],
        [{
          excludes: Array.from({ length: 60 }, (_, i) => parsePrefix(`2001:db8:${i}::1/128`)!),
        }, "4096 are allowed"],
      ] as const
    ) assertThrows(() => open({ ...SETTINGS, ...change }), RangeError, words);
    isClean();
    open({ ...SETTINGS, addresses: SETTINGS.addresses.slice(0, 1), routes: SETTINGS.routes.slice(0, 1), mtu: 576 })
      .close();
    isClean();
  }),
);

Deno.test("openWintun() says that this is no Windows", { ignore: Deno.build.os === "windows" }, () => {
  assertThrows(
    () => openWintun("wintun.dll", SETTINGS, { journalPath: "/nowhere" }),
    Error,
    `Cannot load wintun.dll: this is ${Deno.build.os}, not Windows`,
  );
});

Deno.test("libraryError() says what to do by the system's words", () => {
  for (
    const [words, remedy] of [
      [
        "Could not open library: Module not found.\r\n",
        "it is not there; put the wintun.dll of wintun.net (amd64) there",
      ],
      ["Could not open library: Bad EXE format for C:\\w.dll.\r\n", "it is no 64-bit library; take the amd64 one"],
      ["Failed to register symbol WintunOpenAdapter", "it is not Wintun 0.14; take the newest one"],
      ["Something else", "it cannot be used"],
    ] as const
  ) {
    const { message } = libraryError("C:\\wintun.dll", new Error(words));
    assert(message.startsWith(`Cannot load C:\\wintun.dll: ${remedy}`), message);
    assert(message.endsWith(`(${words.trim()})`), message);
  }
});

Deno.test("runningDriverVersion() and deleteDriver() speak of the driver", () => {
  const { calls } = new FakeWintun(new FakeKernel32());
  assertEquals(runningDriverVersion(calls), "0.14");
  assertEquals(runningDriverVersion({ ...calls, WintunGetRunningDriverVersion: () => 0 }), undefined);
  deleteDriver(calls, () => 0);
  assertThrows(
    () => deleteDriver({ ...calls, WintunDeleteDriver: () => 0 }, () => 5),
    Error,
    "Cannot remove the Wintun driver: run as administrator, and end what uses Wintun (error 5)",
  );
  checkAdapterName("Weir 1 (home)");
});
