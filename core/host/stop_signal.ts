/** Waiting for somebody to end the program. */

/** Windows knows no SIGTERM. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];

/** Resolves with the signal that came, or with "done" once `stopping` says that nobody needs to wait any more. */
export function untilStopped(stopping: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const listeners = SIGNALS.map((signal) => ({ signal, listener: () => end(signal) }));
    const end = (why: string) => {
      for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
      stopping.removeEventListener("abort", onAbort);
      resolve(why);
    };
    const onAbort = () => end("done");
    for (const { signal, listener } of listeners) Deno.addSignalListener(signal, listener);
    stopping.addEventListener("abort", onAbort, { once: true });
  });
}
