/** Work inside another network namespace. Read first: network_namespaces(7), setns(2). */
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from "./layout.ts";
import type { Libc } from "./libc.ts";

/** Where `ip netns add NAME` keeps its namespaces. */
export function namespacePath(name: string): string {
  return `/run/netns/${name}`;
}

/**
 * Runs `work` with this thread in the namespace of `path`, and comes back. Sockets and devices opened meanwhile stay there. `work` must not wait for anything:
 * other work of this thread would find itself in the wrong place. Errors: `LinuxError` when the namespace is not there or this is not root.
 */
export function insideNamespace<T>(libc: Libc, path: string | undefined, work: () => T): T {
  if (path === undefined) return work();
  using home = libc.openFile("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  using there = libc.openFile(path, O_RDONLY | O_CLOEXEC);
  libc.check(libc.calls.setns(there.number, CLONE_NEWNET), `enter the network namespace ${path}`);
  try {
    return work();
  } finally {
    libc.check(libc.calls.setns(home.number, CLONE_NEWNET), "come back from a network namespace");
  }
}
