/**
 * A path between two network namespaces that delays and loses packets: a TUN device in each, and the fault adapter between them.
 *
 * `deno run -A lossy_path.ts NAMESPACE_A ADDRESS_A NAMESPACE_B ADDRESS_B`; how bad it is stands in `WEIR_FAULTS` (JSON of `FaultOptions`), drawn
 * from `WEIR_SEED`. Runs until it is stopped.
 */
import { FaultAdapter } from "../../../core/adapter/fault.ts";
import { type FaultOptions, NO_FAULTS } from "../../../core/adapter/fault_plan.ts";
import type { Adapter } from "../../../core/adapter/adapter.ts";
import { Arena, NO_SLOT } from "../../../core/adapter/arena.ts";
import { parsePrefix } from "../../../core/base/ip_address.ts";
import type { Micros } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import type { LiveDevice } from "../../../core/host/live_device.ts";
import { monotonicClock } from "../../../core/host/run_loop.ts";
import { openTun } from "../../../ffi/linux/tun_setup.ts";

const QUEUE_PACKETS = 1_500;
const [namespaceA, addressA, namespaceB, addressB] = Deno.args as [string, string, string, string];

function open(namespace: string, own: string, far: string): LiveDevice {
  return openTun({
    name: "path0",
    addresses: [parsePrefix(`${own}/32`)!],
    mtu: 1500,
    routes: [parsePrefix(`${far}/32`)!],
    sources: [],
    offload: false,
    namespace,
  });
}

/** Hands on all that one end has. */
function carry(from: Adapter, to: Adapter, arena: Arena, now: Micros): number {
  const count = from.receive(arena, now);
  for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
    to.send(arena, slot, now);
    arena.release(slot);
  }
  return count;
}

const faults: FaultOptions = { ...NO_FAULTS, ...JSON.parse(Deno.env.get("WEIR_FAULTS") ?? "{}") };
const prng = new Prng(Number(Deno.env.get("WEIR_SEED") ?? "1"));
const a = open(namespaceA, addressA, addressB);
const b = open(namespaceB, addressB, addressA);
const bad = new FaultAdapter(a.adapter, { inbound: faults, outbound: faults, queuePacketsMax: QUEUE_PACKETS }, prng);
const forth = new Arena();
const back = new Arena();
let isStopped = false;
Deno.addSignalListener("SIGTERM", () => {
  isStopped = true;
  a.close();
  b.close();
});
console.log("path is up");
let waitA: Promise<void> | undefined;
let waitB: Promise<void> | undefined;
while (!isStopped) {
  const now = monotonicClock();
  const carried = carry(bad, b.adapter, forth, now) + carry(b.adapter, bad, back, now);
  bad.flush(now);
  if (carried > 0) {
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    continue;
  }
  waitA ??= a.adapter.ready().then(() => void (waitA = undefined), () => {});
  waitB ??= b.adapter.ready().then(() => void (waitB = undefined), () => {});
  const due = Math.max(0, Math.min(100_000, bad.nextDue - monotonicClock()));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timed = new Promise<void>((resolve) => void (timer = setTimeout(resolve, Math.ceil(due / 1000))));
  await Promise.race([waitA, waitB, timed]);
  clearTimeout(timer);
}
const { inbound, outbound } = bad;
console.log(
  `path carried ${inbound.passed} forth and ${outbound.passed} back, lost ${inbound.lost} and ${outbound.lost}`,
);
Deno.exit(0);
