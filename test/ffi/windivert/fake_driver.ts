/**
 * WinDivert's driver as its documentation describes it, in memory: batches, operations that go on, their order, queues, shutdown. It works on the
 * very memory that the calls name, and notes every misuse in `misuses`.
 */
import { compileFilter, type Filter } from "../../../core/filter/mod.ts";
import { LAYER_NAMES } from "../../../core/filter/layer.ts";
import {
  filterAddressOf,
  type PacketAddress,
  readPacketAddress,
  writePacketAddress,
} from "../../../ffi/windivert/address.ts";
import { AddressBit, Layer, OpenFlag, Size, STATUS_PENDING } from "../../../ffi/windivert/layout.ts";
import type { DivertCalls, WinDivertCalls } from "../../../ffi/windivert/library.ts";
import { type Kernel32Calls, WAIT_TIMEOUT } from "../../../ffi/win32/kernel32.ts";
import { usize } from "../../../ffi/win32/memory.ts";
import { WinCode } from "../../../ffi/win32/win_error.ts";

/** A packet in a queue, or one that was sent. */
export interface FakePacket {
  readonly bytes: Uint8Array;
  readonly address: Uint8Array;
}

interface Operation {
  readonly place: number;
  readonly packets: number;
  readonly packetBytes: number;
  readonly addresses: number;
  readonly addressLengthPlace: number;
  readonly addressBytes: number;
  /** Of a send: what the buffers held when it began. */
  readonly snapshot?: Uint8Array;
}

/** An open handle as the driver sees it. */
export interface FakeHandle {
  readonly value: number;
  readonly filterText: string;
  readonly filter: Filter;
  readonly layer: number;
  readonly flags: number;
  readonly priority: number;
  readonly params: Map<number, number>;
  readonly queue: FakePacket[];
  readonly reads: Operation[];
  readonly sends: { operation: Operation; status: number; length: number }[];
  isReadShut: boolean;
  isSendShut: boolean;
}

/** The status that a driver ends an operation with, by the code that it becomes. Source: ntstatus.h, RtlNtStatusToDosError. */
const STATUS_OF: Readonly<Record<number, number>> = {
  [WinCode.InvalidParameter]: 0xc000_000d,
  [WinCode.InsufficientBuffer]: 0xc000_0023,
  [WinCode.NoData]: 0xc000_00d9,
  [WinCode.OperationAborted]: 0xc000_0120,
  [WinCode.HostUnreachable]: 0xc000_023d,
};
const BATCH_MAX = 255;
const MTU_MAX = 65_575;

function memory(place: number, length: number): Uint8Array {
  const pointer = Deno.UnsafePointer.create(BigInt(place));
  if (pointer === null) throw new Error("a place is 0");
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
}

function wordsAt(place: number, length: number): DataView {
  const bytes = memory(place, length);
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}

/** An address of a packet, as bytes. */
export function packetAddress(choices: Partial<PacketAddress> = {}): Uint8Array {
  const bytes = new Uint8Array(Size.WINDIVERT_ADDRESS);
  writePacketAddress(new DataView(bytes.buffer), 0, {
    timestamp: 7n,
    layer: Layer.Network,
    event: 0,
    bits: AddressBit.Outbound,
    ifIdx: 5,
    subIfIdx: 1,
    ...choices,
  });
  return bytes;
}

/** The driver, with kernel32 as far as it is needed. */
export class FakeDriver {
  readonly misuses: string[] = [];
  readonly handles = new Map<number, FakeHandle>();
  readonly events = new Map<number, boolean>();
  readonly sent: FakePacket[] = [];
  readonly sendBatches: number[] = [];
  readonly readBatches: number[] = [];
  /** WinDivertOpen fails with this code, in this layer if one is named; 0 answers FALSE in place of −1. */
  openFails: { code: number; layer?: number; asFalse?: boolean } | undefined = undefined;
  /** Operations end only when `complete` is called, or when somebody waits for them. */
  isDeferred = false;
  /** Sends are not completed at all: the driver is busy. */
  isStuck = false;
  /** Error code of single packets; the batch goes on. */
  softError: ((packet: Uint8Array) => number) | undefined = undefined;
  /** The next reads fail with this code. */
  readError = 0;
  /** The next read that is done is held back, so that later ones finish first, until `finishHeld`. */
  holdsNext = false;
  #held: (() => void) | undefined = undefined;
  lost = 0;
  /** How often somebody waited for events. */
  waitCount = 0;
  #lastError = 0;
  #nextValue = 0x100;
  readonly #real: Kernel32Calls | undefined;
  readonly #waiters = new Set<() => void>();
  #waitedOn = new Map<number, number>();

  /** With `real`, events, waits and error codes are Windows' own. */
  constructor(real?: Kernel32Calls) {
    this.#real = real;
  }

  get calls(): DivertCalls {
    const kernel32 = this.#real ?? this.#kernel32() as never;
    return { divert: this.#divert() as unknown as WinDivertCalls, kernel32 };
  }

  /** The open handle of a layer. */
  handleOf(layer: number = Layer.Network): FakeHandle {
    const found = [...this.handles.values()].find((handle) => handle.layer === layer);
    if (found === undefined) throw new Error(`no handle of layer ${layer} is open`);
    return found;
  }

  /** A packet or an event comes by. False when it is not diverted: it does not pass the filter, or nobody listens. */
  arrive(bytes: Uint8Array, address: Uint8Array, layer: number = Layer.Network): boolean {
    const handle = [...this.handles.values()].find((each) => each.layer === layer);
    if (handle === undefined || handle.isReadShut) return false;
    if (layer === Layer.Network) {
      const facts = readPacketAddress(new DataView(address.buffer, address.byteOffset), 0);
      if (bytes.length > MTU_MAX || !handle.filter.matches(bytes, filterAddressOf(facts))) return false;
    }
    if (handle.queue.length >= (handle.params.get(0) ?? 4096)) {
      handle.queue.shift();
      this.lost++;
    }
    handle.queue.push({ bytes: bytes.slice(), address: address.slice() });
    if (!this.isDeferred) this.complete();
    return true;
  }

  /** Carries on all that is under way, in order. */
  complete(): void {
    for (const handle of this.handles.values()) {
      while (handle.reads.length > 0 && (handle.queue.length > 0 || handle.isReadShut)) this.#read(handle);
      if (this.isStuck) continue;
      for (const { operation, status, length } of handle.sends.splice(0)) {
        const now = memory(operation.packets, operation.packetBytes);
        if (operation.snapshot!.some((byte, i) => byte !== now[i])) {
          this.misuses.push("a send buffer changed under way");
        }
        this.#finish(operation, status, length);
      }
    }
    for (const wake of [...this.#waiters]) wake();
  }

  /** Finishes the read that was held back. */
  finishHeld(): void {
    this.#held?.();
    this.#held = undefined;
  }

  #read(handle: FakeHandle): void {
    const operation = handle.reads.shift()!;
    if (handle.queue.length === 0) return this.#finish(operation, STATUS_OF[WinCode.NoData]!, 0);
    const packets = memory(operation.packets, operation.packetBytes);
    const addresses = memory(operation.addresses, operation.addressBytes);
    let used = 0;
    let count = 0;
    let status = 0;
    while (handle.queue.length > 0 && (count + 1) * Size.WINDIVERT_ADDRESS <= operation.addressBytes) {
      const { bytes, address } = handle.queue[0]!;
      if (used + bytes.length > operation.packetBytes) {
        if (count > 0) break;
        status = STATUS_OF[WinCode.InsufficientBuffer]!;
      }
      handle.queue.shift();
      const part = bytes.subarray(0, operation.packetBytes - used);
      packets.set(part, used);
      addresses.set(address, count * Size.WINDIVERT_ADDRESS);
      used += part.length;
      count++;
      if (status !== 0) break;
    }
    wordsAt(operation.addressLengthPlace, 4).setUint32(0, count * Size.WINDIVERT_ADDRESS, true);
    this.readBatches.push(count);
    const finish = () => this.#finish(operation, status, used);
    if (!this.holdsNext) return finish();
    this.holdsNext = false;
    this.#held = finish;
  }

  #finish(operation: Operation, status: number, length: number): void {
    const overlapped = wordsAt(operation.place, Size.OVERLAPPED);
    overlapped.setUint32(8, length, true);
    overlapped.setUint32(0, status, true);
    const event = overlapped.getUint32(24, true);
    if (this.#real !== undefined) {
      if (this.#real.SetEvent(usize(event)) === 0) this.misuses.push("the event of an operation was closed under way");
    } else if (!this.events.has(event)) this.misuses.push("the event of an operation was closed under way");
    else this.events.set(event, true);
  }

  #fail(code: number): number {
    this.#lastError = code;
    this.#real?.SetLastError(code);
    return 0;
  }

  #divert() {
    const find = (value: number | bigint) => this.handles.get(Number(value));
    return {
      WinDivertOpen: (filter: Uint8Array, layer: number, priority: number, flags: number | bigint) =>
        this.#open(new TextDecoder().decode(filter), layer, priority, Number(flags)),
      WinDivertSetParam: (value: number, param: number, given: number) => {
        const handle = find(value);
        const ranges = [[32, 16_384], [100, 16_000], [65_535, 33_554_432]] as const;
        const range = ranges[param];
        if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
        if (range === undefined || given < range[0] || given > range[1]) return this.#fail(WinCode.InvalidParameter);
        handle.params.set(param, Number(given));
        return 1;
      },
      WinDivertGetParam: (value: number, param: number, out: BigUint64Array) => {
        const handle = find(value);
        if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
        out[0] = BigInt(param === 3 ? 2 : param === 4 ? 2 : handle.params.get(param) ?? 0);
        return 1;
      },
      WinDivertShutdown: (value: number, how: number) => {
        const handle = find(value);
        if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
        if ((how & 1) !== 0) handle.isReadShut = true;
        if ((how & 2) !== 0) handle.isSendShut = true;
        if (!this.isDeferred) this.complete();
        return 1;
      },
      WinDivertClose: (value: number) => {
        const handle = find(value);
        if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
        if (handle.reads.length > 0) this.misuses.push("a handle was closed while somebody was reading");
        if (handle.sends.length > 0 && !this.isStuck) {
          this.misuses.push("a handle was closed while something was being sent");
        }
        this.handles.delete(handle.value);
        return 1;
      },
      WinDivertRecvEx: (...args: number[]) => this.#recvEx(args),
      WinDivertSendEx: (...args: number[]) => this.#sendEx(args),
    };
  }

  #open(text: string, layer: number, priority: number, flags: number): bigint {
    const failed = this.openFails;
    if (failed !== undefined && (failed.layer ?? layer) === layer) {
      this.#fail(failed.code);
      return failed.asFalse ? 0n : 0xffff_ffff_ffff_ffffn;
    }
    const filterText = text.slice(0, text.indexOf("\0"));
    const listens = OpenFlag.Sniff | OpenFlag.ReceiveOnly;
    if ((layer === Layer.Flow || layer === Layer.Reflect) && (flags & listens) !== listens) {
      return BigInt(this.#fail(WinCode.InvalidParameter)) - 1n & 0xffff_ffff_ffff_ffffn;
    }
    const value = this.#nextValue += 4;
    this.handles.set(value, {
      value,
      filterText,
      filter: compileFilter(filterText, LAYER_NAMES[layer]!),
      layer,
      flags,
      priority,
      params: new Map(),
      queue: [],
      reads: [],
      sends: [],
      isReadShut: false,
      isSendShut: false,
    });
    return BigInt(value);
  }

  #checkOperation(overlapped: number, addressBytes: number): boolean {
    if (overlapped === 0) this.misuses.push("an operation without OVERLAPPED would sleep");
    const event = wordsAt(overlapped, Size.OVERLAPPED).getUint32(24, true);
    if (this.#real === undefined && !this.events.has(event)) this.misuses.push("an operation's event is not open");
    for (const { reads, sends } of this.handles.values()) {
      if (
        reads.some(({ place }) => place === overlapped) || sends.some((each) => each.operation.place === overlapped)
      ) {
        this.misuses.push("an OVERLAPPED was used again under way");
      }
    }
    const size = Size.WINDIVERT_ADDRESS;
    return addressBytes >= size && addressBytes <= BATCH_MAX * size && addressBytes % size === 0;
  }

  #begin(place: number): void {
    const overlapped = wordsAt(place, Size.OVERLAPPED);
    overlapped.setUint32(0, STATUS_PENDING, true);
    const event = overlapped.getUint32(24, true);
    if (this.#real === undefined) this.events.set(event, false);
    else this.#real.ResetEvent(usize(event));
  }

  #recvEx(args: number[]): number {
    const [value, packets, packetBytes, , flags, addresses, addressLengthPlace, overlapped] = args as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const handle = this.handles.get(value);
    if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
    const addressBytes = wordsAt(addressLengthPlace, 4).getUint32(0, true);
    if (!this.#checkOperation(overlapped, addressBytes) || flags !== 0) return this.#fail(WinCode.InvalidParameter);
    if (this.readError !== 0) return this.#fail(this.readError);
    if (handle.isReadShut && handle.queue.length === 0) return this.#fail(WinCode.NoData);
    this.#begin(overlapped);
    handle.reads.push({ place: overlapped, packets, packetBytes, addresses, addressLengthPlace, addressBytes });
    if (!this.isDeferred) this.complete();
    return this.#fail(WinCode.IoPending);
  }

  #sendEx(args: number[]): number {
    const [value, packets, packetBytes, , flags, addresses, addressBytes, overlapped] = args as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const handle = this.handles.get(value);
    if (handle === undefined) return this.#fail(WinCode.InvalidHandle);
    if (handle.isSendShut) return this.#fail(WinCode.NoData);
    if (!this.#checkOperation(overlapped, addressBytes) || flags !== 0 || packetBytes === 0) {
      return this.#fail(WinCode.InvalidParameter);
    }
    this.#begin(overlapped);
    const snapshot = memory(packets, packetBytes).slice();
    const status = this.#inject(snapshot, memory(addresses, addressBytes).slice());
    const operation = {
      place: overlapped,
      packets,
      packetBytes,
      addresses,
      addressLengthPlace: 0,
      addressBytes,
      snapshot,
    };
    handle.sends.push({ operation, status, length: status === 0 ? packetBytes : 0 });
    if (!this.isDeferred) this.complete();
    return this.#fail(WinCode.IoPending);
  }

  /** Takes each length from the IP header; goes on over errors of single packets, whose last one is the answer. */
  #inject(packets: Uint8Array, addresses: Uint8Array): number {
    const view = new DataView(packets.buffer);
    const count = addresses.length / Size.WINDIVERT_ADDRESS;
    let status = 0;
    let at = 0;
    this.sendBatches.push(count);
    for (let i = 0; i < count; i++) {
      const left = packets.length - at;
      const version = left < 20 ? 0 : packets[at]! >>> 4;
      const length = version === 4 ? view.getUint16(at + 2) : version === 6 ? 40 + view.getUint16(at + 4) : 0;
      if (length < 20 || length > left) return STATUS_OF[WinCode.InvalidParameter]!;
      const bytes = packets.slice(at, at + length);
      const address = addresses.slice(i * Size.WINDIVERT_ADDRESS, (i + 1) * Size.WINDIVERT_ADDRESS);
      const isV6 = (address[10]! & AddressBit.Ipv6) !== 0;
      if (isV6 !== (version === 6)) return STATUS_OF[WinCode.InvalidParameter]!;
      const soft = this.softError?.(bytes) ?? 0;
      if (soft !== 0) status = STATUS_OF[soft]!;
      else this.sent.push({ bytes, address });
      at += length;
    }
    return status;
  }

  #kernel32() {
    return {
      GetLastError: () => this.#lastError,
      CreateEventW: () => {
        const value = this.#nextValue += 4;
        this.events.set(value, false);
        return BigInt(value);
      },
      SetEvent: (value: number) => this.#signal(value),
      ResetEvent: (value: number) => {
        if (!this.events.has(Number(value))) this.misuses.push("an event was reset that is not open");
        this.events.set(Number(value), false);
        return 1;
      },
      CloseHandle: (value: number) => {
        if ((this.#waitedOn.get(Number(value)) ?? 0) > 0) {
          this.misuses.push("an event was closed while somebody waits on it");
        }
        if (!this.events.delete(Number(value))) this.misuses.push("a handle was closed that is not open");
        return 1;
      },
      WaitForSingleObject: (value: number) => {
        this.complete();
        return this.events.get(Number(value)) ? 0 : WAIT_TIMEOUT;
      },
      waitForMultipleObjectsAside: (count: number, values: BigUint64Array) =>
        this.#wait([...values].slice(0, count).map(Number)),
      GetOverlappedResult: (_handle: number, place: number, transferred: Uint32Array) => {
        const overlapped = wordsAt(place, Size.OVERLAPPED);
        const status = overlapped.getUint32(0, true);
        if (status === STATUS_PENDING) return this.#fail(WinCode.IoIncomplete);
        transferred[0] = overlapped.getUint32(8, true);
        if (status === 0) return 1;
        return this.#fail(Number(Object.keys(STATUS_OF).find((code) => STATUS_OF[Number(code)] === status)));
      },
      CancelIoEx: (value: number) => {
        const handle = this.handles.get(Number(value));
        for (const operation of handle?.reads.splice(0) ?? []) {
          this.#finish(operation, STATUS_OF[WinCode.OperationAborted]!, 0);
        }
        return 1;
      },
    };
  }

  #signal(value: number): number {
    if (!this.events.has(Number(value))) this.misuses.push("an event was set that is not open");
    this.events.set(Number(value), true);
    for (const wake of [...this.#waiters]) wake();
    return 1;
  }

  #wait(values: number[]): Promise<number> {
    this.waitCount++;
    for (const value of values) this.#waitedOn.set(value, (this.#waitedOn.get(value) ?? 0) + 1);
    return new Promise((resolve) => {
      const look = () => {
        const index = values.findIndex((value) => this.events.get(value) === true);
        if (index < 0) return;
        this.#waiters.delete(look);
        for (const value of values) this.#waitedOn.set(value, this.#waitedOn.get(value)! - 1);
        resolve(index);
      };
      this.#waiters.add(look);
      look();
    });
  }
}
