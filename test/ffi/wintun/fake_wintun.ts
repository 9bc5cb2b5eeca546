/** A wintun.dll of numbers, with a ring that a test fills; misuse is written down. */
import type { WintunCalls } from "../../../ffi/wintun/wintun.ts";
import type { FakeKernel32 } from "../win32/fake_kernel32.ts";

/** The fake with what a test looks at. */
export class FakeWintun {
  readonly kernel: FakeKernel32;
  /** Packets that wait to be received. */
  readonly ring: Uint8Array[] = [];
  /** Packets that were sent. */
  readonly sent: Uint8Array[] = [];
  /** Packets that are out and not released, by their place. */
  readonly out = new Map<number, Uint8Array>();
  readonly adapters = new Map<number, string>();
  readonly sessions = new Set<number>();
  /** The code that receiving or allocating fails with next; 0 for none. */
  receiveCode = 0;
  allocateCode = 0;
  /** The code that making an adapter or a session fails with; 0 for none. */
  createCode = 0;
  sessionCode = 0;
  readEvent = 0;
  guid: Uint8Array | undefined = undefined;
  capacity = 0;
  readonly mistakes: string[] = [];
  #next = 0x7000_0000;

  constructor(kernel: FakeKernel32) {
    this.kernel = kernel;
  }

  /** The driver puts packets into the ring. */
  arrive(...packets: Uint8Array[]): void {
    this.ring.push(...packets);
    if (this.readEvent !== 0) this.kernel.set(this.readEvent);
  }

  #use(session: bigint, deed: string): void {
    if (!this.sessions.has(Number(session))) this.mistakes.push(`${deed} without a session`);
  }

  #place(bytes: Uint8Array): number {
    const at = this.#next += 0x1_0000;
    this.kernel.foreign.set(at, bytes);
    this.out.set(at, bytes);
    return at;
  }

  #take(packet: bigint, deed: string): Uint8Array | undefined {
    const bytes = this.out.get(Number(packet));
    if (bytes === undefined) this.mistakes.push(`${deed} of a packet that is not out`);
    this.out.delete(Number(packet));
    this.kernel.foreign.delete(Number(packet));
    return bytes;
  }

  #name(name: Uint8Array): string {
    return new TextDecoder("utf-16le").decode(name).replaceAll("\0", "");
  }

  readonly calls: WintunCalls = {
    WintunCreateAdapter: (name: Uint8Array, _type: Uint8Array, guid: Uint8Array) => {
      this.kernel.code = this.createCode;
      if (this.createCode !== 0) return 0n;
      const handle = this.#next += 16;
      this.adapters.set(handle, this.#name(name));
      this.guid = guid.slice();
      return BigInt(handle);
    },
    WintunOpenAdapter: (name: Uint8Array) => {
      const text = this.#name(name);
      if (![...this.adapters.values()].includes(text)) return 0n;
      const handle = this.#next += 16;
      this.adapters.set(handle, text);
      return BigInt(handle);
    },
    WintunCloseAdapter: (adapter: bigint) => {
      if (this.sessions.size > 0) this.mistakes.push("the adapter is closed before its session");
      if (!this.adapters.delete(Number(adapter))) this.mistakes.push("an adapter is closed twice");
    },
    WintunDeleteDriver: () => 1,
    WintunGetAdapterLUID: (_adapter: bigint, luid: BigUint64Array) => {
      luid[0] = 0x1234_5678_9abc_def0n;
    },
    WintunGetRunningDriverVersion: () => 0xe,
    WintunSetLogger: () => {},
    WintunStartSession: (_adapter: bigint, capacity: number) => {
      this.kernel.code = this.sessionCode;
      if (this.sessionCode !== 0) return 0n;
      const session = this.#next += 16;
      this.sessions.add(session);
      this.capacity = capacity;
      this.readEvent = this.kernel.open();
      return BigInt(session);
    },
    WintunEndSession: (session: bigint) => {
      this.#use(session, "end");
      this.sessions.delete(Number(session));
      this.kernel.close(this.readEvent);
      this.readEvent = 0;
    },
    WintunGetReadWaitEvent: () => BigInt(this.readEvent),
    WintunReceivePacket: (session: bigint, size: Uint32Array) => {
      this.#use(session, "receive");
      const packet = this.receiveCode === 0 ? this.ring.shift() : undefined;
      if (packet === undefined) {
        this.kernel.code = this.receiveCode === 0 ? 259 : this.receiveCode;
        return 0n;
      }
      size[0] = packet.length;
      return BigInt(this.#place(packet));
    },
    WintunReleaseReceivePacket: (session: bigint, packet: bigint) => {
      this.#use(session, "release");
      this.#take(packet, "release");
    },
    WintunAllocateSendPacket: (session: bigint, length: number) => {
      this.#use(session, "allocate");
      this.kernel.code = this.allocateCode;
      return this.allocateCode === 0 ? BigInt(this.#place(new Uint8Array(length))) : 0n;
    },
    WintunSendPacket: (session: bigint, packet: bigint) => {
      this.#use(session, "send");
      const bytes = this.#take(packet, "send");
      if (bytes !== undefined) this.sent.push(bytes);
    },
  } as unknown as WintunCalls;
}
