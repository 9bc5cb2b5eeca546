/** A diverting device for tests: packets are borrowed with a direction and a tag, and how each of them ended is kept. */
import { type Arena, type Direction, NO_SLOT, NO_TAG, type Slot } from "../../core/adapter/arena.ts";
import type { Micros } from "../../core/base/micros.ts";
import { ListAdapter } from "./engine_world.ts";

/** A packet that left. */
export interface LeftPacket {
  readonly bytes: Uint8Array;
  readonly direction: Direction;
  /** The number of the packet that was reinjected; −1 for one that was made. */
  readonly tag: number;
  readonly isChanged: boolean;
}

/** Reinjects, takes made packets, and ends what is given back unsent. */
export class DivertAdapter extends ListAdapter {
  readonly left: LeftPacket[] = [];
  /** Tags of packets that were given back without being sent. */
  readonly dropped: number[] = [];
  /** Directions of packets to come, as many as there are packets; the last one stands for all that follow. */
  readonly directions: Direction[] = [2];
  #tags = 0;

  constructor() {
    super("divert");
  }

  override receive(arena: Arena, _now: Micros): number {
    arena.onRelease = (_slot, tag) => this.dropped.push(tag);
    let count = 0;
    for (; this.incoming.length > 0; count++) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) break;
      const packet = this.incoming.shift()!;
      arena.bytes.set(packet, arena.at(slot));
      arena.length[slot] = packet.length;
      arena.wireLength[slot] = packet.length;
      arena.direction[slot] = this.directions.length > 1 ? this.directions.shift()! : this.directions[0]!;
      arena.tag[slot] = this.#tags++;
      arena.arrive(slot);
    }
    return count;
  }

  override send(arena: Arena, slot: Slot, now: Micros): boolean {
    if (!super.send(arena, slot, now)) return false;
    this.left.push({
      bytes: this.sent.at(-1)!,
      direction: arena.direction[slot]! as Direction,
      tag: arena.tag[slot]!,
      isChanged: arena.changed[slot] === 1,
    });
    arena.tag[slot] = NO_TAG;
    return true;
  }
}
