/** Puts packets that came in pieces together for a host's checker, apart from the stack whose own reassembly is under test. */
import { Arena, type Slot } from "../../core/adapter/arena.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { DESTINATION, Fragment, FRAGMENT_ID, PacketMeta, SOURCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { checksum } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";

/** The pieces of one packet so far. */
interface Pieces {
  /** The first piece's header, once it is there. */
  header: Uint8Array | undefined;
  readonly parts: Map<number, Uint8Array>;
  /** Units: bytes of payload; −1 until the last piece came. */
  total: number;
}

/** IPv4 packets in pieces, as they arrive at one host. A world is short: nothing is forgotten before it is whole. */
export class PieceWatch {
  readonly arena: Arena = new Arena(1);
  readonly meta: PacketMeta = new PacketMeta();
  readonly #slot: Slot = this.arena.acquire();
  readonly #waiting = new Map<string, Pieces>();

  /** Takes a piece; the slot of the whole packet in `arena`, with `meta` about it, once it is whole and sound, else undefined. */
  take(arena: Arena, slot: Slot, meta: PacketMeta): Slot | undefined {
    if (meta.fragment === Fragment.Whole || meta.version !== 4) return undefined;
    const { words, protocol, fragmentOffset, fragmentLength, fragmentAt } = meta;
    const key = `${words[SOURCE + 3]} ${words[DESTINATION + 3]} ${protocol} ${words[FRAGMENT_ID]}`;
    const pieces: Pieces = this.#waiting.get(key) ?? { header: undefined, parts: new Map(), total: -1 };
    this.#waiting.set(key, pieces);
    // Of a piece that comes twice the first counts, as in every stack: the other may be damaged.
    if (pieces.parts.has(fragmentOffset)) return undefined;
    pieces.parts.set(fragmentOffset, arena.bytes.slice(fragmentAt, fragmentAt + fragmentLength));
    if (fragmentOffset === 0) pieces.header = arena.bytes.slice(arena.at(slot), fragmentAt);
    if (!meta.moreFragments) pieces.total = fragmentOffset + fragmentLength;
    const whole = wholeOf(pieces);
    if (whole === undefined) return undefined;
    this.#waiting.delete(key);
    this.arena.bytes.set(whole, this.arena.at(this.#slot));
    this.arena.length[this.#slot] = whole.length;
    this.arena.wireLength[this.#slot] = whole.length;
    return parse(this.arena, this.#slot, Verify.All, this.meta) === DropReason.None ? this.#slot : undefined;
  }
}

/** The packet, if all its pieces are there. */
function wholeOf({ header, parts, total }: Pieces): Uint8Array | undefined {
  if (header === undefined || total < 0) return undefined;
  const whole = new Uint8Array(header.length + total);
  whole.set(header);
  for (let offset = 0; offset < total;) {
    const part = parts.get(offset);
    if (part === undefined || part.length === 0 || offset + part.length > total) return undefined;
    whole.set(part, header.length + offset);
    offset += part.length;
  }
  const view = new DataView(whole.buffer);
  view.setUint16(2, whole.length);
  view.setUint16(6, 0);
  view.setUint16(10, 0);
  view.setUint16(10, checksum(view, 0, ipv4.headerLength(view, 0)));
  return whole;
}
