/** A socket of the kernel's packet queue, bound to a queue of its own. Read first: linux/netfilter/nfnetlink_queue.h. */
import {
  NFQUEUE_BUFFER_BYTES,
  NFQUEUE_LENGTH,
  NFQUEUE_MESSAGE_BYTES,
  NFQUEUE_MESSAGES_PER_CALL,
  NFQUEUE_NUMBERS_TRIED,
} from "../../core/base/limits.ts";
import { Errno } from "./errno.ts";
import * as layout from "./layout.ts";
import { addressOf, Descriptor, type Libc, LinuxError, usize } from "./libc.ts";
import { configMessage } from "./nfqueue_message.ts";

const WORD = 0x1_0000_0000;
/** The first queue that is tried: others begin at 0. */
const FIRST_QUEUE = 7170;
const COPY_EVERYTHING = [0, 0, 0, 0, layout.NFQNL_COPY_PACKET] as const;

function bigEndian32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** The socket with its buffers. */
export class NfqueueSocket {
  readonly descriptor: Descriptor;
  readonly queue: number;
  /** Messages side by side, `NFQUEUE_MESSAGE_BYTES` apart. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(NFQUEUE_MESSAGES_PER_CALL * NFQUEUE_MESSAGE_BYTES);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly #libc: Libc;
  readonly #vectors = new Uint8Array(NFQUEUE_MESSAGES_PER_CALL * layout.Size.iovec);
  readonly #headers = new Uint8Array(NFQUEUE_MESSAGES_PER_CALL * layout.Size.mmsghdr);
  readonly #headerView = new DataView(this.#headers.buffer);

  /** Errors: `LinuxError`, or an Error when every queue is taken. */
  constructor(libc: Libc) {
    this.#libc = libc;
    const { AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, NETLINK_NETFILTER } = layout;
    const number = libc.calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    this.descriptor = new Descriptor(libc, libc.check(number, "open a netfilter socket"));
    try {
      this.queue = this.#bind();
      this.#configure();
    } catch (error) {
      this.descriptor.close();
      throw error;
    }
    this.#prepare();
  }

  #bind(): number {
    for (let queue = FIRST_QUEUE; queue < FIRST_QUEUE + NFQUEUE_NUMBERS_TRIED; queue++) {
      const errno = this.#ask(configMessage(queue, layout.NFQA_CFG_CMD, [layout.NFQNL_CFG_CMD_BIND, 0, 0, 0]));
      if (errno === 0) return queue;
      if (errno !== Errno.EBUSY && errno !== Errno.EPERM) throw new LinuxError("bind a packet queue", errno);
      // EPERM is also what the kernel says of a queue that another socket holds.
    }
    throw new Error(
      `Cannot bind a packet queue: ${FIRST_QUEUE} to ${
        FIRST_QUEUE + NFQUEUE_NUMBERS_TRIED - 1
      } are all taken, or this is not root`,
    );
  }

  #configure(): void {
    const must = (message: Uint8Array<ArrayBuffer>, deed: string) => {
      const errno = this.#ask(message);
      if (errno !== 0) throw new LinuxError(deed, errno);
    };
    must(configMessage(this.queue, layout.NFQA_CFG_PARAMS, COPY_EVERYTHING), "ask for whole packets");
    must(configMessage(this.queue, layout.NFQA_CFG_QUEUE_MAXLEN, bigEndian32(NFQUEUE_LENGTH)), "make the queue longer");
    const set = (level: number, option: number, value: number) =>
      this.#libc.calls.setsockopt(
        this.descriptor.number,
        level,
        option,
        new Uint8Array(new Int32Array([value]).buffer),
        4,
      );
    this.#libc.check(set(layout.SOL_SOCKET, layout.SO_RCVBUFFORCE, NFQUEUE_BUFFER_BYTES), "enlarge the queue's buffer");
    // A packet that finds no room is lost, and nothing more: the socket itself stays sound.
    this.#libc.check(set(layout.SOL_NETLINK, layout.NETLINK_NO_ENOBUFS, 1), "set up the queue's socket");
  }

  /** Sends a request and reads its acknowledgment. Shape: an error number, 0 for done. */
  #ask(message: Uint8Array<ArrayBuffer>): number {
    const { send, recv } = this.#libc.calls;
    const fd = this.descriptor.number;
    if (send(fd, message, usize(message.length), 0) < 0) return this.#libc.errno();
    for (;;) {
      const length = Number(recv(fd, this.bytes, usize(this.bytes.length), layout.MSG_DONTWAIT));
      if (length < 0) return this.#libc.errno();
      if (length >= layout.Size.nlmsghdr + 4 && this.view.getUint16(4, true) === layout.NLMSG_ERROR) {
        return -this.view.getInt32(layout.Size.nlmsghdr, true);
      }
    }
  }

  #prepare(): void {
    const vectors = new Uint32Array(this.#vectors.buffer);
    const [bytesAt, vectorsAt] = [addressOf(this.bytes), addressOf(this.#vectors)];
    for (let i = 0; i < NFQUEUE_MESSAGES_PER_CALL; i++) {
      const base = bytesAt + i * NFQUEUE_MESSAGE_BYTES;
      vectors[i * 4] = base % WORD;
      vectors[i * 4 + 1] = base / WORD;
      vectors[i * 4 + 2] = NFQUEUE_MESSAGE_BYTES;
      const at = i * layout.Size.mmsghdr;
      const vector = vectorsAt + i * layout.Size.iovec;
      this.#headerView.setUint32(at + layout.MMSGHDR_IOV_OFFSET, vector % WORD, true);
      this.#headerView.setUint32(at + layout.MMSGHDR_IOV_OFFSET + 4, vector / WORD, true);
      this.#headerView.setUint32(at + layout.MMSGHDR_IOVLEN_OFFSET, 1, true);
    }
  }

  /** Takes up to `count` messages. Units: messages; 0 or less when none are there. */
  receive(count: number): number {
    const wanted = count < NFQUEUE_MESSAGES_PER_CALL ? count : NFQUEUE_MESSAGES_PER_CALL;
    return this.#libc.calls.recvmmsg(this.descriptor.number, this.#headers, wanted, layout.MSG_DONTWAIT, null);
  }

  /** Bytes of a message that the last `receive` took. */
  lengthOf(index: number): number {
    return this.#headerView.getUint32(index * layout.Size.mmsghdr + layout.MMSGHDR_LEN_OFFSET, true);
  }

  /** Sends verdicts, the first `length` bytes. */
  send(bytes: Uint8Array<ArrayBuffer>, length: number): boolean {
    return this.#libc.calls.send(this.descriptor.number, bytes, usize(length), 0) >= 0;
  }
}
