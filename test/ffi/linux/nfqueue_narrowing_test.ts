/** Rules of iptables must let no packet of the filter stay in the kernel, and should leave there what they can. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, ipFromWords, ipv4FromWord } from "../../../core/base/ip_address.ts";
import { compileFilter } from "../../../core/filter/compile.ts";
import { filterObject } from "../../../core/filter/compile.ts";
import { narrow, type Narrowing, ruleArguments } from "../../../ffi/linux/nfqueue_narrowing.ts";

const ROWS: readonly (readonly [filter: string, out4: string[], in4: string[], out6: string[]])[] = [
  ["true", [""], [""], [""]],
  ["false", [], [], []],
  ["outbound", [""], [], [""]],
  ["inbound and tcp", [], ["-p tcp"], []],
  ["not outbound", [], [""], []],
  ["ip and !impostor", [""], [""], []],
  ["impostor", [""], [""], [""]],
  ["tcp.DstPort == 443 or udp.DstPort == 443", ["-p tcp --dport 443:443", "-p udp --dport 443:443"], [
    "-p tcp --dport 443:443",
    "-p udp --dport 443:443",
  ], ["-p tcp --dport 443:443", "-p udp --dport 443:443"]],
  ["outbound and tcp.DstPort >= 80 and tcp.DstPort < 90", ["-p tcp --dport 80:89"], [], ["-p tcp --dport 80:89"]],
  ["tcp.DstPort < 10 and tcp.DstPort > 20", [], [], []],
  ["tcp and udp", [], [], []],
  ["tcp.Syn and tcp.SrcPort == 5", ["-p tcp --sport 5:5"], ["-p tcp --sport 5:5"], ["-p tcp --sport 5:5"]],
  ["ip.DstAddr == 192.0.2.1", ["-d 192.0.2.1"], ["-d 192.0.2.1"], []],
  ["ipv6.SrcAddr == 2001:db8::1", [], [], ["-s 2001:db8::1"]],
  ["loopback", ["-o lo"], [], ["-o lo"]],
  ["!loopback and icmp", ["! -o lo -p icmp"], ["-p icmp"], []],
  ["icmpv6", [], [], ["-p ipv6-icmp"]],
  ["(outbound? tcp: udp)", ["-p tcp", "-p udp"], ["-p udp"], ["-p tcp", "-p udp"]],
  ["length > 100", [""], [""], [""]],
  ["not tcp", [""], [""], [""]],
];

function rules(filter: string, version: 4 | 6, isOutbound: boolean): string[] {
  return narrow(filter).map((each) => ruleArguments(each, version, isOutbound)).filter((args) => args !== undefined)
    .map((args) => args.join(" "));
}

Deno.test("narrow() says what iptables can tell of a filter", () => {
  for (const [filter, out4, in4, out6] of ROWS) {
    assertEquals([filter, rules(filter, 4, true), rules(filter, 4, false), rules(filter, 6, true)], [
      filter,
      out4,
      in4,
      out6,
    ]);
  }
  assertEquals(narrow(filterObject("tcp")), [{}]);
  assertEquals(narrow(Array.from({ length: 60 }, (_, port) => `tcp.DstPort == ${port}`).join(" or ")), [{
    protocol: "tcp",
  }]);
});

const PORTS = [0, 1, 53, 80, 443, 65_535];
const FIELDS = [
  "outbound",
  "inbound",
  "loopback",
  "ip",
  "ipv6",
  "tcp",
  "udp",
  "icmp",
  "icmpv6",
  "impostor",
  "fragment",
  "true",
];
const NUMBERS = [
  "tcp.SrcPort",
  "tcp.DstPort",
  "udp.SrcPort",
  "udp.DstPort",
  "tcp.Syn",
  "ip.TTL",
  "ipv6.HopLimit",
  "length",
  "localPort",
  "zero",
];
const ADDRESSES = [ipv4FromWord(0xc0000201), ipv4FromWord(0x0a000001), ipFromWords(0x20010db8, 0, 0, 1)];
const RELATIONS = ["==", "!=", "<", "<=", ">", ">="];

const test: fc.Arbitrary<string> = fc.oneof(
  fc.tuple(fc.constantFrom("", "not "), fc.constantFrom(...FIELDS)).map(([not, field]) => `${not}${field}`),
  fc.tuple(fc.constantFrom(...FIELDS), fc.constantFrom(...RELATIONS), fc.nat(2)).map((parts) => parts.join(" ")),
  fc.tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(...RELATIONS), fc.constantFrom(...PORTS)).map((parts) =>
    parts.join(" ")
  ),
  fc.tuple(
    fc.constantFrom("ip.SrcAddr", "ip.DstAddr"),
    fc.constantFrom(...RELATIONS),
    fc.constantFrom(...ADDRESSES.slice(0, 2)),
  )
    .map(([field, relation, ip]) => `${field} ${relation} ${formatIp(ip)}`),
  fc.tuple(fc.constantFrom("ipv6.SrcAddr", "ipv6.DstAddr"), fc.constantFrom(...RELATIONS))
    .map(([field, relation]) => `${field} ${relation} ${formatIp(ADDRESSES[2]!)}`),
);
const filter: fc.Arbitrary<string> = fc.letrec<{ filter: string; joined: string }>((tie) => ({
  filter: fc.oneof({ maxDepth: 4 }, test, tie("joined")),
  joined: fc.oneof(
    fc.tuple(tie("filter"), fc.constantFrom("and", "or"), tie("filter")).map(([a, word, b]) => `(${a} ${word} ${b})`),
    fc.tuple(tie("filter"), tie("filter"), tie("filter")).map(([a, b, c]) => `(${a}? ${b}: ${c})`),
  ),
})).filter;

interface Scene {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly isOutbound: boolean;
  readonly isLoopback: boolean;
  readonly from: number;
  readonly to: number;
}

const scene: fc.Arbitrary<Scene> = fc.record({
  version: fc.constantFrom(4, 6),
  protocol: fc.constantFrom(6, 17, 1, 58, 132),
  source: fc.constantFrom(...PORTS),
  destination: fc.constantFrom(...PORTS),
  isOutbound: fc.boolean(),
  isLoopback: fc.boolean(),
  from: fc.nat(1),
  to: fc.nat(1),
});

function packetOf({ version, protocol, source, destination, from, to }: Scene): Uint8Array {
  const header = version === 4 ? 20 : 40;
  const bytes = new Uint8Array(header + 20);
  const view = new DataView(bytes.buffer);
  const addresses = [from, to].map((index) =>
    version === 4 ? ADDRESSES[index]! : index === 0 ? ADDRESSES[2]! : ipFromWords(1, 2, 3, 4)
  );
  if (version === 4) {
    view.setUint16(0, 0x4500);
    view.setUint16(2, bytes.length);
    view.setUint8(8, 64);
    view.setUint8(9, protocol);
    addresses.forEach(({ w3 }, i) => view.setUint32(12 + 4 * i, w3));
  } else {
    view.setUint8(0, 0x60);
    view.setUint16(4, 20);
    view.setUint8(6, protocol);
    addresses.forEach(({ w0, w1, w2, w3 }, i) =>
      [w0, w1, w2, w3].forEach((w, j) => view.setUint32(8 + 16 * i + 4 * j, w))
    );
  }
  view.setUint16(header, source);
  view.setUint16(header + 2, destination);
  view.setUint8(header + 12, 0x50);
  return bytes;
}

/** What the kernel would say of a rule, read from its arguments. */
function ruleMatches(
  args: readonly string[],
  { protocol, source, destination, isLoopback }: Scene,
  addresses: [string, string],
): boolean {
  let isNegated = false;
  for (let i = 0; i < args.length; i += 2) {
    if (args[i] === "!") {
      isNegated = true;
      i++;
    }
    const value = args[i + 1]!;
    const within = (port: number) => {
      const [low, high] = value.split(":").map(Number);
      return (protocol === 6 || protocol === 17) && port >= low! && port <= high!;
    };
    const holds = args[i] === "-o"
      ? isLoopback
      : args[i] === "-p"
      ? protocol === { tcp: 6, udp: 17, icmp: 1, "ipv6-icmp": 58 }[value]
      : args[i] === "--sport"
      ? within(source)
      : args[i] === "--dport"
      ? within(destination)
      : args[i] === "-s"
      ? addresses[0] === value
      : args[i] === "-d" && addresses[1] === value;
    if (holds === isNegated) return false;
    isNegated = false;
  }
  return true;
}

Deno.test("narrow() leaves no packet in the kernel that the filter matches", () => {
  let matched = 0;
  let left = 0;
  fc.assert(
    fc.property(filter, fc.array(scene, { minLength: 8, maxLength: 8 }), (text, scenes) => {
      const compiled = compileFilter(text);
      const alternatives: readonly Narrowing[] = narrow(text);
      for (const each of scenes) {
        // The loopback is seen on its way out only.
        if (each.isLoopback && !each.isOutbound) continue;
        const bytes = packetOf(each);
        const address = (at: number) =>
          formatIp(each.version === 4 ? ADDRESSES[at]! : at === 0 ? ADDRESSES[2]! : ipFromWords(1, 2, 3, 4));
        const isHandedOver = alternatives.some((narrowing) => {
          const args = ruleArguments(narrowing, each.version, each.isOutbound);
          return args !== undefined && ruleMatches(args, each, [address(each.from), address(each.to)]);
        });
        if (!isHandedOver) left++;
        if (!compiled.matches(bytes, { outbound: each.isOutbound, loopback: each.isLoopback })) continue;
        matched++;
        assert(isHandedOver, `${text}: ${JSON.stringify(each)}`);
      }
    }),
    { seed: 11, numRuns: 10_000 },
  );
  assert(matched > 10_000 && left > 10_000, `${matched} matched, ${left} left in the kernel`);
});
