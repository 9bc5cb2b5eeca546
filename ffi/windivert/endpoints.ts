/**
 * Whose sockets and flows there are, as WinDivert's SOCKET and FLOW events tell: earlier and surer than the system's tables.
 *
 * ```
 * BIND, LISTEN          local address and port → process
 * CONNECT, ACCEPT       the whole tuple → process; CONNECT comes before the SYN
 * ESTABLISHED           the same, for flows whose socket said nothing
 * CLOSE, DELETED        end it: the answer holds for packets that are still in a queue, and for nobody who comes later
 * ```
 *
 * A port that is used again brings a new event, which takes the place of the old one: that is all there is to say about generations.
 */
import type { ProcessOwner } from "../../core/act/command.ts";
import { formatIp, type IpAddress } from "../../core/base/ip_address.ts";
import { DIVERT_ENDPOINT_COUNT_MAX, DIVERT_ENDPOINT_ENDED_US } from "../../core/base/limits.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import type { LocalSocket, ProcessSource } from "../../core/host/process_source.ts";
import type { EndpointEvent } from "./address.ts";
import { DivertEvent } from "./layout.ts";

const NOT_ENDED = -1;
const WILDCARDS = ["0.0.0.0", "::"];
const PROTOCOL_NUMBER = { tcp: 6, udp: 17 } as const;

interface Entry {
  readonly key: string;
  readonly processId: number;
  readonly endpointId: bigint;
  /** Units: µs; `NOT_ENDED` while it lives. */
  endedAt: number;
}

/** Reads events that have come since, if that can be done at once. */
export type EventPump = (now: Micros) => void;

/** A bounded table of owners. */
export class DivertEndpoints implements ProcessSource {
  readonly #entries = new Map<string, Entry>();
  readonly #byEndpoint = new Map<bigint, Set<Entry>>();
  /** Those that have ended, in that order. */
  readonly #ended = new Set<Entry>();
  readonly #second: ProcessSource | undefined;
  readonly #ownProcessId: number;
  readonly #countMax: number;
  #now = micros(0);
  #pump: EventPump | undefined = undefined;
  /** Answers by events, and questions that went on to the second source. */
  readonly counts = { found: 0, passedOn: 0, forgotten: 0 };

  constructor(second: ProcessSource | undefined, ownProcessId: number, countMax: number = DIVERT_ENDPOINT_COUNT_MAX) {
    this.#second = second;
    this.#ownProcessId = ownProcessId;
    this.#countMax = countMax;
  }

  /** Names what reads new events; asked before a question is passed on, as the event of a flow may come just after its packet. */
  readFrom(pump: EventPump): void {
    this.#pump = pump;
  }

  /** Sockets and flows that are known, ended ones included. */
  get size(): number {
    return this.#entries.size;
  }

  /** Takes in an event. */
  note(event: EndpointEvent, now: Micros): void {
    this.expire(now);
    switch (event.event) {
      case DivertEvent.SocketBind:
      case DivertEvent.SocketListen:
        return this.#add(boundKey(event.protocol, formatIp(event.localIp), event.localPort), event);
      case DivertEvent.SocketConnect:
      case DivertEvent.SocketAccept:
      case DivertEvent.FlowEstablished:
        return this.#add(keyOfEvent(event), event);
      case DivertEvent.FlowDeleted: {
        const entry = this.#entries.get(keyOfEvent(event));
        if (entry !== undefined && entry.endpointId === event.endpointId) this.#end(entry, now);
        return;
      }
      case DivertEvent.SocketClose: {
        for (const entry of this.#byEndpoint.get(event.endpointId) ?? []) this.#end(entry, now);
      }
    }
  }

  /** Forgets what has ended long enough ago. */
  expire(now: Micros): void {
    this.#now = now;
    for (const entry of this.#ended) {
      if (entry.endedAt + DIVERT_ENDPOINT_ENDED_US > now) return;
      this.#ended.delete(entry);
      if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
    }
  }

  #add(key: string, { processId, endpointId }: EndpointEvent): void {
    if (processId === 0) return;
    const old = this.#entries.get(key);
    if (old !== undefined) this.#forget(old);
    const [oldest] = this.#entries.values();
    if (this.#entries.size >= this.#countMax && oldest !== undefined) {
      this.counts.forgotten++;
      this.#forget(oldest);
    }
    const entry: Entry = { key, processId, endpointId, endedAt: NOT_ENDED };
    this.#entries.set(key, entry);
    const siblings = this.#byEndpoint.get(endpointId);
    if (siblings === undefined) this.#byEndpoint.set(endpointId, new Set([entry]));
    else siblings.add(entry);
  }

  #end(entry: Entry, now: Micros): void {
    this.#unlink(entry);
    if (entry.endedAt !== NOT_ENDED) return;
    entry.endedAt = now;
    this.#ended.add(entry);
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#ended.delete(entry);
    this.#unlink(entry);
  }

  #unlink(entry: Entry): void {
    const siblings = this.#byEndpoint.get(entry.endpointId);
    if (siblings?.delete(entry) && siblings.size === 0) this.#byEndpoint.delete(entry.endpointId);
  }

  findOwner(socket: LocalSocket): number | undefined {
    const known = this.#find(socket);
    if (known !== undefined) return known;
    this.#pump?.(this.#now);
    const late = this.#find(socket);
    if (late !== undefined) return late;
    this.counts.passedOn++;
    return this.#second?.findOwner(socket);
  }

  #find(socket: LocalSocket): number | undefined {
    const { network, localIp, localPort } = socket;
    const protocol = PROTOCOL_NUMBER[network];
    const local = formatIp(localIp);
    const entry = this.#entries.get(tupleKey(protocol, local, localPort, socket.remoteIp, socket.remotePort)) ??
      this.#entries.get(boundKey(protocol, local, localPort)) ?? this.#findWildcard(protocol, localIp, localPort);
    if (entry === undefined || (entry.endedAt !== NOT_ENDED && entry.endedAt + DIVERT_ENDPOINT_ENDED_US <= this.#now)) {
      return undefined;
    }
    this.counts.found++;
    return entry.processId;
  }

  /** A socket bound to no address; one of IPv6 may carry IPv4 as well. */
  #findWildcard(protocol: number, { version }: IpAddress, port: number): Entry | undefined {
    const own = this.#entries.get(boundKey(protocol, WILDCARDS[version === 4 ? 0 : 1]!, port));
    return own ?? (version === 4 ? this.#entries.get(boundKey(protocol, WILDCARDS[1]!, port)) : undefined);
  }

  describe(processId: number): ProcessOwner | undefined {
    if (this.#second !== undefined) return this.#second.describe(processId);
    return { name: "", path: "", processId, user: "", uid: undefined, isSelf: processId === this.#ownProcessId };
  }
}

function boundKey(protocol: number, local: string, port: number): string {
  return `${protocol} ${local} ${port}`;
}

function tupleKey(protocol: number, local: string, localPort: number, remote: IpAddress, remotePort: number): string {
  return `${protocol} ${local} ${localPort} ${formatIp(remote)} ${remotePort}`;
}

function keyOfEvent({ protocol, localIp, localPort, remoteIp, remotePort }: EndpointEvent): string {
  return tupleKey(protocol, formatIp(localIp), localPort, remoteIp, remotePort);
}
