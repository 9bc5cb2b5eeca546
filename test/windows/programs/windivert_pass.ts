/**
 * Runs under Wine: diverts what the filter says and gives it all back untouched, until SIGINT; then prints what it counted.
 * windivert_pass.ts DLL FILTER
 */
import { Arena, Direction, NO_SLOT } from "../../../core/adapter/arena.ts";
import { micros } from "../../../core/base/micros.ts";
import { openWinDivert } from "../../../ffi/windivert/open.ts";

const [dll, filter] = Deno.args as [string, string];
const device = openWinDivert(dll, {
  name: "windivert",
  addresses: [],
  mtu: 65_535,
  routes: [],
  sources: [],
  offload: false,
  namespace: undefined,
  divert: { filter, priority: 0 },
});
const { adapter } = device;
const arena = new Arena(1024);
const count = { outbound: 0, inbound: 0, full: 0 };
let isStopping = false;
Deno.addSignalListener("SIGINT", () => {
  isStopping = true;
  device.close();
});
console.log("diverting");
while (!isStopping) {
  while (!isStopping && adapter.receive(arena, micros(0)) > 0) {
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      if (arena.direction[slot] === Direction.Outbound) count.outbound++;
      else count.inbound++;
      if (!adapter.send(arena, slot, micros(0))) count.full++;
      arena.release(slot);
    }
  }
  if (isStopping) break;
  try {
    await adapter.ready();
  } catch (error) {
    if (!isStopping) throw error;
  }
}
console.log(`passed ${JSON.stringify(count)}`);
Deno.exit(0);
