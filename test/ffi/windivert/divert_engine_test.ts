/** The whole pipeline over WinDivert as its documentation describes it. */
import { assert, assertEquals } from "@std/assert";
import { micros } from "../../../core/base/micros.ts";
import { deriveDivertFilter } from "../../../core/config/divert_filter.ts";
import { loadConfig } from "../../../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../../../core/config/sniffing.ts";
import { Engine } from "../../../core/engine.ts";
import { createQuicCrypto } from "../../../core/host/quic_crypto.ts";
import { Verify } from "../../../core/parse/parse.ts";
import { AddressBit } from "../../../ffi/windivert/layout.ts";
import { openDivertDevice } from "../../../ffi/windivert/open.ts";
import { MemoryFiles } from "../../config/memory_files.ts";
import { tcpPacket, udpPacket } from "../../support/packets.ts";
import { FakeDriver, packetAddress } from "./fake_driver.ts";

const CONFIG = `weir: {divert: {loopback: true}}
rules: ["DST-PORT,25,REJECT", "DST-PORT,26,REJECT-DROP", "MATCH,DIRECT"]`;
const LOCAL = "192.0.2.1";

async function start(filter?: string) {
  const { config } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": CONFIG }));
  const driver = new FakeDriver();
  const wanted = filter ?? deriveDivertFilter(config!, { hasPolicy: false }).filter;
  const settings = {
    name: "x",
    addresses: [],
    mtu: 1500,
    routes: [],
    sources: [],
    offload: false,
    namespace: undefined,
  };
  const device = openDivertDevice(driver.calls, { ...settings, divert: { filter: wanted, priority: 0 } });
  const engine = new Engine({
    adapter: device.adapter,
    decider: config!.decider,
    classify: {
      type: "Tun",
      sniff: sniffOptionsOf(config!.sniffer),
      names: namePolicyOf(config!.sniffer),
      crypto: createQuicCrypto(),
      secret: 1,
    },
    verify: Verify.None,
    hasPolicy: false,
    observer: { flowStarted() {}, flowDecided() {}, flowEnded() {} },
  });
  let now = 1_000_000;
  const turn = async () => {
    for (let i = 0; i < 5; i++) engine.poll(micros(now += 1_000), 256);
    await Promise.resolve();
    return driver.sent.splice(0);
  };
  const close = () => {
    device.close();
    assertEquals([driver.misuses, driver.handles.size, driver.events.size], [[], 0, 0]);
  };
  return { driver, engine, turn, close };
}

function syn(destinationPort: number, source = LOCAL, destination = "198.51.100.2"): Uint8Array {
  return tcpPacket({ source, destination, sourcePort: 50_000, destinationPort, flags: "S", sequence: 7 });
}

Deno.test("Engine over WinDivert returns what is direct, answers what is rejected, and drops the rest", async () => {
  const { driver, engine, turn, close } = await start("true");
  const direct = { bytes: syn(443), address: packetAddress({ timestamp: 99n, ifIdx: 5 }) };
  driver.arrive(direct.bytes, direct.address);
  assertEquals(await turn(), [direct]);

  driver.arrive(syn(25), packetAddress({ ifIdx: 5, subIfIdx: 2 }));
  const [reset, ...others] = await turn();
  assertEquals(others, []);
  const { bytes, address } = reset!;
  assertEquals([...bytes.subarray(12, 20)], [198, 51, 100, 2, 192, 0, 2, 1]);
  assert((bytes[33]! & 0x04) !== 0, "a reset");
  assertEquals([address[10], address[16], address[20]], [0, 5, 2]);

  driver.arrive(syn(26), packetAddress());
  assertEquals(await turn(), []);

  driver.arrive(udpPacket({ source: LOCAL, sourcePort: 40_000, destinationPort: 25 }), packetAddress({ ifIdx: 5 }));
  const [unreachable] = await turn();
  assertEquals([unreachable!.bytes[9], unreachable!.bytes[20], unreachable!.address[10]], [1, 3, 0]);
  assertEquals(engine.counters.received, 4);
  close();
});

Deno.test("Engine over WinDivert answers on the loopback with outbound packets", async () => {
  const { driver, turn, close } = await start();
  const bits = AddressBit.Outbound | AddressBit.Loopback;
  assert(driver.arrive(syn(25, "127.0.0.1", "127.0.0.1"), packetAddress({ bits, ifIdx: 1 })));
  const [reset] = await turn();
  assertEquals([reset!.address[10]! & ~0xe0, reset!.address[16]], [bits, 1]);
  close();
});

Deno.test("Engine over WinDivert never sees what the derived filter leaves in the kernel", async () => {
  const { driver, engine, turn, close } = await start();
  assertEquals(driver.arrive(syn(443), packetAddress()), false);
  assertEquals(driver.arrive(syn(25), packetAddress({ bits: 0 })), false);
  assertEquals(driver.arrive(syn(25), packetAddress()), true);
  assertEquals((await turn()).length, 1);
  assertEquals(engine.counters.received, 1);
  close();
});
