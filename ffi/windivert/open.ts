/** Makes WinDivert a device: its library, its handles for packets, flows and sockets, and the way back when one of them fails. */
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import type { ProcessSource } from "../../core/host/process_source.ts";
import { Kernel32 } from "../win32/kernel32.ts";
import { DivertAdapter } from "./divert_adapter.ts";
import { DivertHandle } from "./divert_handle.ts";
import { DivertEndpoints } from "./endpoints.ts";
import { EventWatch } from "./event_watch.ts";
import { Layer } from "./layout.ts";
import { type DivertCalls, WinDivert } from "./library.ts";

/** What a diverting device can be given besides its settings. */
export interface DivertOptions {
  /** Whom to ask for owners that no event told of, and for what is known of a process: the system's tables. */
  readonly processes?: ProcessSource | undefined;
}

/**
 * Opens WinDivert by the path of its library. Errors: an Error or `WinError` that says what is missing; nothing stays open then.
 *
 * The device diverts from this moment on: call `receive` soon, the driver keeps packets for two seconds.
 */
export function openWinDivert(dllPath: string, settings: DeviceSettings, options: DivertOptions = {}): LiveDevice {
  const kernel32 = Kernel32.open();
  const library = WinDivert.open(dllPath);
  return openDivertDevice({ divert: library.calls, kernel32: kernel32.calls }, settings, options);
}

/**
 * The same with the calls given. The libraries stay loaded when the device is closed: a wait on another thread may still be inside one of them.
 */
export function openDivertDevice(
  calls: DivertCalls,
  settings: DeviceSettings,
  options: DivertOptions = {},
): LiveDevice & { readonly adapter: DivertAdapter; readonly processes: DivertEndpoints } {
  const { filter, priority } = settings.divert ?? { filter: "true", priority: 0 };
  const endpoints = new DivertEndpoints(options.processes, Deno.pid);
  const undo: (() => void)[] = [];
  try {
    // Listening begins before diverting: no flow is seen of which the event was missed.
    const watches = [Layer.Socket, Layer.Flow].map((layer) => {
      const watch = EventWatch.open(calls, layer as typeof Layer.Socket, endpoints);
      undo.push(() => (watch.close(), watch.dispose()));
      return watch;
    });
    const handle = DivertHandle.open(calls, { filter, layer: Layer.Network, priority, flags: 0 });
    undo.push(() => handle.close());
    const adapter = new DivertAdapter(handle, settings.mtu, watches);
    endpoints.readFrom((now) => watches.forEach((watch) => watch.drain(now)));
    return { adapter, processes: endpoints, close: () => adapter.close() };
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}
