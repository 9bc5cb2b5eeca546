/** Connections from what is known when they begin: a packet, a waiting flow, or two addresses. */
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import type { PendingFlow } from "./pending_flow.ts";
import { TcpConnection } from "./tcp/connection.ts";
import type { ConnectionHost, SegmentOutput } from "./tcp/segment_output.ts";
import { SynFacts } from "./tcp/syn_facts.ts";
import type { TcpOptions } from "./tcp/tcp_options.ts";

/** Lays a caller's choices over the stack's options. Each connection has its own, as they may change while it lives. */
export function createTcpOptions(base: Readonly<TcpOptions>, choices: Partial<TcpOptions> | undefined): TcpOptions {
  return { ...base, ...choices };
}

/** What the SYN of `meta` says. */
export function createSynFacts(view: DataView, meta: PacketMeta): SynFacts {
  const facts = new SynFacts();
  facts.read(view, meta);
  return facts;
}

/** A copy that the next SYN does not overwrite. */
export function createFactsCopy(facts: SynFacts): SynFacts {
  return Object.assign(new SynFacts(), facts);
}

/** A connection between two addresses. Shape: four words each, IPv4 as ::ffff:a.b.c.d. */
export function createConnection(
  host: ConnectionHost,
  output: SegmentOutput,
  version: 4 | 6,
  local: Uint32Array,
  localPort: number,
  remote: Uint32Array,
  remotePort: number,
  options: TcpOptions,
): TcpConnection {
  return new TcpConnection(host, output, version, local, localPort, remote, remotePort, options);
}

/** The connection that a packet's source opens. */
export function createFromMeta(
  host: ConnectionHost,
  output: SegmentOutput,
  meta: PacketMeta,
  options: TcpOptions,
): TcpConnection {
  const local = meta.words.slice(DESTINATION, DESTINATION + 4);
  const remote = meta.words.slice(SOURCE, SOURCE + 4);
  const { version, destinationPort, sourcePort } = meta;
  return new TcpConnection(host, output, version, local, destinationPort, remote, sourcePort, options);
}

/** The connection that a waiting flow becomes. */
export function createFromPending(
  host: ConnectionHost,
  output: SegmentOutput,
  pending: PendingFlow,
  options: TcpOptions,
): TcpConnection {
  const { version, localAddress, localPort, remoteAddress, remotePort } = pending;
  return new TcpConnection(host, output, version, localAddress, localPort, remoteAddress, remotePort, options);
}
