import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../core/base/ip_address.ts";
import { PROCESS_ENTRY_COUNT_MAX } from "../../core/base/limits.ts";
import { parseEndpoint, parseFlowPattern } from "../../sim/process_patterns.ts";
import { parseProcesses, type ProcessTable } from "../../sim/processes.ts";

function tableOf(text: string): ProcessTable {
  const { table, issues } = parseProcesses(text, "processes.yaml");
  assertEquals(issues, []);
  return table!;
}

/** Asks with "tcp 1.2.3.4 5 6.7.8.9 10". */
function ask(table: ProcessTable, flow: string): string | undefined {
  const [network, source, sourcePort, destination, destinationPort] = flow.split(" ");
  const fact = table.find(
    network!,
    parseIp(source!)!,
    Number(sourcePort),
    parseIp(destination!)!,
    Number(destinationPort),
  );
  return fact?.name;
}

function issuesOf(text: string): string[] {
  const { table, issues } = parseProcesses(text, "processes.yaml");
  assertEquals(table === undefined, issues.length > 0);
  return issues.map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

Deno.test("parseProcesses() reads every field when an entry has them all", () => {
  const table = tableOf(String.raw`
processes:
  - path: C:\Program Files\Game\game.exe
    pid: 4242
    user: alice
    uid: 1000
    match: { network: tcp, source: 192.168.1.7:50100, destination: 1.2.3.4:443 }
`);
  const [source, destination] = [parseIp("192.168.1.7")!, parseIp("1.2.3.4")!];
  assertEquals(table.find("tcp", source, 50100, destination, 443), {
    path: "C:\\Program Files\\Game\\game.exe",
    name: "game.exe",
    pid: 4242,
    user: "alice",
    uid: 1000,
  });
  assertEquals(table.find("udp", source, 50100, destination, 443), undefined);
  assertEquals(table.find("tcp", source, 50101, destination, 443), undefined);
  assertEquals(table.find("tcp", destination, 50100, destination, 443), undefined);
  assertEquals(table.find("tcp", source, 50100, source, 443), undefined);
  assertEquals(table.find("tcp", source, 50100, destination, 444), undefined);
  assertEquals(table.size, 1);
});

Deno.test("ProcessTable.find() takes the first entry that fits when several do", () => {
  const table = tableOf(`
processes:
  - { name: dns, match: udp -> :53 }
  - { name: range, match: { source: 5000-5100 } }
  - { name: number, match: { source: 6000 } }
  - { name: six, match: { destination: "[2001:db8::/32]:443" } }
  - { name: clash, match: { sourceIP: 10.0.0.0/8, sourcePort: 7000-7010, destinationIP: 8.8.8.8, destinationPort: 53 } }
  - { name: line, match: "tcp 10.0.0.0/8:* -> *:25" }
  - { name: ping, match: icmp }
  - { pid: 1, name: rest, match: { network: TCP } }
`);
  const cases: [string, string | undefined][] = [
    ["udp 10.0.0.1 5050 8.8.8.8 53", "dns"],
    ["tcp 10.0.0.1 5000 8.8.8.8 53", "range"],
    ["tcp 10.0.0.1 5100 8.8.8.8 53", "range"],
    ["tcp 10.0.0.1 5101 8.8.8.8 53", "rest"],
    ["udp 10.0.0.1 6000 8.8.8.8 54", "number"],
    ["udp fe80::1 9 2001:db8:1::1 443", "six"],
    ["udp fe80::1 9 2001:db9::1 443", undefined],
    ["tcp 10.9.0.1 7005 8.8.8.8 53", "clash"],
    ["tcp 11.9.0.1 7005 8.8.8.8 53", "rest"],
    ["tcp 10.1.1.1 9 9.9.9.9 25", "line"],
    ["icmp 10.1.1.1 0 9.9.9.9 0", "ping"],
    ["udp 10.1.1.1 0 9.9.9.9 0", undefined],
  ];
  for (const [flow, name] of cases) assertEquals(ask(table, flow), name, flow);
});

Deno.test("parseProcesses() reads the short forms when a user writes a map or a bare list", () => {
  const map = tableOf(String.raw`
processes:
  tcp 192.168.1.7:50100: C:\Games\game.exe
  udp -> :53: dns.exe
  -> "[2001:db8::1]:80": { name: web, pid: 3 }
  192.168.0.0/16: lan.exe
`.replace('-> "[2001:db8::1]:80":', '"-> [2001:db8::1]:80":'));
  assertEquals(ask(map, "tcp 192.168.1.7 50100 1.1.1.1 80"), "game.exe");
  assertEquals(ask(map, "udp 1.1.1.1 1 2.2.2.2 53"), "dns.exe");
  assertEquals(ask(map, "tcp ::1 1 2001:db8::1 80"), "web");
  assertEquals(ask(map, "tcp 192.168.3.3 1 2.2.2.2 80"), "lan.exe");
  const list = tableOf("- name: all\n");
  assertEquals(ask(list, "udp 1.1.1.1 1 2.2.2.2 53"), "all");
  const alias = tableOf("processes:\n  - { name: a, match: &m { source: 1 } }\n  - { name: b, match: *m }\n");
  assertEquals(alias.size, 2);
  assertEquals(tableOf("processes: []").size, 0);
});

Deno.test("parseProcesses() reports every mistake with its place when there are many", () => {
  const text = `processes:
  - pth: game.exe
    pid: 4.5
    match: { network: tpc, source: 1.2.3:4, colour: red }
  - name: [a]
    source: 1.2.3.4
  - 17
  - user: alice
  - name: a
    match: { sourcePort: 1.2.3.4, destinationIP: 1.2.3.4:5, source: 7 }
  - { name: b, match: tcp 1.2.3.4 5.6.7.8 }
  - { name: c, match: [] }
  - { name: d, match: { destination: 70000 } }
  - { name: e, match: { destination: 90-80 } }
  - { name: f, uid: -1, match: }
version: 1
`;
  const forms = "IP, IP/BITS, PORT, :PORT, FIRST-LAST, IP:PORT, [IPv6]:PORT or *";
  const keys = "network, source, destination, sourceIP, sourcePort, destinationIP, destinationPort";
  assertEquals(issuesOf(text), [
    '2:5: unknown key "pth", expected one of path, name, pid, user, uid, match',
    '3:10: pid: found "4.5", expected a whole number from 0 to 4294967295',
    '4:23: network: found "tpc", expected tcp, udp or icmp',
    `4:36: source: found "1.2.3:4", expected ${forms}`,
    `4:45: unknown key "colour", expected one of ${keys}`,
    "5:11: name: found a list, expected a text",
    '6:5: unknown key "source", expected one of path, name, pid, user, uid, match; source belongs under match',
    '7:5: found "17", expected a process with path, name, pid, user, uid, match',
    "8:5: found no path, name or pid, expected at least one of them",
    '10:26: sourcePort: found "1.2.3.4", expected PORT or FIRST-LAST',
    '10:50: destinationIP: found "1.2.3.4:5", expected IP or IP/BITS',
    `11:23: found "tcp 1.2.3.4 5.6.7.8", expected "NETWORK SOURCE -> DESTINATION", an endpoint as ${forms}`,
    `12:23: match: found a list, expected "NETWORK SOURCE -> DESTINATION" or a map with ${keys}`,
    `13:38: destination: found "70000", expected ${forms}`,
    `14:38: destination: found "90-80", expected ${forms}`,
    '15:21: uid: found "-1", expected a whole number from 0 to 4294967295',
    `15:32: match: found nothing, expected "NETWORK SOURCE -> DESTINATION" or a map with ${keys}`,
    '16:1: unknown key "version", expected "processes"',
  ]);
});

Deno.test("parseProcesses() reports what stands there when the file is something else", () => {
  assertEquals(issuesOf(""), ['1:1: found nothing, expected "processes:" with a list or a map of processes']);
  assertEquals(issuesOf("hello"), ['1:1: found "hello", expected "processes:" with a list or a map of processes']);
  assertEquals(issuesOf("processes: 3"), ['1:12: processes: found "3", expected a list or a map of processes']);
  assertEquals(issuesOf("{}"), ['1:1: found no "processes"']);
  assertEquals(issuesOf("processes:\n  tcp: 3\n"), [
    '2:8: found "3", expected a path, a name or a map with path, name, pid, user, uid',
  ]);
  assertEquals(issuesOf("processes:\n  - { source: 1, sourcePort: 2 }\n").length, 2);
  const twice = issuesOf("- { name: a, match: { source: 1.2.3.4:5, sourcePort: 2 } }");
  assertEquals(twice, ["1:42: sourcePort: the source is given twice"]);
  for (const broken of ["processes: [", "a: b: c", "- name: a\n  name: b", '- "\\q"', "--- a\n--- b"]) {
    const issues = issuesOf(broken);
    assert(issues.length > 0 && issues.every((issue) => /^\d+:\d+: ./.test(issue)), broken);
  }
  assert(issuesOf("[".repeat(100_000)).length > 0);
  const many = "- name: a\n".repeat(PROCESS_ENTRY_COUNT_MAX + 3);
  assertEquals(issuesOf(many).length, 1);
});

Deno.test("parseEndpoint() reads each form and nothing else when texts are close to one", () => {
  const good = [
    "1.2.3.4",
    "1.2.3.4/8",
    "443",
    ":443",
    "1-2",
    ":1-2",
    "1.2.3.4:1-2",
    "::1",
    "::/0",
    "[::1]",
    "[::1]:2",
    "*:5",
    "*",
  ];
  for (const text of good) assert(parseEndpoint(text) !== undefined, text);
  const bad = [
    "",
    ":",
    "1.2.3",
    "1.2.3.4:",
    "1.2.3.4/33",
    "65536",
    "2-1",
    "[1.2.3.4]:5",
    "[::1",
    "[::1]5",
    "host",
    "1.2.3.4:x",
    "-1",
  ];
  for (const text of bad) assertEquals(parseEndpoint(text), undefined, text);
  assertEquals(parseEndpoint("[2001:db8::/32]:1-2")?.ports, { first: 1, last: 2 });
  assertEquals(typeof parseFlowPattern("tcp ->", ["tcp"]), "string");
  assertEquals(typeof parseFlowPattern("", ["tcp"]), "string");
  assertEquals(typeof parseFlowPattern("1 -> 2 -> 3", ["tcp"]), "string");
});

Deno.test("parseProcesses() gives a table or issues with places when the text is anything", () => {
  const word = fc.constantFrom(
    "processes:",
    "\n",
    "  ",
    "- ",
    "name: ",
    "path: ",
    "match: ",
    "{",
    "}",
    "[",
    "]",
    "tcp",
    " -> ",
    "1.2.3.4",
    ":53",
    "&a ",
    "*a",
    '"',
    "|",
    "#",
    "?",
  );
  const text = fc.oneof(fc.string({ maxLength: 80 }), fc.array(word, { maxLength: 30 }).map((words) => words.join("")));
  const property = fc.property(text, (source) => {
    const { table, issues } = parseProcesses(source, "x.yaml");
    assertEquals(table === undefined, issues.length > 0);
    for (const { line, column } of issues) assert(line >= 1 && column >= 1);
  });
  fc.assert(property, { seed: 8, numRuns: 3000 });
});
