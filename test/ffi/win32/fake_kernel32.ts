/** A kernel32 of numbers: events, names and memory, as far as weir's adapters need them. */
import type { Kernel32Calls } from "../../../ffi/win32/kernel32.ts";

interface KernelObject {
  isSet: boolean;
  readonly isManual: boolean;
  /** The name, "" without one. */
  readonly name: string;
  handles: number;
}

/** The fake with what a test looks at. */
export class FakeKernel32 {
  code = 0;
  /** Handles that are open, by number. */
  readonly handles = new Map<number, KernelObject>();
  /** What went wrong: closing twice, using what is closed. */
  readonly mistakes: string[] = [];
  /** Memory outside, by address: where packets of drivers lie. */
  readonly foreign = new Map<number, Uint8Array>();
  readonly #waiters = new Set<() => void>();
  #next = 0x100;

  /** Makes the code that a call leaves behind. */
  fail(code: number): void {
    this.code = code;
  }

  /** Opens a handle to a new object. */
  open(isManual = false, name = ""): number {
    return this.#add({ isSet: false, isManual, name, handles: 0 });
  }

  #add(object: KernelObject): number {
    const handle = this.#next += 4;
    object.handles++;
    this.handles.set(handle, object);
    return handle;
  }

  set(handle: number): void {
    const object = this.handles.get(handle);
    if (object === undefined) this.mistakes.push(`SetEvent ${handle}`);
    else object.isSet = true;
    for (const wake of [...this.#waiters]) wake();
  }

  close(handle: number): void {
    const object = this.handles.get(handle);
    if (object === undefined) this.mistakes.push(`CloseHandle ${handle}`);
    else object.handles--;
    this.handles.delete(handle);
    // Somebody waits on it: its number may be another's.
    for (const wake of [...this.#waiters]) wake();
  }

  #wait(numbers: readonly number[], timeoutMs: number): Promise<number> {
    return new Promise((resolve) => {
      const look = (): void => {
        for (const [index, number] of numbers.entries()) {
          const object = this.handles.get(number);
          if (object === undefined) {
            this.mistakes.push(`a wait on the closed handle ${number}`);
            return finish(0xffff_ffff);
          }
          if (!object.isSet) continue;
          if (!object.isManual) object.isSet = false;
          return finish(index);
        }
      };
      const finish = (answer: number): void => {
        this.#waiters.delete(look);
        resolve(answer);
      };
      this.#waiters.add(look);
      look();
      if (timeoutMs !== 0xffff_ffff) finish(258);
    });
  }

  /** The calls; those that a test does not have are absent. */
  readonly calls = {
    GetLastError: () => this.code,
    CreateEventW: (_attributes: null, isManual: number) => BigInt(this.open(isManual !== 0)),
    SetEvent: (handle: bigint) => {
      this.set(Number(handle));
      return 1;
    },
    CloseHandle: (handle: bigint) => {
      this.close(Number(handle));
      return 1;
    },
    DuplicateHandle: (_from: bigint, source: bigint, _to: bigint, target: BigUint64Array) => {
      const object = this.handles.get(Number(source));
      if (object === undefined) {
        this.code = 6;
        return 0;
      }
      target[0] = BigInt(this.#add(object));
      return 1;
    },
    waitForMultipleObjectsAside: (count: number, handles: BigUint64Array, _all: number, timeoutMs: number) =>
      this.#wait([...handles.subarray(0, count)].map(Number), timeoutMs),
    CreateMutexW: (_attributes: null, _owner: number, name: Uint8Array) => {
      const text = new TextDecoder("utf-16le").decode(name).replaceAll("\0", "");
      const there = [...this.handles.values()].find((object) => object.name === text);
      this.code = there === undefined ? 0 : 183;
      return BigInt(there === undefined ? this.open(false, text) : this.#add(there));
    },
    RtlMoveMemory: (target: bigint, source: bigint, length: bigint) => {
      const at = (address: bigint) => this.foreign.get(Number(address));
      const from = at(source) ?? borrow(Number(source), Number(length));
      const to = at(target) ?? borrow(Number(target), Number(length));
      to.set(from.subarray(0, Number(length)));
    },
  } as unknown as Kernel32Calls;
}

/** The memory of this process at an address that a test got from a buffer of its own. */
function borrow(address: number, length: number): Uint8Array {
  const pointer = Deno.UnsafePointer.create(BigInt(address) as unknown as bigint)!;
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
}
