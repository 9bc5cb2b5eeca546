/**
 * Through which interface each local address was seen, so that packets which weir makes arrive where the real ones do.
 *
 * WinDivert wants the right interface for inbound packets, and ignores it for outbound ones. Loopback packets exist as outbound ones only: what
 * goes to a program of this machine from an address of this machine has to be sent outbound as well.
 */
import { DIVERT_INTERFACE_COUNT_MAX } from "../../core/base/limits.ts";

/** `isOwn`: the address was a source, so that it is this machine's for certain; destinations may be those of groups and broadcasts. */
interface Interface {
  readonly ifIdx: number;
  readonly subIfIdx: number;
  readonly isOwn: boolean;
}

const V4_SOURCE = 12;
const V4_DESTINATION = 16;
const V6_SOURCE = 8;
const V6_DESTINATION = 24;

/** A bounded memory of local addresses. */
export class DivertInterfaces {
  readonly #v4 = new Map<number, Interface>();
  readonly #v6 = new Map<string, Interface>();
  /** The interfaces of packets seen last, by version: the best guess for an address never seen. */
  #last4: Interface | undefined = undefined;
  #last6: Interface | undefined = undefined;
  /** The address learned last, so that a run of packets of one address costs a comparison. Shape: four words, the interface, whether it is own. */
  readonly #recent = new Uint32Array(7);
  #recentVersion = 0;
  /** What `find` found. */
  ifIdx = 0;
  subIfIdx = 0;

  /** Notes the local address of a packet: `isSource`, or the packet's destination. */
  learn(view: DataView, at: number, isSource: boolean, ifIdx: number, subIfIdx: number, isLoopback: boolean): void {
    const isV6 = view.getUint8(at) >>> 4 === 6;
    const from = at + (isV6 ? (isSource ? V6_SOURCE : V6_DESTINATION) : isSource ? V4_SOURCE : V4_DESTINATION);
    const recent = this.#recent;
    const isOwn = isSource || isLoopback;
    let isRecent = this.#recentVersion === (isV6 ? 6 : 4) && recent[4] === ifIdx && recent[5] === subIfIdx &&
      (recent[6] === 1 || !isOwn);
    const wordCount = isV6 ? 4 : 1;
    for (let i = 0; i < wordCount; i++) {
      const word = view.getUint32(from + 4 * i);
      if (recent[i] !== word) isRecent = false;
      recent[i] = word;
    }
    if (isRecent) return;
    this.#recentVersion = isV6 ? 6 : 4;
    recent[4] = ifIdx;
    recent[5] = subIfIdx;
    const found = isV6
      ? remember(this.#v6, keyOf6(view, from), ifIdx, subIfIdx, isOwn)
      : remember(this.#v4, view.getUint32(from), ifIdx, subIfIdx, isOwn);
    recent[6] = found.isOwn ? 1 : 0;
    if (isLoopback) return;
    if (isV6) this.#last6 = found;
    else this.#last4 = found;
  }

  /** Finds the interface of a local address: of the packet's source or destination. False: no packet of its version was ever seen. */
  find(view: DataView, at: number, isSource: boolean): boolean {
    const isV6 = view.getUint8(at) >>> 4 === 6;
    const found =
      (isV6
        ? this.#v6.get(keyOf6(view, at + (isSource ? V6_SOURCE : V6_DESTINATION)))
        : this.#v4.get(view.getUint32(at + (isSource ? V4_SOURCE : V4_DESTINATION)))) ??
        (isV6 ? this.#last6 : this.#last4);
    if (found === undefined) return false;
    this.ifIdx = found.ifIdx;
    this.subIfIdx = found.subIfIdx;
    return true;
  }

  /** True when a packet stays inside this machine: its destination is a loopback address, or both its addresses are this machine's. */
  isLoopback(view: DataView, at: number): boolean {
    if (view.getUint8(at) >>> 4 === 6) {
      const to = at + V6_DESTINATION;
      const isOne = view.getUint32(to) === 0 && view.getUint32(to + 4) === 0 && view.getUint32(to + 8) === 0 &&
        view.getUint32(to + 12) === 1;
      return isOne || (isOwn(this.#v6, keyOf6(view, to)) && isOwn(this.#v6, keyOf6(view, at + V6_SOURCE)));
    }
    const to = view.getUint32(at + V4_DESTINATION);
    return to >>> 24 === 127 || (isOwn(this.#v4, to) && isOwn(this.#v4, view.getUint32(at + V4_SOURCE)));
  }
}

function remember<K>(map: Map<K, Interface>, key: K, ifIdx: number, subIfIdx: number, isOwn: boolean): Interface {
  const known = map.get(key);
  const found = { ifIdx, subIfIdx, isOwn: isOwn || known?.isOwn === true };
  if (known !== undefined && known.ifIdx === ifIdx && known.subIfIdx === subIfIdx && known.isOwn === found.isOwn) {
    return known;
  }
  map.delete(key);
  const [oldest] = map.keys();
  if (map.size >= DIVERT_INTERFACE_COUNT_MAX && oldest !== undefined) map.delete(oldest);
  map.set(key, found);
  return found;
}

function isOwn<K>(map: ReadonlyMap<K, Interface>, key: K): boolean {
  return map.get(key)?.isOwn === true;
}

function keyOf6(view: DataView, at: number): string {
  return `${view.getUint32(at)} ${view.getUint32(at + 4)} ${view.getUint32(at + 8)} ${view.getUint32(at + 12)}`;
}
