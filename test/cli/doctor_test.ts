import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { diagnose, doctorCommand, renderDoctor } from "../../core/cli/doctor.ts";
import { painter } from "../../core/cli/report/paint.ts";
import type { LinuxFacts, WindowsFacts } from "../../core/host/machine_facts.ts";
import { KeptIo } from "../support/io.ts";

const WINDOWS: WindowsFacts = {
  kind: "windows",
  isAdministrator: true,
  drivers: ["wintun.dll", "WinDivert.dll", "WinDivert64.sys"].map((name) => ({
    name,
    path: `C:\\weir\\${name}`,
    isEmbedded: false,
    sha256: "00",
    failure: undefined,
  })),
  services: [{ name: "WinDivert", state: "absent" }],
  isListenerAllowed: true,
  interfaces: ["Ethernet"],
  program: "C:\\weir\\weir.exe",
};

const LINUX: LinuxFacts = {
  kind: "linux",
  mayAdminister: true,
  maySendRaw: true,
  tunDevice: "present",
  iptables: "/usr/sbin/iptables",
  ip6tables: "/usr/sbin/ip6tables",
  hasNfqueue: true,
  interfaces: ["lo", "eth0"],
};

Deno.test("diagnose() finds nothing to do on a machine that has everything", () => {
  for (const facts of [WINDOWS, LINUX]) {
    const { findings, adapters } = diagnose(facts);
    assert(findings.every(({ state, remedy }) => state === "good" && remedy === undefined), JSON.stringify(findings));
    assert(Object.values(adapters).every((isReady) => isReady));
  }
});

const LACKS: readonly [string, WindowsFacts | LinuxFacts, check: string, adapters: string[], remedy: RegExp][] = [
  ["rights", { ...WINDOWS, isAdministrator: false }, "administrator", ["wintun", "windivert"], /Run as administrator/],
  [
    "wintun.dll",
    {
      ...WINDOWS,
      drivers: WINDOWS.drivers.map((file) => file.name === "wintun.dll" ? { ...file, path: undefined } : file),
    },
    "wintun.dll",
    ["wintun"],
    /wintun\.net/,
  ],
  [
    "a sound WinDivert.dll",
    {
      ...WINDOWS,
      drivers: WINDOWS.drivers.map((file) =>
        file.name === "WinDivert.dll" ? { ...file, failure: "not a library" } : file
      ),
    },
    "WinDivert.dll",
    ["windivert"],
    /64-bit/,
  ],
  ["a service", { ...WINDOWS, services: [{ name: "WinDivert", state: "disabled" }] }, "service WinDivert", [
    "windivert",
  ], /sc\.exe/],
  ["capabilities", { ...LINUX, mayAdminister: false }, "CAP_NET_ADMIN", ["tun", "nfqueue"], /root/],
  ["a TUN driver", { ...LINUX, tunDevice: "absent" }, "/dev/net/tun", ["tun"], /modprobe tun/],
  ["NFQUEUE", { ...LINUX, hasNfqueue: false }, "packet queues", ["nfqueue"], /modprobe nfnetlink_queue/],
  ["iptables", { ...LINUX, iptables: undefined }, "iptables", ["nfqueue"], /package iptables/],
];

for (const [what, facts, check, lost, remedy] of LACKS) {
  Deno.test(`diagnose() names the adapters that cannot work without ${what}, and the remedy`, () => {
    const { findings, adapters } = diagnose(facts);
    const finding = findings.find((candidate) => candidate.check === check)!;
    assertEquals(finding.state, "missing");
    assert(remedy.test(finding.remedy ?? ""), finding.remedy);
    assertEquals(Object.keys(adapters).filter((name) => adapters[name] === false), lost);
  });
}

Deno.test("diagnose() warns of other tunnels and of a closed firewall without giving an adapter up", () => {
  const { findings, adapters } = diagnose({
    ...WINDOWS,
    interfaces: ["Ethernet", "Tailscale"],
    isListenerAllowed: false,
  });
  assertEquals(findings.filter(({ state }) => state === "warning").map(({ check }) => check), [
    "firewall",
    "other tunnels",
  ]);
  assert(Object.values(adapters).every((isReady) => isReady));
});

Deno.test("renderDoctor() shows hostile names as text", () => {
  const text = renderDoctor(diagnose({ ...LINUX, interfaces: ["wg\x1b[2J wireguard"] }), painter(false));
  assert(!text.includes("\x1b"));
});

Deno.test("doctorCommand() exits with 1 where no adapter can be used", async () => {
  const io = new KeptIo();
  const facts = { ...LINUX, mayAdminister: false };
  assertEquals(await doctorCommand(["--json"], io, { examine: () => Promise.resolve(facts) }), 1);
  assertEquals(JSON.parse(io.output).schema, "weir.doctor/1");
  assertEquals(await doctorCommand([], io, { examine: () => Promise.resolve(LINUX) }), 0);
  assertStringIncludes(io.output, "--adapter tun can be used");
});
