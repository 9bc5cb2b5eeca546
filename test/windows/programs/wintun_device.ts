/**
 * Runs under Wine: a device by openWintun that answers pings. Prints a line for each thing that happens.
 * wintun_device.ts DLL IPHLPAPI JOURNAL CASE; a file JOURNAL.stop ends it.
 */
import { Arena, NO_SLOT } from "../../../core/adapter/arena.ts";
import { formatIp, parseIp, parsePrefix } from "../../../core/base/ip_address.ts";
import { micros } from "../../../core/base/micros.ts";
import { findOwnSources } from "../../../ffi/iphlpapi/best_route.ts";
import { type OpenWintun, openWintun } from "../../../ffi/wintun/open.ts";

const [dll, iphlpapiPath, journalPath, wanted] = Deno.args as [string, string, string, string];

function prefixes(...texts: string[]) {
  return texts.map((text) => parsePrefix(text)!);
}

function open(name = "weir test", isDnsStrict = false): OpenWintun {
  return openWintun(
    dll,
    {
      name,
      addresses: prefixes("198.18.0.1/30", "fdfe:dcba:9876::1/126"),
      mtu: 1400,
      routes: prefixes("0.0.0.0/0", "::/0"),
      excludes: prefixes("10.77.0.0/16", "192.0.2.128/25"),
      nameServers: [parseIp("198.18.0.2")!, parseIp("fdfe:dcba:9876::2")!],
      isDnsStrict,
      sources: [],
      offload: false,
      namespace: undefined,
    },
    { journalPath, iphlpapiPath, onWarning: (text) => console.log(`warning: ${text}`) },
  );
}

/** Turns an echo request into its answer. Shape: false for other packets. */
function answer(view: DataView, at: number): boolean {
  if (view.getUint8(at) !== 0x45 || view.getUint8(at + 9) !== 1 || view.getUint8(at + 20) !== 8) return false;
  const source = view.getUint32(at + 12);
  view.setUint32(at + 12, view.getUint32(at + 16));
  view.setUint32(at + 16, source);
  view.setUint8(at + 20, 0);
  const sum = view.getUint16(at + 22) + 0x0800;
  view.setUint16(at + 22, (sum & 0xffff) + (sum >>> 16));
  return true;
}

async function isStopped(): Promise<boolean> {
  return await Deno.stat(`${journalPath}.stop`).then(() => true, () => false);
}

/** Carries packets until the file says stop, or the device is gone. */
async function carry({ adapter }: OpenWintun): Promise<void> {
  const arena = new Arena(256);
  let answered = 0;
  for (;;) {
    while (adapter.receive(arena, micros(0)) > 0) {
      for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
        if (answer(arena.view, arena.at(slot)) && adapter.send(arena, slot, micros(0))) answered++;
        arena.release(slot);
      }
    }
    const tick = new Promise((resolve) => setTimeout(resolve, 200, "tick"));
    try {
      await Promise.race([adapter.ready(), tick]);
    } catch (error) {
      console.log(`gone: ${(error as Error).message}`);
      break;
    }
    if (await isStopped()) break;
  }
  console.log(`answered ${answered > 0}`);
}

function expectError(deed: () => unknown): void {
  try {
    deed();
    console.log("no error");
  } catch (error) {
    console.log(`${(error as Error).name}: ${(error as Error).message}`);
  }
}

const CASES: Readonly<Record<string, () => Promise<void>>> = {
  async carry() {
    const sources = findOwnSources(prefixes("0.0.0.0/0"), iphlpapiPath);
    console.log(`own ${sources.v4 === undefined ? "none" : formatIp(sources.v4)}`);
    const device = open();
    console.log("READY");
    await carry(device);
    device.close();
  },
  /** Counts what is received until nothing came for a second. */
  async count() {
    const device = open();
    console.log("READY");
    const arena = new Arena(2048);
    const { adapter } = device;
    let [packets, first, last] = [0, 0, 0];
    while (packets === 0 || performance.now() - last < 1_000) {
      const count = adapter.receive(arena, micros(0));
      if (count > 0) {
        last = performance.now();
        if (packets === 0) first = last;
        packets += count;
        for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) arena.release(slot);
        continue;
      }
      await Promise.race([adapter.ready(), new Promise((resolve) => setTimeout(resolve, 200))]);
    }
    console.log(`received ${packets} in ${(last - first).toFixed(1)} ms`);
    device.close();
  },
  async reopen() {
    for (let i = 0; i < 20; i++) {
      const device = open();
      const waiting = device.adapter.ready().catch((error: Error) => error.message);
      device.close();
      device.close();
      const ended = await waiting;
      if (ended !== "the device is closed" && ended !== undefined) console.log(ended);
    }
    console.log("reopened");
  },
  twice() {
    const device = open();
    expectError(() => open());
    device.close();
    open().close();
    return Promise.resolve();
  },
  badName() {
    expectError(() => open("a/b"));
    return Promise.resolve();
  },
  strict() {
    expectError(() => open("weir test", true).close());
    return Promise.resolve();
  },
  hang() {
    open();
    console.log("READY");
    return new Promise((resolve) => setTimeout(resolve, 600_000));
  },
  fail() {
    expectError(() => open());
    return Promise.resolve();
  },
};

await CASES[wanted]!();
console.log("END");
