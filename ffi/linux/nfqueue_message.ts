/**
 * Messages of the kernel's packet queue as bytes.
 *
 * Read first: linux/netfilter/nfnetlink_queue.h; layout.ts draws the structs. A message is `nlmsghdr`, `nfgenmsg`, attributes. What nfnetlink says
 * about packets is in network order, netlink's own headers are in the machine's.
 */
import { NFQUEUE_VERDICTS_PER_CALL } from "../../core/base/limits.ts";
import * as layout from "./layout.ts";

const { Size } = layout;
const HEADERS = Size.nlmsghdr + Size.nfgenmsg;
const VERDICT_BYTES = HEADERS + Size.rtattr + Size.nfqnl_msg_verdict_hdr;

/** A packet inside a message. One object serves for every message. */
export interface QueuedPacket {
  packetId: number;
  hook: number;
  inDevice: number;
  outDevice: number;
  /** The packet's mark, 0 without one. */
  mark: number;
  /** Where its bytes lie in the message's buffer, and how many there are. */
  payloadAt: number;
  payloadLength: number;
  /** Bytes that the packet had before it was cut; `payloadLength` when it is whole. */
  wireLength: number;
}

/** A packet of which nothing is known yet. */
export function createQueuedPacket(): QueuedPacket {
  return { packetId: 0, hook: 0, inDevice: 0, outDevice: 0, mark: 0, payloadAt: 0, payloadLength: 0, wireLength: 0 };
}

/** Reads the message at `at`. Shape: false when it is no packet, or makes no sense. */
export function readPacket(view: DataView, at: number, length: number, into: QueuedPacket): boolean {
  if (length < HEADERS) return false;
  const end = at + Math.min(length, view.getUint32(at, true));
  if (view.getUint16(at + 4, true) !== ((layout.NFNL_SUBSYS_QUEUE << 8) | layout.NFQNL_MSG_PACKET)) return false;
  into.inDevice = 0;
  into.outDevice = 0;
  into.mark = 0;
  into.payloadAt = 0;
  into.payloadLength = 0;
  into.wireLength = 0;
  let isPacket = false;
  for (let next = at + HEADERS; next + Size.rtattr <= end;) {
    const bytes = view.getUint16(next, true);
    const value = next + Size.rtattr;
    const valueBytes = bytes - Size.rtattr;
    if (valueBytes < 0 || next + bytes > end) return false;
    const type = view.getUint16(next + 2, true) & 0x3fff;
    if (type === layout.NFQA_PAYLOAD) {
      into.payloadAt = value;
      into.payloadLength = valueBytes;
    } else if (type === layout.NFQA_PACKET_HDR && valueBytes >= Size.nfqnl_msg_packet_hdr) {
      into.packetId = view.getUint32(value);
      into.hook = view.getUint8(value + 6);
      isPacket = true;
    } else if (valueBytes >= 4) readNumber(view, type, value, into);
    next += (bytes + 3) & ~3;
  }
  if (into.wireLength < into.payloadLength) into.wireLength = into.payloadLength;
  return isPacket;
}

function readNumber(view: DataView, type: number, at: number, into: QueuedPacket): void {
  if (type === layout.NFQA_IFINDEX_INDEV) into.inDevice = view.getUint32(at);
  else if (type === layout.NFQA_IFINDEX_OUTDEV) into.outDevice = view.getUint32(at);
  else if (type === layout.NFQA_MARK) into.mark = view.getUint32(at);
  else if (type === layout.NFQA_CAP_LEN) into.wireLength = view.getUint32(at);
}

function writeHeaders(view: DataView, at: number, bytes: number, type: number, flags: number, queue: number): void {
  view.setUint32(at, bytes, true);
  view.setUint16(at + 4, (layout.NFNL_SUBSYS_QUEUE << 8) | type, true);
  view.setUint16(at + 6, layout.NLM_F_REQUEST | flags, true);
  view.setUint32(at + 8, 0, true);
  view.setUint32(at + 12, 0, true);
  view.setUint8(at + Size.nlmsghdr, layout.AF_UNSPEC);
  view.setUint8(at + Size.nlmsghdr + 1, layout.NFNETLINK_V0);
  view.setUint16(at + Size.nlmsghdr + 2, queue);
}

function writeAttribute(view: DataView, at: number, type: number, bytes: number): number {
  view.setUint16(at, Size.rtattr + bytes, true);
  view.setUint16(at + 2, type, true);
  return at + Size.rtattr;
}

/** A request that sets one thing of a queue, to be acknowledged. `value` is the attribute's bytes. */
export function configMessage(queue: number, type: number, value: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = HEADERS + Size.rtattr + ((value.length + 3) & ~3);
  const message = new Uint8Array(bytes);
  const view = new DataView(message.buffer);
  writeHeaders(view, 0, bytes, layout.NFQNL_MSG_CONFIG, layout.NLM_F_ACK, queue);
  message.set(value, writeAttribute(view, HEADERS, type, value.length));
  return message;
}

/** Verdicts on packets whose bytes stay as they are, collected until they are sent together. */
export class VerdictBatch {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(NFQUEUE_VERDICTS_PER_CALL * VERDICT_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #queue: number;
  /** Shape: [verdicts, how many are ACCEPT, the newest packet id]. */
  readonly #state = new Uint32Array(3);

  constructor(queue: number) {
    this.#queue = queue;
    for (let i = 0; i < NFQUEUE_VERDICTS_PER_CALL; i++) {
      const at = i * VERDICT_BYTES;
      writeHeaders(this.#view, at, VERDICT_BYTES, layout.NFQNL_MSG_VERDICT, 0, queue);
      writeAttribute(this.#view, at + HEADERS, layout.NFQA_VERDICT_HDR, Size.nfqnl_msg_verdict_hdr);
    }
  }

  get count(): number {
    return this.#state[0]!;
  }

  get isFull(): boolean {
    return this.#state[0] === NFQUEUE_VERDICTS_PER_CALL;
  }

  /** Adds a verdict. Only when `isFull` is false. */
  add(packetId: number, verdict: number): void {
    const count = this.#state[0]!;
    const at = count * VERDICT_BYTES + HEADERS + Size.rtattr;
    this.#view.setUint32(at, verdict);
    this.#view.setUint32(at + 4, packetId);
    this.#state[0] = count + 1;
    if (verdict === layout.NF_ACCEPT) this.#state[1]!++;
    if (count === 0 || ((packetId - this.#state[2]!) | 0) > 0) this.#state[2] = packetId;
  }

  /**
   * Makes the message, and starts anew. Units: bytes of `bytes` to send. `holdsAll` says that no other packet waits for a verdict: then one
   * message serves a run of ACCEPT, which the kernel applies to all packets up to the newest.
   */
  take(holdsAll: boolean): number {
    const [count, accepted, newest] = this.#state as unknown as readonly [number, number, number];
    this.#state.fill(0);
    if (!holdsAll || accepted !== count || count < 2) {
      this.#view.setUint16(4, (layout.NFNL_SUBSYS_QUEUE << 8) | layout.NFQNL_MSG_VERDICT, true);
      return count * VERDICT_BYTES;
    }
    this.#view.setUint16(4, (layout.NFNL_SUBSYS_QUEUE << 8) | layout.NFQNL_MSG_VERDICT_BATCH, true);
    this.#view.setUint32(HEADERS + Size.rtattr + 4, newest);
    return VERDICT_BYTES;
  }

  /** One verdict for everything that the queue holds, `newest` being a packet id that was seen. Shape: the message. */
  acceptAll(newest: number): Uint8Array<ArrayBuffer> {
    const message = this.bytes.slice(0, VERDICT_BYTES);
    const view = new DataView(message.buffer);
    view.setUint16(4, (layout.NFNL_SUBSYS_QUEUE << 8) | layout.NFQNL_MSG_VERDICT_BATCH, true);
    view.setUint16(Size.nlmsghdr + 2, this.#queue);
    view.setUint32(HEADERS + Size.rtattr, layout.NF_ACCEPT);
    // Ids are compared round the circle: whatever is less than half of it ahead counts as older.
    view.setUint32(HEADERS + Size.rtattr + 4, (newest + 0x3fff_ffff) >>> 0);
    return message;
  }
}

/** Room before the bytes of a packet in a verdict that changes it. Units: bytes. */
export const CHANGED_VERDICT_HEADERS: number = VERDICT_BYTES + Size.rtattr;

/** Writes the headers of a verdict that accepts a packet with other bytes, which stand behind them. Units: bytes of the message. */
export function writeChangedVerdict(view: DataView, queue: number, packetId: number, length: number): number {
  const bytes = CHANGED_VERDICT_HEADERS + ((length + 3) & ~3);
  writeHeaders(view, 0, bytes, layout.NFQNL_MSG_VERDICT, 0, queue);
  const verdictAt = writeAttribute(view, HEADERS, layout.NFQA_VERDICT_HDR, Size.nfqnl_msg_verdict_hdr);
  view.setUint32(verdictAt, layout.NF_ACCEPT);
  view.setUint32(verdictAt + 4, packetId);
  writeAttribute(view, VERDICT_BYTES, layout.NFQA_PAYLOAD, length);
  return bytes;
}
