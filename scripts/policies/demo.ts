/** The policy of `deno task demo`. It is asked before the rules of demo.yaml. */
import { definePolicy } from "weir";

export default definePolicy({
  // Tried before the rules of the configuration.
  rules: (r) => [
    r.processName("updater.exe").direct(),
    r.and(r.network("tcp"), r.dstPort(9418)).via("Work"),
  ],

  // Asked once for each flow; no answer means that the rules decide.
  onConnection(meta) {
    if (meta.process === "game.exe" && meta.network === "udp") return { duplicate: 2, via: "DIRECT" };
    return undefined;
  },
});
