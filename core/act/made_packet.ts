/** Which way a packet goes that was made here: towards the local program, or out. */
import { type Arena, Direction, type Slot } from "../adapter/arena.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

const LOOPBACK_NET = 127;

/** True for an address of this machine's loopback. Shape: four words, IPv4 as ::ffff:a.b.c.d. */
export function isLoopback(w0: number, w1: number, w2: number, w3: number): boolean {
  if (w0 !== 0 || w1 !== 0) return false;
  return w2 === 0xffff ? w3 >>> 24 === LOOPBACK_NET : w2 === 0 && w3 === 1;
}

/**
 * Says of a made packet that answers a local program which way it goes: inwards, but outwards between loopback addresses, which a diverting
 * device only knows as outbound. Source: WinDivert 2.2 documentation, section 2.3 (WINDIVERT_ADDRESS, Loopback).
 */
export function directAnswer(arena: Arena, slot: Slot): void {
  const { view } = arena;
  const at = arena.at(slot);
  let isLocal = false;
  if (view.getUint8(at) >>> 4 === 4) {
    isLocal = ipv4.source(view, at) >>> 24 === LOOPBACK_NET && ipv4.destination(view, at) >>> 24 === LOOPBACK_NET;
  } else {
    const s = ipv6.sourceWord;
    const d = ipv6.destinationWord;
    isLocal = isLoopback(s(view, at, 0), s(view, at, 1), s(view, at, 2), s(view, at, 3)) &&
      isLoopback(d(view, at, 0), d(view, at, 1), d(view, at, 2), d(view, at, 3));
  }
  arena.direction[slot] = isLocal ? Direction.Outbound : Direction.Inbound;
}
