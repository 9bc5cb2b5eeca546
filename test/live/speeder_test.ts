/** `weir speeder` over a packet queue with the real kernel's TCP: what it is worth on a path that loses packets, as a table. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Lab, Running } from "./lab.ts";
import { liveTest } from "./live_test_case.ts";

const MAIN = new URL("../../main.ts", import.meta.url);
const PATH = new URL("./programs/lossy_path.ts", import.meta.url);
const SENDER = "10.66.0.1";
const RECEIVER = "10.66.0.2";
/** WEIR_SPEEDER=full fills the whole table, which takes minutes; else it is three rows of it. */
const IS_FULL = Deno.env.get("WEIR_SPEEDER") === "full";
const SECONDS = Number(Deno.env.get("WEIR_SPEEDER_SECONDS") ?? (IS_FULL ? "5" : "2"));
const LOSSES = IS_FULL ? [0, 50_000, 100_000, 200_000, 300_000] : [0, 50_000, 200_000];
const MODES: Readonly<Record<string, readonly string[] | undefined>> = {
  "plain": undefined,
  "×2": ["--multiplicity=2"],
  ...(IS_FULL ? { "×3": ["--multiplicity=3"] } : {}),
  "×2, adaptive": ["--multiplicity=2", "--adaptive"],
};

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
if (REASON !== undefined) console.log(`tests of the speeder are skipped: ${REASON}`);

async function startPath(lab: Lab, lossPpm: number): Promise<Running> {
  const env = { WEIR_FAULTS: JSON.stringify({ lossPpm, delayUs: 10_000 }), WEIR_SEED: "7" };
  const path = lab.startDeno("middle", PATH, [lab.namespace("client"), SENDER, lab.namespace("server"), RECEIVER], env);
  await path.wrote("path is up");
  return path;
}

/** Bytes of one interface since it is there. */
async function sentBytes(lab: Lab): Promise<number> {
  const { stdout } = await lab.exec("client", ["cat", "/sys/class/net/path0/statistics/tx_bytes"]);
  return Number(stdout);
}

/** A congestion control that does not take loss for congestion: what a speeder adds to it is worth knowing. */
const HAS_BBR = Deno.build.os === "linux" &&
  Deno.readTextFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control").includes("bbr");

function tell(lossPpm: number, what: string, received: number, wire: number): void {
  const goodput = (received * 8 / SECONDS / 1e6).toFixed(2);
  console.log(
    `| ${lossPpm / 10_000} % | ${what} | ${goodput} Mbit/s | ${(wire / Math.max(1, received)).toFixed(2)}× |`,
  );
}

interface Measured {
  readonly received: number;
  readonly wire: number;
  readonly said: string;
}

async function measure(lab: Lab, mode: readonly string[] | undefined, congestion: string): Promise<Measured> {
  const speeder = mode === undefined
    ? undefined
    : lab.startDeno("client", MAIN, ["speeder", "--adapter=nfqueue", ...mode]);
  await speeder?.wrote("speeder is up");
  const server = lab.start("server", ["iperf3", "--server", "--one-off", "--json"]);
  const before = await sentBytes(lab);
  let stdout = "";
  for (let attempt = 0; attempt < 20 && !stdout.includes("sum_received"); attempt++) {
    if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 300));
    const limits = ["--time", String(SECONDS), "--connect-timeout", "20000", "--congestion", congestion];
    const iperf = ["iperf3", "--client", RECEIVER, "--json", ...limits];
    ({ stdout } = await lab.exec("client", iperf, SECONDS * 1000 + 60_000));
  }
  const wire = await sentBytes(lab) - before;
  const end = JSON.parse(stdout).end;
  await server.stop();
  if (speeder !== undefined) assertEquals(await speeder.stop(), 0, speeder.text);
  return { received: end.sum_received.bytes, wire, said: speeder?.text ?? "" };
}

if (REASON === undefined) {
  for (const lossPpm of LOSSES) {
    liveTest(`weir speeder over a packet queue at ${lossPpm / 10_000} % loss`, async (lab) => {
      const path = await startPath(lab, lossPpm);
      const goodput: Record<string, number> = {};
      for (const [label, mode] of Object.entries(MODES)) {
        const { received, wire, said } = await measure(lab, mode, "cubic");
        goodput[label] = received * 8 / SECONDS;
        tell(lossPpm, `cubic, ${label}`, received, wire);
        if (mode === undefined) continue;
        assertStringIncludes(said, "copies sent");
        if (label === "×2") assert(wire > 1.8 * received, "each packet is on the wire twice");
      }
      if (HAS_BBR && IS_FULL) {
        for (const label of ["plain", "×2"]) {
          const { received, wire } = await measure(lab, MODES[label], "bbr");
          tell(lossPpm, `bbr, ${label}`, received, wire);
        }
      }
      // At 5 % and more a TCP that takes loss for congestion is far below what it reaches when it sees a fraction of the loss.
      // Two seconds hold few round trips at such a loss: luck may decide once, not three times.
      for (let again = 0; again < 2 && lossPpm >= 50_000 && goodput["×2"]! <= 1.5 * goodput["plain"]!; again++) {
        for (const label of ["plain", "×2"]) {
          const { received } = await measure(lab, MODES[label], "cubic");
          goodput[label] = received * 8 / SECONDS;
        }
      }
      if (lossPpm >= 50_000) assert(goodput["×2"]! > 1.5 * goodput["plain"]!, JSON.stringify(goodput));
      assertEquals(await path.stop(), 0);
      const { stdout } = await lab.exec("client", ["iptables", "-t", "mangle", "-S"]);
      assertEquals(stdout.includes("weir-"), false, "the rules are gone");
    });
  }
}
