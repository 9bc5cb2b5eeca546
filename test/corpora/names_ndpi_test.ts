/** Our names against nDPI's `Hostname/SNI`, over its captures in `../shared`. */
import { assert, assertEquals } from "@std/assert";
import { compareCapture, type Comparison, NameHarness } from "./names_harness.ts";

const CORPUS = new URL("../../../shared/corpora/captures/ndpi/", import.meta.url).pathname;

function captures(): string[] {
  try {
    return [...Deno.readDirSync(CORPUS)].map((entry) => entry.name).filter((name) => /\.pcap(ng)?$/.test(name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const files = captures();
if (files.length === 0) {
  console.log("names_ndpi_test: skipped, there are no captures in ../shared/corpora/captures/ndpi");
}

Deno.test({
  name: "FlowSniffer gives nDPI's name to 99 % of its TLS, QUIC and HTTP flows",
  ignore: files.length === 0,
  async fn() {
    const all: Comparison = { total: 0, same: 0, differences: [], onlyOurs: [] };
    for (const file of files) {
      await compareCapture(CORPUS + file, await Deno.readTextFile(`${CORPUS}${file}.out`), all);
    }
    for (const difference of all.differences) console.log(`differs: ${difference}`);
    for (const only of all.onlyOurs) console.log(`only ours: ${only}`);
    console.log(`${all.same} of ${all.total} names are the same (${(100 * all.same / all.total).toFixed(2)} %)`);
    assert(all.total >= 380, `only ${all.total} flows were compared`);
    assert(all.same >= 0.99 * all.total, `${all.total - all.same} of ${all.total} names differ`);
  },
});

Deno.test({
  name: "FlowSniffer marks the outer name of Encrypted ClientHello in a real capture",
  ignore: files.length === 0,
  async fn() {
    const harness = new NameHarness();
    await harness.run(`${CORPUS}tls_ech.pcapng`);
    const named = harness.flows.filter((flow) => flow.name !== "");
    assertEquals(named.map((flow) => flow.ech), [true]);
  },
});

Deno.test({
  name: "FlowSniffer reads the target of SOCKS and CONNECT in real captures",
  ignore: files.length === 0,
  async fn() {
    const socks = new NameHarness();
    await socks.run(`${CORPUS}socks.pcap`);
    assertEquals(socks.flows.map((flow) => flow.name).sort(), [
      "93.184.216.119",
      "93.184.216.119",
      "www.example.com",
      "www.google.com",
    ]);
    const connect = new NameHarness();
    await connect.run(`${CORPUS}http_connect.pcap`);
    const found = connect.flows.filter((flow) => flow.protocol === "connect").map((flow) => flow.name);
    assertEquals(found, ["apache.org"]);
  },
});
