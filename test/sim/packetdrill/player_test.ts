import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Prng } from "../../../core/base/prng.ts";
import { playScript } from "../../../sim/packetdrill/play_script.ts";

const OPEN = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,eol,eol>
+.1 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
`;

Deno.test("playScript() shows the packet that was expected and the one that came", () => {
  const result = playScript("0 < S 0:0(0) win 100\n+0 > R. 0:0(0) ack 2 win 0");
  assertEquals([result.passed, result.line], [false, 2]);
  assertEquals(
    result.message,
    [
      "acknowledgment: expected 2, seen 1",
      "  expected: +0 > R. 0:0(0) ack 2 win 0",
      "  actual:   0.000000 > R. 0:0(0) ack 1 win 0",
    ].join("\n"),
  );
});

const FAILING: readonly (readonly [string, number, string])[] = [
  ["+0 > P. 1:2(1) ack 1", 8, "the stack sent nothing until"],
  ["+0 write(4, ..., 10) = 10\n+1 > P. 1:11(10) ack 1", 9, "timing: expected at 1.100000 s, seen at 0.100000 s"],
  ["+0 write(4, ..., 10) = 11", 8, "write: expected 11, seen 10"],
  ["+0 read(4, ..., 10) = 10", 8, "read still waits at"],
  [
    "+0...0.5 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 9",
    8,
    "timing: the call returns at 0.600000 s, seen at 0.200000 s",
  ],
  ["+0 read(9, ..., 10) = 10", 8, "read: expected 10, seen -1 EBADF"],
  ["+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0", 8, "SO_ERROR: expected ECONNRESET, seen 0"],
  ["+0 poll([{fd=4, events=POLLOUT, revents=0}], 1, 0) = 1", 8, "revents of 4: expected 0, seen 4"],
  ["+0 %{ assert tcpi_unacked == 7 }%", 8, "assert tcpi_unacked == 7: seen tcpi_unacked = 0"],
  ["+0 < . 1:1(0) ack 1 win 9 <nop>", 8, "must fill whole 32-bit words"],
  ["0.05 < . 1:1(0) ack 1 win 9", 8, "timing: the event is due at 0.050000 s, and it is 0.100000 s"],
];

Deno.test("playScript() names the line and what happened instead", () => {
  for (const [lines, line, message] of FAILING) {
    const result = playScript(OPEN + lines);
    assertEquals([result.passed, result.line], [false, line], `${lines}: ${result.message}`);
    assertStringIncludes(result.message!, message);
  }
});

Deno.test("playScript() tells what it does not support", () => {
  const cases = [
    ["+0 epoll_create(1) = 5", "epoll_create()"],
    ["+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0", "TCP_CORK"],
    ["+0 send(4, ..., 10, MSG_EOR) = 10", "this flag of send"],
    ["+0 %{ import os }%", "this Python code"],
    ["+0 < S 0:0(0) win 9 <FO>", "TCP Fast Open"],
  ] as const;
  for (const [lines, reason] of cases) assertEquals(playScript(OPEN + lines).unsupported, reason);
});

Deno.test("playScript() lets --non_fatal mismatches pass", () => {
  assert(!playScript(`${OPEN}+0 write(4, ..., 10) = 11`).passed);
  assert(playScript(`--non_fatal=syscall\n${OPEN}+0 write(4, ..., 10) = 11`).passed);
  assert(!playScript(`--non_fatal=syscall\n0 > . 1:1(0)`).passed);
});

Deno.test("playScript() gives a script that would run for ever an end", () => {
  const hostile = [
    `${OPEN}* > . 1:1(0) ack 1`,
    `${OPEN}+0...600000 read(4, ..., 10) = 10`,
    `${OPEN}+0 setsockopt(4, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0\n+0 setsockopt(4, SOL_TCP, TCP_KEEPIDLE, [1], 4) = 0
+0 setsockopt(4, SOL_TCP, TCP_KEEPINTVL, [1], 4) = 0\n+0 setsockopt(4, SOL_TCP, TCP_KEEPCNT, [2000000], 4) = 0\n* > R 7:7(0)`,
    `${OPEN}+0 write(4, ..., 9007199254740991) = 3`,
    `${OPEN}+0 recv(4, ..., 9007199254740991, 0) = 3`,
    `${OPEN}+0 poll([], 0, -1) = 0`,
    `--mtu=1\n${OPEN}+0 write(4, ..., 1000) = 1000\n* > P. 1:2(1) ack 1`,
    `--tolerance_usecs=1000000000000\n${OPEN}+0 > . 1:1(0) ack 1`,
  ];
  for (const source of hostile) assertEquals(playScript(source).passed, false, source);
});

/** A script with some of its lines dropped, doubled, swapped, or with other numbers in them. */
function mutate(source: string, random: Prng): string {
  const lines = source.split("\n");
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(lines.length);
    const kind = random.below(4);
    if (kind === 0) lines.splice(at, 1);
    else if (kind === 1) lines.splice(at, 0, lines[random.below(lines.length)] ?? "");
    else if (kind === 2) {
      lines[at] = (lines[at] ?? "").replace(
        /[0-9]+/,
        () => String(random.below(2) === 0 ? random.below(9) : random.uint32()),
      );
    } else lines[at] = (lines[at] ?? "").replace(/[SFRP.]/, () => "SFRP.U"[random.below(6)]!);
  }
  return lines.join("\n");
}

Deno.test("playScript() ends with an answer on any mutated script", () => {
  const folder = new URL("../../scripts_tcp/", import.meta.url);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".pkt")).sort();
  const sources = names.map((name) => Deno.readTextFileSync(new URL(name, folder)));
  const random = new Prng(0x9ac4e7);
  for (let i = 0; i < 400; i++) {
    const source = mutate(sources[random.below(sources.length)]!, random);
    const result = playScript(source);
    assert(result.passed || result.message !== undefined, source);
  }
});
