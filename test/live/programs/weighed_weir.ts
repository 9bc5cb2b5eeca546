/** `weir run` that says on SIGUSR1 what its heap holds: needs `--v8-flags=--expose-gc`. */
import { heapBytes } from "../../../scripts/bench/process_cost.ts";

let said = 0;
Deno.addSignalListener("SIGUSR1", () => console.log(`heap ${++said} ${heapBytes()} bytes`));
await import("./weir.ts");
