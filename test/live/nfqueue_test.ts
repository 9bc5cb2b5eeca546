/** The packet queue as a divert adapter, with real programs: what is direct stays as it was, what is not is ours. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Finished, type Lab, type Running, SERVER_V4, SERVER_V6 } from "./lab.ts";
import { liveTest, startWebServer, WEB_PORT } from "./live_test_case.ts";
import { randomBytes, sha256 } from "./programs/bytes.ts";

const DIVERT = new URL("./programs/divert.ts", import.meta.url);
const MAIN = new URL("../../main.ts", import.meta.url);
const TIMED_OUT = 28;
const REFUSED = 7;

function whyNoQueue(): string | undefined {
  for (const tool of ["iptables", "ip6tables"]) {
    try {
      new Deno.Command(tool, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync();
    } catch {
      return `${tool} is not installed`;
    }
  }
  return undefined;
}

const REASON = whyNoQueue();
if (REASON !== undefined) console.log(`tests of the packet queue are skipped: ${REASON}`);

function queueTest(name: string, body: (lab: Lab) => Promise<void>): void {
  if (REASON === undefined) liveTest(name, body);
}

/** Programs run in `middle`; weir runs where `place` says, and diverts what goes through `middle`. */
async function startDivert(
  lab: Lab,
  rules: readonly string[],
  filter = "true",
  place: "server" | "middle" = "server",
  mode: "netstack" | "redirect" = "netstack",
): Promise<Running> {
  const config = `${lab.folder}/divert.yaml`;
  const proxy = "proxies:\n  - { name: p, type: socks5, server: 192.0.2.1, port: 1080 }\n";
  await Deno.writeTextFile(config, `${proxy}rules:\n${rules.map((rule) => `  - ${rule}\n`).join("")}`);
  const running = lab.startDeno(place, DIVERT, [lab.namespace("middle"), filter, config, mode]);
  await running.wrote("divert is up");
  return running;
}

function curl(lab: Lab, ...args: string[]): Promise<Finished> {
  return lab.exec("middle", ["curl", "-sS", "--max-time", "60", ...args], 90_000);
}

async function download(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/down-${seed}`;
  const { code, stderr } = await curl(lab, "-o", file, `http://${host}:${WEB_PORT}/bytes/${bytes}/${seed}`);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(sha256(await Deno.readFile(file)), sha256(randomBytes(bytes, seed)));
}

async function upload(lab: Lab, host: string, bytes: number, seed: number): Promise<void> {
  const file = `${lab.folder}/up-${seed}`;
  await Deno.writeFile(file, randomBytes(bytes, seed));
  const { code, stdout } = await curl(lab, "--data-binary", `@${file}`, `http://${host}:${WEB_PORT}/sum`);
  assertEquals([code, stdout], [0, sha256(randomBytes(bytes, seed))]);
}

/** The chains of weir that are left in `middle`. */
async function chains(lab: Lab): Promise<string[]> {
  const lines: string[] = [];
  for (const program of ["iptables", "ip6tables"]) {
    lines.push(...(await lab.exec("middle", [program, "-t", "mangle", "-S"])).stdout.split("\n"));
  }
  return lines.filter((line) => line.includes("weir-"));
}

interface Counts {
  readonly received: number;
  readonly unmatched: number;
  readonly accepted: number;
  readonly changed: number;
  readonly dropped: number;
  readonly made: number;
  readonly refused: number;
}

async function countsOf(divert: Running): Promise<Counts> {
  assertEquals(await divert.stop(), 0);
  return JSON.parse(/counts (.*)/.exec(divert.text)![1]!);
}

queueTest("the packet queue lets 100 MB pass both ways untouched when flows are direct", async (lab) => {
  await startWebServer(lab);
  const divert = await startDivert(lab, ["MATCH,DIRECT"]);
  await download(lab, SERVER_V4, 100_000_000, 1);
  await upload(lab, SERVER_V4, 100_000_000, 2);
  await download(lab, `[${SERVER_V6}]`, 10_000_000, 3);
  await upload(lab, `[${SERVER_V6}]`, 10_000_000, 4);
  const counts = await countsOf(divert);
  assert(counts.accepted > 100_000, JSON.stringify(counts));
  assertEquals([counts.changed, counts.dropped, counts.made, counts.refused], [0, 0, 0, 0]);
  assertEquals(await chains(lab), []);
});

queueTest("the packet queue rejects, drops and lets pass when rules say so", async (lab) => {
  await startWebServer(lab);
  const divert = await startDivert(lab, ["DST-PORT,81,REJECT", "DST-PORT,82,REJECT-DROP", "MATCH,DIRECT"]);
  for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
    const rejected = await curl(lab, `http://${host}:81/`);
    assertEquals(rejected.code, REFUSED, rejected.stderr);
    assertEquals((await curl(lab, "--connect-timeout", "2", `http://${host}:82/`)).code, TIMED_OUT);
    await download(lab, host, 100_000, 5);
  }
  for (const host of [SERVER_V4, SERVER_V6]) {
    const twice = `exec 3<>/dev/udp/${host}/81; echo 1 >&3; sleep 0.5; echo 2 >&3`;
    assertStringIncludes((await lab.exec("middle", ["bash", "-c", twice])).stderr, "Connection refused");
  }
  const counts = await countsOf(divert);
  assert(counts.made >= 4 && counts.dropped >= 6 && counts.refused === 0, JSON.stringify(counts));
  assertEquals(await chains(lab), []);
});

for (const mode of ["netstack", "redirect"] as const) {
  queueTest(`the packet queue carries programs in mode ${mode} when rules say so`, async (lab) => {
    await startWebServer(lab);
    const divert = await startDivert(lab, ["PROCESS-NAME,curl,p", "MATCH,DIRECT"], "true", "server", mode);
    for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
      await download(lab, host, 20_000_000, 6);
      await upload(lab, host, 20_000_000, 7);
    }
    await divert.wrote("tcp curl → ");
    await divert.wrote("carried: closed");
    const counts = await countsOf(divert);
    assert(counts.made > 1_000 && counts.refused === 0, JSON.stringify(counts));
  });
}

queueTest("the packet queue carries fragments and datagrams of all sizes", async (lab) => {
  const server = new URL("./programs/udp_server.ts", import.meta.url);
  const client = new URL("./programs/udp_client.ts", import.meta.url);
  await lab.startDeno("server", server, ["700"]).wrote("udp server listens");
  for (const target of ["DIRECT", "p"]) {
    const divert = await startDivert(lab, [`MATCH,${target}`]);
    for (const address of [SERVER_V4, SERVER_V6]) {
      const running = lab.startDeno("middle", client, [address, "700"]);
      await running.wrote("answers 700 701");
    }
    await countsOf(divert);
  }
});

queueTest("the packet queue leaves our own traffic alone", async (lab) => {
  await startWebServer(lab);
  // Here weir's own sockets are diverted as well: only their process tells them from curl's.
  const divert = await startDivert(lab, ["MATCH,p"], `outbound and ip.DstAddr == ${SERVER_V4} or inbound`, "middle");
  await download(lab, SERVER_V4, 5_000_000, 8);
  await upload(lab, SERVER_V4, 5_000_000, 9);
  await divert.wrote("tcp curl → ");
  await divert.wrote("tcp deno → ");
  const decisions = divert.text.split("\n").filter((line) => line.startsWith("tcp"));
  for (const line of decisions) assertStringIncludes(line, line.startsWith("tcp curl") ? " p " : " DIRECT Own");
  await countsOf(divert);
});

queueTest(
  "weir run --adapter nfqueue rejects one program and lets another pass, itself running beside them",
  async (lab) => {
    await startWebServer(lab);
    const other = `${lab.folder}/other-program`;
    await Deno.copyFile(
      (await lab.exec("middle", ["sh", "-c", 'readlink -f "$(command -v curl)"'])).stdout.trim(),
      other,
    );
    const config = `${lab.folder}/run.yaml`;
    await Deno.writeTextFile(config, "rules:\n  - PROCESS-NAME,curl,REJECT\n  - MATCH,DIRECT\n");
    const weir = lab.startDeno("middle", MAIN, ["run", "--adapter=nfqueue", `--config=${config}`]);
    await weir.wrote("is up");
    for (const host of [SERVER_V4, `[${SERVER_V6}]`]) {
      const url = `http://${host}:${WEB_PORT}/bytes/3000000/1`;
      assertEquals((await curl(lab, url)).code, REFUSED);
      const { code, stderr } = await lab.exec("middle", [other, "-sS", "--max-time", "30", "-o", "/dev/null", url]);
      assertEquals([code, stderr], [0, ""]);
    }
    assertEquals(await weir.stop("SIGINT"), 0);
    assertEquals(await chains(lab), []);
  },
);

queueTest("the packet queue carries 300 downloads at once, some direct and some through our own stack", async (lab) => {
  await startWebServer(lab);
  const divert = await startDivert(lab, ["IP-CIDR6,2001:db8::/32,DIRECT,no-resolve", "MATCH,p"], "tcp");
  await Promise.all([SERVER_V4, `[${SERVER_V6}]`].map(async (host, half) => {
    const config = `${lab.folder}/curl-${half}`;
    const lines: string[] = [];
    for (let seed = half; seed < 300; seed += 2) {
      lines.push(
        `url = "http://${host}:${WEB_PORT}/bytes/${20_000 + seed}/${seed}"`,
        `output = "${lab.folder}/p${seed}"`,
      );
    }
    await Deno.writeTextFile(config, lines.join("\n"));
    const args = ["-Z", "--parallel-immediate", "--parallel-max", "150", "--fail-early", "-K", config];
    assertEquals((await curl(lab, ...args)).code, 0);
  }));
  for (let seed = 0; seed < 300; seed++) {
    const bytes = await Deno.readFile(`${lab.folder}/p${seed}`);
    assertEquals([seed, sha256(bytes)], [seed, sha256(randomBytes(20_000 + seed, seed))]);
  }
  const counts = await countsOf(divert);
  assertEquals(counts.refused, 0);
});

queueTest("the packet queue never sees what the filter leaves out", async (lab) => {
  await startWebServer(lab);
  const divert = await startDivert(lab, ["MATCH,REJECT"], "outbound and tcp.DstPort == 81 and tcp.Syn");
  await download(lab, SERVER_V4, 5_000_000, 10);
  assertEquals((await curl(lab, `http://${SERVER_V4}:81/`)).code, REFUSED);
  const counts = await countsOf(divert);
  assert(counts.received < 5, JSON.stringify(counts));
});

queueTest(
  "the packet queue leaves the machine reachable when weir is killed, and the next one cleans up",
  async (lab) => {
    await startWebServer(lab);
    const killed = await startDivert(lab, ["MATCH,REJECT"]);
    assertEquals((await curl(lab, `http://${SERVER_V4}:${WEB_PORT}/bytes/10/1`)).code, REFUSED);
    await killed.stop("SIGKILL");
    await download(lab, SERVER_V4, 1_000_000, 11);
    assert((await chains(lab)).length > 0, "a killed weir leaves its chains");
    const first = await startDivert(lab, ["MATCH,DIRECT"]);
    const second = await startDivert(lab, ["MATCH,DIRECT"]);
    await download(lab, SERVER_V4, 1_000_000, 12);
    await countsOf(second);
    assert((await chains(lab)).length > 0, "the first one's chains are its own");
    await download(lab, SERVER_V4, 1_000_000, 13);
    await countsOf(first);
    assertEquals(await chains(lab), []);
  },
);

const OWN_ADDRESSES: readonly (readonly [mode: "netstack" | "redirect", hosts: string[]])[] = [
  ["netstack", ["10.77.0.1", "[fd77::1]"]],
  ["redirect", ["10.77.0.1", "127.0.0.1", "[::1]"]],
];

for (const [mode, hosts] of OWN_ADDRESSES) {
  queueTest(`the packet queue carries what programs of one machine say to each other in mode ${mode}`, async (lab) => {
    await lab.startDeno("middle", new URL("./programs/web_server.ts", import.meta.url), [String(WEB_PORT)])
      .wrote("web server listens");
    const divert = await startDivert(lab, ["PROCESS-NAME,curl,p", "MATCH,DIRECT"], "loopback", "middle", mode);
    for (const host of hosts) {
      await download(lab, host, 5_000_000, 14);
      await upload(lab, host, 5_000_000, 15);
    }
    await divert.wrote("tcp curl → 10.77.0.1:8080 p");
    const counts = await countsOf(divert);
    assertEquals([counts.refused, counts.made > 100], [0, true]);
  });
}
