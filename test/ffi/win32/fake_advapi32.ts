/** Services and accounts of numbers. */
import { addressOf, wideString } from "../../../ffi/win32/memory.ts";
import type { Advapi32Calls } from "../../../ffi/win32/advapi32.ts";
import * as layout from "../../../ffi/win32/layout.ts";

const text = (name: Uint8Array) => new TextDecoder("utf-16le").decode(name).replaceAll("\0", "");

/** A SID: S-1-5-`numbers`. */
export function sid(...numbers: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + 4 * numbers.length);
  bytes.set([1, numbers.length, 0, 0, 0, 0, 0, 5]);
  numbers.forEach((number, index) => new DataView(bytes.buffer).setUint32(8 + 4 * index, number, true));
  return bytes;
}

/** The fake with what a test changes. */
export class FakeAdvapi32 {
  /** Services that run. */
  services: (readonly [name: string, process: number])[] = [["Dnscache", 100], ["W32Time", 200], ["NlaSvc", 100]];
  /** Services that are installed: state and start type. */
  installed = new Map<string, readonly [state: number, start: number]>();
  /** How many of them one call hands out. */
  serviceBatch = 2;
  serviceReads = 0;
  /** The code that opening a service fails with. */
  code = 0;
  openServiceHandles = 0;
  isElevated = 1;
  knowsNames = true;
  lookups = 0;
  openHandle: () => void = () => {};
  onFailure: (code: number) => void = () => {};

  #fail(code: number): number {
    this.onFailure(code);
    return 0;
  }

  #open(): bigint {
    this.openServiceHandles++;
    return 7n;
  }

  #enumerate(buffer: Uint8Array<ArrayBuffer>, returned: Uint32Array, resume: Uint32Array): number {
    if (resume[0] === 0) this.serviceReads++;
    const part = this.services.slice(resume[0], resume[0]! + this.serviceBatch);
    const view = new DataView(buffer.buffer, buffer.byteOffset);
    let textAt = part.length * layout.Size.ENUM_SERVICE_STATUS_PROCESSW;
    part.forEach(([name, process], index) => {
      const at = index * layout.Size.ENUM_SERVICE_STATUS_PROCESSW;
      const wide = wideString(name);
      buffer.set(wide, textAt);
      view.setBigUint64(at, BigInt(addressOf(buffer) + textAt), true);
      view.setUint32(at + layout.SERVICE_STATUS_OFFSET + layout.SERVICE_PROCESS_OFFSET, process, true);
      textAt += wide.length;
    });
    returned[0] = part.length;
    resume[0]! += part.length;
    if (resume[0]! < this.services.length) return this.#fail(234);
    resume[0] = 0;
    return 1;
  }

  readonly calls = {
    OpenSCManagerW: () => this.#open(),
    OpenServiceW: (_manager: bigint, name: Uint8Array) => {
      if (this.code !== 0) return BigInt(this.#fail(this.code));
      if (!this.installed.has(text(name))) return BigInt(this.#fail(1060));
      this.#asked = text(name);
      return this.#open();
    },
    QueryServiceStatusEx: (_service: bigint, _level: number, status: Uint32Array) => {
      status[layout.SERVICE_STATE_OFFSET / 4] = this.installed.get(this.#asked)![0];
      return 1;
    },
    QueryServiceConfigW: (_service: bigint, config: Uint32Array) => {
      config[layout.SERVICE_START_TYPE_OFFSET / 4] = this.installed.get(this.#asked)![1];
      return 1;
    },
    EnumServicesStatusExW: (
      _manager: bigint,
      _level: number,
      _type: number,
      _state: number,
      buffer: Uint8Array<ArrayBuffer>,
      _size: number,
      _needed: Uint32Array,
      returned: Uint32Array,
      resume: Uint32Array,
    ) => this.#enumerate(buffer, returned, resume),
    CloseServiceHandle: () => {
      this.openServiceHandles--;
      return 1;
    },
    OpenProcessToken: (_process: bigint, _access: number, token: BigUint64Array) => {
      this.openHandle();
      token[0] = 0x40n;
      return 1;
    },
    GetTokenInformation: (_token: bigint, kind: number, into: Uint8Array<ArrayBuffer> | Uint32Array) => {
      if (kind === layout.TOKEN_ELEVATION_CLASS) {
        into[0] = this.isElevated;
        return 1;
      }
      const bytes = into as Uint8Array<ArrayBuffer>;
      new DataView(bytes.buffer).setBigUint64(0, BigInt(addressOf(bytes) + 16), true);
      bytes.set(sid(21, 1000), 16);
      return 1;
    },
    lookupAccountSidAside: (
      _system: null,
      which: Uint8Array,
      name: Uint16Array,
      _n: Uint32Array,
      domain: Uint16Array,
    ) => {
      this.lookups++;
      const last = new DataView(which.buffer).getUint32(which.length - 4, true);
      const put = (into: Uint16Array, from: string) => [...from].forEach((letter, i) => into[i] = letter.charCodeAt(0));
      put(name, `user${last}`);
      put(domain, "HOME");
      return Promise.resolve(this.knowsNames ? 1 : 0);
    },
  } as unknown as Advapi32Calls;

  #asked = "";
}
