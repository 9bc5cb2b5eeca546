/** A TUN device behind a bad path; how bad it is stands in the environment. */
import { FaultAdapter } from "../../../core/adapter/fault.ts";
import { type FaultOptions, NO_FAULTS } from "../../../core/adapter/fault_plan.ts";
import { Prng } from "../../../core/base/prng.ts";
import type { DeviceSettings, LiveDevice } from "../../../core/host/live_device.ts";
import { openTun } from "../../../ffi/linux/tun_setup.ts";

/** Opens a TUN device whose packets suffer as `WEIR_FAULTS` says (JSON of `FaultOptions`), drawn from `WEIR_SEED`. */
export function openFaultyTun(settings: DeviceSettings): LiveDevice {
  const faults: FaultOptions = { ...NO_FAULTS, ...JSON.parse(Deno.env.get("WEIR_FAULTS") ?? "{}") };
  // The kernel would compute checksums after the damage: it must see what was damaged.
  const device = openTun({ ...settings, offload: false });
  const prng = new Prng(Number(Deno.env.get("WEIR_SEED") ?? "1"));
  const adapter = new FaultAdapter(device.adapter, { inbound: faults, outbound: faults }, prng);
  return { adapter, close: () => device.close() };
}
