/**
 * ICMP that comes in: echo requests, and errors about what we sent.
 *
 * Read first: RFC 792, RFC 4443, RFC 5927 (an error counts only when it quotes what may be on its way), RFC 1191 and RFC 8201 (path MTU).
 */
import type { Arena } from "../adapter/arena.ts";
import { PATH_MTU_V4_MIN, PATH_MTU_V6_MIN } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { DropReason } from "../parse/drop_reason.ts";
import type { PacketMeta } from "../parse/packet_meta.ts";
import * as icmp from "../wire/icmp.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import type { ConnectionTable } from "./connection_table.ts";
import { NO_ENDPOINT } from "./flow_demux.ts";
import type { IcmpOutput } from "./icmp_output.ts";
import { isManyReceivers } from "./receivers.ts";
import { QuotedPacket } from "./quoted_packet.ts";
import type { StackOptions } from "./stack_options.ts";
import { IcmpKind } from "./tcp/tcp_state.ts";
import type { UdpTable } from "./udp_table.ts";

/** Takes ICMP messages in. */
export class IcmpInput {
  /** Takes echo requests, where the options say that they are handed on. */
  onEcho: ((meta: PacketMeta, now: Micros) => void) | undefined = undefined;
  readonly #arena: Arena;
  readonly #output: IcmpOutput;
  readonly #connections: ConnectionTable;
  readonly #udp: UdpTable;
  readonly #options: StackOptions;
  readonly #quoted = new QuotedPacket();

  constructor(
    arena: Arena,
    output: IcmpOutput,
    connections: ConnectionTable,
    udpTable: UdpTable,
    options: StackOptions,
  ) {
    this.#arena = arena;
    this.#output = output;
    this.#connections = connections;
    this.#udp = udpTable;
    this.#options = options;
  }

  /** Takes a message in. Drops: what asks for nothing, and errors about nothing of ours. */
  receive(meta: PacketMeta, now: Micros): DropReason {
    const request = meta.version === 4 ? icmp.ECHO_REQUEST : icmp.ECHO_REQUEST_V6;
    if (meta.sourcePort === request && meta.destinationPort === 0) return this.#receiveEcho(meta, now);
    if (!this.#quoted.read(this.#arena.view, meta)) return DropReason.IcmpUnrelated;
    if (this.#quoted.protocol === tcp.PROTOCOL) return this.#receiveTcpError(now);
    if (this.#quoted.protocol !== udp.PROTOCOL) return DropReason.IcmpUnrelated;
    this.#boundMtu(meta.version);
    return this.#receiveUdpError();
  }

  #receiveEcho(meta: PacketMeta, now: Micros): DropReason {
    if (isManyReceivers(meta) || this.#options.echo === "drop") return DropReason.IcmpUnrelated;
    if (this.#options.echo === "answer") this.#output.echo(meta, now);
    else if (this.onEcho !== undefined) this.onEcho(meta, now);
    return DropReason.None;
  }

  /** Below a floor datagrams are not made shorter: routers may cut them. */
  #boundMtu(version: 4 | 6): void {
    const least = version === 4 ? PATH_MTU_V4_MIN : PATH_MTU_V6_MIN;
    if (this.#quoted.mtu < least) this.#quoted.mtu = least;
  }

  #receiveTcpError(now: Micros): DropReason {
    const quoted = this.#quoted;
    const { local, localPort, remote, remotePort } = quoted;
    const index = this.#connections.demux.findPair(local, localPort, remote, remotePort);
    const connection = index === NO_ENDPOINT ? undefined : this.#connections.connections[index];
    if (connection === undefined) return DropReason.IcmpUnrelated;
    const { pathMtu, mayFragment } = connection;
    connection.icmpError(quoted.kind, quoted.mtu, quoted.sequence[0]!, now);
    if (connection.pathMtu !== pathMtu || connection.mayFragment !== mayFragment) {
      this.#connections.paths.note(remote, connection.pathMtu, connection.mayFragment, now);
    }
    return DropReason.None;
  }

  #receiveUdpError(): DropReason {
    const quoted = this.#quoted;
    const endpoint = this.#udp.find(quoted.remote, quoted.remotePort);
    if (endpoint === undefined) return DropReason.IcmpUnrelated;
    if (quoted.kind !== IcmpKind.TooBig) endpoint.errorCount++;
    else if (quoted.mtu < endpoint.mtu) endpoint.mtu = quoted.mtu;
    return DropReason.None;
  }
}
