import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { formatPacket } from "../../../sim/packetdrill/format.ts";
import { Lexer } from "../../../sim/packetdrill/lexer.ts";
import { parseScript } from "../../../sim/packetdrill/parser.ts";
import type { Script, TcpOption, TcpSegment } from "../../../sim/packetdrill/script.ts";
import { ANY_IP } from "../../../sim/packetdrill/script.ts";
import { ScriptSyntaxError, UnsupportedError } from "../../../sim/packetdrill/script_error.ts";

const NOTHING: ReadonlySet<string> = new Set();

function parse(source: string, defines = NOTHING): Script {
  return parseScript(source, defines);
}

/** The packet of a one-line script. */
function packetOf(line: string) {
  const action = parse(line).events[0]!.action;
  if (action.kind !== "in" && action.kind !== "out") throw new Error("the line is no packet");
  return action.packet;
}

const PACKETS = [
  "S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>",
  "S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>",
  ". 1:1(0) ack 4294967295 win 0 <nop,nop,sack 1:2 3:4 4294967290:5>",
  "FP. 4294967291:4(9) ack 1",
  "SEW 0:0(0) win 1",
  "R 34:34(0)",
  "U. 1:2(1) ack 1 urg 1",
  "(ect0) P. 1:1001(1000) ack 1",
  "(ce) . 1:1(0) ack 1",
  "(tos 0x28) . 1:1(0) ack 1",
  "(ttl 7) . 1:1(0) ack 1",
  "S. ...(0) ack 65538 <...>",
  "R. 0:0(0)! ack 2",
  "S 0:0(0) <FO>",
  "S 0:0(0) <FO 0102030405060708,eol,eol>",
  ". 1:1(0) ack 1 <nop,nop,TS val ... ecr 7!>",
  "udp (1000)",
  "udp 53 > 40000 (0)",
  "icmp unreachable port_unreachable [1:1(0)]",
  "icmp unreachable frag_needed mtu 1000 [1:1461(1460)]",
  "icmp echo_request id 7",
  "icmp unreachable host_unreachable [udp (10)]",
];

Deno.test("formatPacket() writes what the parser reads", () => {
  for (const text of PACKETS) assertEquals(formatPacket(packetOf(`0 > ${text}`)), text);
});

Deno.test("parseScript() reads flags apart, together and none", () => {
  const flags = (text: string) => (packetOf(`0 < ${text} 0:0(0)`) as TcpSegment).flags;
  assertEquals(flags("-"), 0);
  assertEquals(flags("."), 0x10);
  assertEquals(flags("F ."), 0x11);
  assertEquals(flags("SFRPUEW."), 0xff);
});

Deno.test("parseScript() reads every form of time", () => {
  const source = "0 `a`\n+.5 `b`\n1.25 `c`\n* > . 1:1(0)\n+.1~+.2 > . 1:1(0)\n1~2 > . 1:1(0)\n";
  assertEquals(parse(source).events.map(({ time }) => time), [
    { kind: "absolute", atUs: 0 },
    { kind: "relative", atUs: 500_000 },
    { kind: "absolute", atUs: 1_250_000 },
    { kind: "any" },
    { kind: "relativeRange", atUs: 100_000, endUs: 200_000 },
    { kind: "absoluteRange", atUs: 1_000_000, endUs: 2_000_000 },
  ]);
});

Deno.test("parseScript() reads calls with structs, lists, results and notes", () => {
  const source =
    "+.01...0.011 poll([{fd=4, events=POLLIN|POLLOUT, revents=0}], 1, -1) = -1 EINTR (Interrupted (really))";
  const action = parse(source).events[0]!.action;
  assert(action.kind === "call");
  assertEquals(action.call.endUs, 11_000);
  assertEquals(action.call.errno, "EINTR");
  assertEquals(action.call.result, { kind: "integer", value: -1 });
  const fields = new Map([
    ["fd", { kind: "integer", value: 4 }],
    ["events", { kind: "or", left: { kind: "word", name: "POLLIN" }, right: { kind: "word", name: "POLLOUT" } }],
    ["revents", { kind: "integer", value: 0 }],
  ]);
  assertEquals(action.call.args[0], { kind: "list", items: [{ kind: "record", fields } as never] });
});

Deno.test("parseScript() reads options, init and clean-up commands", () => {
  const script = parse('--ip_version=ipv6\n--mtu = 1280\n--note="a b"\n--flag\n`init`\n0 `work`\n`clean up`\n');
  assertEquals([...script.options].map(([name, { value }]) => [name, value]), [
    ["ip_version", "ipv6"],
    ["mtu", "1280"],
    ["note", "a b"],
    ["flag", ""],
  ]);
  assertEquals([script.initCommand, script.cleanupCommand, script.events.length], ["init", "clean up", 1]);
});

Deno.test("parseScript() takes #ifdef parts by their names, and keeps line numbers", () => {
  const source =
    "0 `a`\n#ifdef ONE\n+0 `one`\n#endif\n#ifdef TWO\n+0 ` never lexed ! § \n#endif\n/* of\nlines */ +0 `z` // end";
  const texts = (script: Script) => script.events.map(({ line, text }) => `${line} ${text}`);
  assertEquals(texts(parse(source, new Set(["ONE"]))), ["1 0 `a`", "3 +0 `one`", "9 +0 `z`"]);
});

const BROKEN: readonly (readonly [string, number, number, string])[] = [
  ["0 §", 1, 3, "begins nothing that packetdrill knows"],
  ["0 `never closed", 1, 3, "is never closed"],
  ["0 < S 0:5(0)", 1, 12, "0:5 does not span 0 bytes"],
  ["0 < X 0:0(0)", 1, 7, '"X" in "X" is no TCP flag'],
  ["0 < S 0:0(0) <...>", 1, 19, "outbound packet only"],
  ["0 < S 0:0(0) <mss 70000>", 1, 19, "must be 0 to 65535"],
  ["0 < S 0:0(0) <bogus>", 1, 20, 'the TCP option "bogus" is unknown'],
  ["0 > S 0:0(0)\n+1 socket(", 2, 11, "expected a value"],
  ["0 socket() 3", 1, 12, 'expected "="'],
  ["* socket() = 3", 1, 15, "only outbound packets"],
  ["2~1 > S 0:0(0)", 1, 5, "backwards"],
  ["hello", 1, 1, "expected a time"],
  ["#endif", 1, 1, "has no #ifdef"],
  ["#ifdef A\n0 `x`", 1, 9, "has no #endif"],
  ["99999999 `x`", 1, 1, "beyond"],
  [`0 f(${"[".repeat(40)}`, 1, 38, "nested deeper"],
];

Deno.test("parseScript() names line and column of a mistake", () => {
  for (const [source, line, column, message] of BROKEN) {
    const error = assertThrows(() => parse(source), ScriptSyntaxError, message, source);
    assertEquals([error.line, error.column], [line, column], source);
  }
});

Deno.test("parseScript() tells what is packetdrill but not ours", () => {
  const cases = [
    ["0 < sctp: DATA[]", "SCTP"],
    ["0 > . 1:1(0) ack 1/udp(1 > 2)", "TCP in UDP"],
    ["0 < . 1:1(0) ack 1 <md5 valid,nop,nop>", "TCP MD5 signatures"],
    ["0 > A. 0:0(0)", "the AE flag of accurate ECN"],
  ] as const;
  for (const [source, reason] of cases) {
    assertEquals(assertThrows(() => parse(source), UnsupportedError).reason, reason);
  }
});

const uint32 = fc.nat(0xffffffff);

const optionArbitrary: fc.Arbitrary<TcpOption> = fc.oneof(
  fc.constantFrom<TcpOption>({ kind: "nop" }, { kind: "eol" }, { kind: "sackOK" }),
  fc.nat(0xffff).map((value) => ({ kind: "mss", value }) as const),
  fc.nat(255).map((value) => ({ kind: "wscale", value }) as const),
  fc.array(fc.tuple(uint32, uint32), { minLength: 1, maxLength: 4 }).map((blocks) =>
    ({ kind: "sack", blocks }) as const
  ),
  fc.tuple(uint32, uint32).map(([value, echo]) =>
    ({ kind: "timestamps", value, echo, ignoreValue: false, absoluteEcho: false }) as const
  ),
);

const segmentArbitrary: fc.Arbitrary<TcpSegment> = fc.record({
  flags: fc.nat(255),
  sequence: uint32,
  length: fc.nat(0xffff),
  acknowledgment: uint32,
  window: fc.option(fc.nat(0xffff), { nil: undefined }),
  urgent: fc.nat(0xffff),
  options: fc.array(optionArbitrary, { maxLength: 6 }),
}).map((fields) => ({
  protocol: "tcp",
  ip: ANY_IP,
  ignoreSequence: false,
  absoluteSequence: false,
  ports: undefined,
  ...fields,
}));

Deno.test("formatPacket() and parseScript() are inverse for any segment", () => {
  fc.assert(
    fc.property(segmentArbitrary, (segment) => {
      assertEquals(packetOf(`0 > ${formatPacket(segment)}`), segment);
    }),
    { seed: 3, numRuns: 500 },
  );
});

Deno.test("parseScript() answers any text with a script or a mistake that has a place", () => {
  const words = fc.constantFrom(
    "0",
    "+.1",
    "*",
    "~",
    "<",
    ">",
    "S.",
    "1:1(0)",
    "ack 1",
    "<mss 1>",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "socket",
    "=",
    "-1",
    "...",
    "`x`",
    "%{ a }%",
    "--x=y",
    "#ifdef A",
    "#endif",
    "\n",
    "icmp",
    "udp",
    "0x10",
    '"s"',
    ",",
    "|",
  );
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(words, { maxLength: 25 }).map((parts) => parts.join(" ")),
  );
  fc.assert(
    fc.property(text, (source) => {
      try {
        parse(source);
      } catch (error) {
        if (error instanceof UnsupportedError) return;
        assert(error instanceof ScriptSyntaxError, String(error));
        assert(error.line >= 1 && error.column >= 1);
      }
    }),
    { seed: 7, numRuns: 5_000 },
  );
});

Deno.test("Lexer.tokens() tells words from numbers and times from ellipses", () => {
  const texts = new Lexer("0102ab 12 0x1F .01...0.011 EXP-FO FO", NOTHING).tokens().map(({ kind, text }) =>
    `${kind} ${text}`
  );
  assertEquals(texts, [
    "word 0102ab",
    "integer 12",
    "hex 0x1F",
    "float .01",
    "ellipsis ...",
    "float 0.011",
    "word EXP-FO",
    "word FO",
    "end ",
  ]);
});
