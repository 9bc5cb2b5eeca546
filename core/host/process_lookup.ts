/** Whom a flow belongs to: a source of owners behind a memory that no flow reads another flow's answer from. */
import type { ProcessOwner } from "../act/command.ts";
import { formatIp, type IpAddress } from "../base/ip_address.ts";
import { PROCESS_CACHE_COUNT_MAX, PROCESS_MISS_FRESH_US, PROCESS_UDP_FRESH_US } from "../base/limits.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { LocalSocket, ProcessSource } from "./process_source.ts";

/** One answer. */
interface Entry {
  /** The flow that it was asked for: a flow's facts are one object from its first packet to its end. */
  readonly facts: FlowFacts;
  readonly owner: ProcessOwner | undefined;
  /** Units: µs. */
  readonly at: number;
}

/** Counts for reports and benchmarks. */
export interface ProcessLookupCounts {
  /** Questions that the source was asked. */
  asked: number;
  /** Answers from memory. */
  remembered: number;
  /** Flows that are not this machine's. */
  foreign: number;
}

/**
 * Looks owners up. A TCP flow reads only answers that were given to itself, so that a port which was used before brings no old owner;
 * UDP flows share an answer for a moment, as one of them may be entered anew between two datagrams.
 */
export class ProcessLookup {
  readonly counts: ProcessLookupCounts = { asked: 0, remembered: 0, foreign: 0 };
  readonly #source: ProcessSource;
  readonly #clock: () => number;
  readonly #isLocal: (ip: IpAddress) => boolean;
  readonly #ownId: number;
  readonly #entries = new Map<string, Entry>();

  /** `clock` in µs; `ownId` is the process whose flows are our own. */
  constructor(
    source: ProcessSource,
    clock: () => number,
    isLocal: (ip: IpAddress) => boolean = (ip) => source.isLocal?.(ip) ?? true,
    ownId: number = Deno.pid,
  ) {
    this.#source = source;
    this.#clock = clock;
    this.#isLocal = isLocal;
    this.#ownId = ownId;
  }

  /** The owner of a flow; undefined when none is known. Returns at once. */
  findProcessNow(facts: FlowFacts): ProcessOwner | undefined {
    const { sourceIp, destinationIp } = facts;
    if (sourceIp === undefined) return undefined;
    const key = `${facts.network} ${formatIp(sourceIp)} ${facts.sourcePort} ${facts.destinationPort} ${
      destinationIp === undefined ? "" : formatIp(destinationIp)
    }`;
    const now = this.#clock();
    const known = this.#entries.get(key);
    if (known !== undefined && isGood(known, facts, now)) {
      this.counts.remembered++;
      return known.owner;
    }
    const socket = this.#localSocket(facts, sourceIp, destinationIp);
    if (socket === undefined) this.counts.foreign++;
    const owner = socket === undefined ? undefined : this.#ask(socket);
    this.#remember(key, { facts, owner, at: now });
    return owner;
  }

  /** The same as a promise. */
  findProcess(facts: FlowFacts): Promise<ProcessOwner | undefined> {
    return Promise.resolve(this.findProcessNow(facts));
  }

  /** The flow as the side on this machine sees it; undefined when neither side is here. */
  #localSocket(facts: FlowFacts, source: IpAddress, destination: IpAddress | undefined): LocalSocket | undefined {
    const { network, sourcePort, destinationPort } = facts;
    const [localPort, remotePort] = [sourcePort, destinationPort];
    if (this.#isLocal(source)) {
      // Without an address of the far side (a name only) the local side must do.
      return { network, localIp: source, localPort, remoteIp: destination ?? source, remotePort };
    }
    if (destination === undefined || !this.#isLocal(destination)) return undefined;
    return {
      network,
      localIp: destination,
      localPort: destinationPort,
      remoteIp: source,
      remotePort: sourcePort,
      isAccepting: true,
    };
  }

  #ask(socket: LocalSocket): ProcessOwner | undefined {
    this.counts.asked++;
    const processId = this.#source.findOwner(socket);
    // 0 is nobody: what is left of a closed connection.
    if (processId === undefined || processId === 0) return undefined;
    const owner = this.#source.describe(processId);
    if (owner === undefined || processId !== this.#ownId) return owner;
    return { ...owner, isSelf: true };
  }

  #remember(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size <= PROCESS_CACHE_COUNT_MAX) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}

/** True while an answer may serve a flow: what was not found is asked again soon. */
function isGood({ facts, owner, at }: Entry, asking: FlowFacts, now: number): boolean {
  const isSame = facts === asking;
  if (owner === undefined) return isSame && now - at < PROCESS_MISS_FRESH_US;
  return isSame || (asking.network === "udp" && now - at < PROCESS_UDP_FRESH_US);
}
