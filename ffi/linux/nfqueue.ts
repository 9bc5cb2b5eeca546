/** Traffic of this machine diverted through a packet queue, and all of it undone at the end. */
import { compileFilter } from "../../core/filter/compile.ts";
import type { DeviceSettings, LiveDevice } from "../../core/host/live_device.ts";
import { Libc } from "./libc.ts";
import { insideNamespace, namespacePath } from "./namespace.ts";
import { MARK_BASE, NfqueueAdapter } from "./nfqueue_adapter.ts";
import { narrow } from "./nfqueue_narrowing.ts";
import { addRules, removeChains, runSystemTables, type RunTables } from "./nfqueue_rules.ts";
import { NfqueueSocket } from "./nfqueue_socket.ts";
import { LinuxProcessSource } from "./process_source.ts";
import { ProcessFiles } from "./process_files.ts";
import { RawSender } from "./raw_sender.ts";

/** What is diverted when nothing is said: everything. */
const EVERYTHING = "true";
/** Queues that somebody listens to, one a line, the number first. */
const QUEUES_FILE = "/proc/thread-self/net/netfilter/nfnetlink_queue";
const IPV6_FILE = "/proc/thread-self/net/if_inet6";

/** An open queue; `close` undoes everything. */
export interface OpenNfqueue extends LiveDevice {
  readonly adapter: NfqueueAdapter;
  /** The number of the queue, and the mark of weir's own packets. */
  readonly queue: number;
  readonly mark: number;
}

/**
 * Diverts what `settings.divert` asks for, without what `settings.excludes` names. Errors: `FilterSyntaxError`, or an Error that says what is missing;
 * nothing is left behind then.
 */
export function openNfqueue(settings: DeviceSettings): OpenNfqueue {
  const libc = Libc.open();
  const path = settings.namespace === undefined ? undefined : namespacePath(settings.namespace);
  try {
    return insideNamespace(libc, path, () => openHere(libc, path, settings));
  } catch (error) {
    libc[Symbol.dispose]();
    throw error;
  }
}

function openHere(libc: Libc, path: string | undefined, settings: DeviceSettings): OpenNfqueue {
  const text = settings.divert?.filter ?? EVERYTHING;
  const filter = compileFilter(text, "network");
  const alternatives = narrow(text);
  const files = new ProcessFiles(libc);
  const versions: readonly (4 | 6)[] = files.read(IPV6_FILE) === undefined ? [4] : [4, 6];
  const undo: (() => void)[] = [];
  try {
    const socket = new NfqueueSocket(libc);
    undo.push(() => socket.descriptor.close());
    sweep(files, versions, socket.queue);
    const mark = MARK_BASE + socket.queue;
    const sender = new RawSender(libc, mark);
    undo.push(() => sender.close());
    const processes = new LinuxProcessSource();
    undo.push(() => processes.close());
    const adapter = new NfqueueAdapter(libc, socket, sender, filter, settings.mtu);
    const rules = { queue: socket.queue, mark, alternatives, excludes: settings.excludes ?? [] };
    const removeRules = addRules(rules, versions, runSystemTables);
    return {
      adapter,
      processes,
      queue: socket.queue,
      mark,
      inside: (work) => insideNamespace(libc, path, work),
      close: () => {
        // A namespace that is gone has taken its rules along.
        try {
          insideNamespace(libc, path, removeRules);
        } finally {
          adapter.close();
          processes.close();
        }
      },
    };
  } catch (error) {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) step();
    throw error;
  }
}

/** Takes away the chains of runs that were killed: nobody listens to their queues, or we do by now. */
function sweep(files: ProcessFiles, versions: readonly (4 | 6)[], own: number): void {
  const listening = new Set<number>();
  for (const line of (files.read(QUEUES_FILE) ?? "").split("\n")) {
    const [number] = line.trim().split(/\s+/);
    if (number !== undefined && /^\d+$/.test(number)) listening.add(Number(number));
  }
  const run: RunTables = runSystemTables;
  for (const version of versions) removeChains(version, run, (queue) => queue === own || !listening.has(queue));
}
