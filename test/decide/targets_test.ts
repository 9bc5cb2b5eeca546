import { assert, assertEquals } from "@std/assert";
import { buildTargets, carriesUdp, type GroupInput, type ProxyInput } from "../../core/decide/targets.ts";

const PROXIES: readonly ProxyInput[] = [
  { name: "ss-1", type: "ss", udp: true },
  { name: "ss-2", type: "ss" },
  { name: "web", type: "http", udp: true },
  { name: "straight", type: "direct" },
  { name: "stop", type: "reject" },
];

function target(name: string, groups: readonly GroupInput[]) {
  const { targets, issues } = buildTargets(PROXIES, groups);
  assertEquals(issues, []);
  const found = targets.find(name)!;
  return { chain: [...found.chain], action: found.action, pass: found.pass, udp: found.udp };
}

Deno.test("Targets.find() knows the builtins", () => {
  const builtin = (name: string) => {
    const { action, pass, udp } = target(name, []);
    return [action, pass, udp];
  };
  assertEquals(builtin("DIRECT"), ["direct", false, true]);
  assertEquals(builtin("REJECT"), ["reject", false, true]);
  assertEquals(builtin("REJECT-DROP"), ["drop", false, true]);
  assertEquals(builtin("COMPATIBLE"), ["direct", false, true]);
  assertEquals(builtin("PASS")[1], true);
  assertEquals(target("GLOBAL", []).chain, ["DIRECT", "GLOBAL"]);
  assertEquals(target("straight", []).action, "direct");
  assertEquals(target("stop", []).action, "reject");
});

Deno.test("Targets.find() unwraps groups from the proxy to the group that was named", () => {
  const groups: GroupInput[] = [
    { name: "top", type: "select", members: ["auto", "DIRECT"] },
    { name: "auto", type: "url-test", members: ["ss-1", "ss-2"] },
    { name: "chosen", type: "select", members: ["ss-1", "ss-2"], selected: "ss-2" },
    { name: "balanced", type: "load-balance", members: ["ss-2", "ss-1"] },
  ];
  assertEquals(target("top", groups), { chain: ["ss-1", "auto", "top"], action: "proxy", pass: false, udp: true });
  assertEquals(target("chosen", groups), { chain: ["ss-2", "chosen"], action: "proxy", pass: false, udp: false });
  assertEquals(target("balanced", groups).udp, true);
});

Deno.test("Targets.find() makes DIRECT of an empty group, and PASS of a group that leads there", () => {
  assertEquals(target("empty", [{ name: "empty", type: "fallback", members: [] }]), {
    chain: ["COMPATIBLE", "empty"],
    action: "direct",
    pass: false,
    udp: true,
  });
  const groups: GroupInput[] = [
    { name: "outer", type: "select", members: ["inner"] },
    { name: "inner", type: "select", members: ["PASS", "DIRECT"] },
  ];
  assertEquals(target("outer", groups).pass, true);
});

Deno.test("Targets.find() lets the last hop of a relay carry the flow, and needs UDP of every hop", () => {
  const relay = (members: string[]) => target("relay", [{ name: "relay", type: "relay", members }]);
  assertEquals(relay(["web", "ss-1"]), { chain: ["ss-1", "web", "relay"], action: "proxy", pass: false, udp: false });
  assertEquals(relay(["ss-1", "DIRECT"]).udp, true);
  assertEquals(relay(["DIRECT"]).action, "direct");
});

Deno.test("carriesUdp() follows the type and the key udp", () => {
  const table: readonly (readonly [string, boolean | undefined, boolean])[] = [
    ["http", true, false],
    ["ssh", true, false],
    ["socks5", true, true],
    ["socks5", undefined, false],
    ["ss", false, false],
    ["vmess", true, true],
    ["vless", undefined, false],
    ["trojan", true, true],
    ["hysteria2", undefined, true],
    ["tuic", undefined, true],
    ["direct", undefined, true],
    ["unheard-of", true, false],
  ];
  for (const [type, udp, expected] of table) assertEquals(carriesUdp(type, udp), expected, type);
  assertEquals(target("g", [{ name: "g", type: "select", members: ["ss-1"], disableUdp: true }]).udp, false);
});

Deno.test("buildTargets() names circles, missing members and duplicates", () => {
  const messages = (proxies: ProxyInput[], groups: GroupInput[]) =>
    buildTargets(proxies, groups).issues.map(({ message }) => message);
  assertEquals(
    messages([], [
      { name: "a", type: "select", members: ["b"] },
      { name: "b", type: "select", members: ["c"] },
      { name: "c", type: "select", members: ["DIRECT", "a"] },
    ]),
    ["loop is detected in ProxyGroup: a -> b -> c -> a"],
  );
  assertEquals(messages([{ name: "node-1", type: "ss" }], [{ name: "a", type: "select", members: ["nod-1"] }]), [
    "proxy group a: 'nod-1' not found; did you mean node-1?",
  ]);
  assertEquals(messages([{ name: "DIRECT", type: "ss" }], []), ["proxy DIRECT is the duplicate name"]);
  assertEquals(messages([{ name: "a", type: "ss" }], [{ name: "a", type: "select", members: [] }]), [
    "proxy group a: the duplicate name",
  ]);
  assertEquals(messages([], [{ name: "a", type: "select", members: ["a"] }]), [
    "loop is detected in ProxyGroup: a -> a",
  ]);
});

Deno.test("buildTargets() ends when groups pile up without end", () => {
  const deep = Array.from(
    { length: 5_000 },
    (_, i) => ({ name: `g${i}`, type: "select", members: [i === 4_999 ? "DIRECT" : `g${i + 1}`] }),
  );
  assert(buildTargets([], deep).issues.some(({ message }) => message.includes("deeper")));
  const wide = Array.from(
    { length: 40 },
    (_, i) => ({ name: `r${i}`, type: "relay", members: i === 0 ? ["DIRECT"] : [`r${i - 1}`, `r${i - 1}`] }),
  );
  assert(buildTargets([], wide).issues.some(({ message }) => message.includes("in a row")));
});
