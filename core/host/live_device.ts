/** What `weir run` asks of a device, whoever makes it. */
import type { Adapter } from "../adapter/adapter.ts";
import type { IpAddress, IpPrefix } from "../base/ip_address.ts";
import type { OwnSources } from "./dial.ts";
import type { ProcessSource } from "./process_source.ts";

/** What a diverting device takes out of the system's traffic, and how much of it may wait. */
export interface DivertSettings {
  /** WinDivert's filter language: what is diverted. */
  readonly filter: string;
  /** Among several divertors the highest sees packets first. Units: −30,000 … 30,000. */
  readonly priority: number;
}

/** What a device shall be like. */
export interface DeviceSettings {
  readonly name: string;
  readonly addresses: readonly IpPrefix[];
  /** Units: bytes of an IP packet. */
  readonly mtu: number;
  /** What goes into the device. */
  readonly routes: readonly IpPrefix[];
  /** Our own sockets are bound to these; what they send never goes into the device. */
  readonly sources: readonly IpAddress[];
  /** Leave checksums and segmentation to the system where it can do them. */
  readonly offload: boolean;
  /** The named network namespace to put the device in; undefined is our own. */
  readonly namespace: string | undefined;
  /** What stays outside the device although `routes` has it. */
  readonly excludes?: readonly IpPrefix[];
  /** The name servers that the device announces; none leaves those of the system. */
  readonly nameServers?: readonly IpAddress[];
  /** True: nothing goes to port 53 but through the device. */
  readonly isDnsStrict?: boolean;
  /** Undefined for a device that is a network of its own. */
  readonly divert?: DivertSettings | undefined;
  /** On Windows, the IP helper to load instead of the system's; the Wine lab has one of its own. */
  readonly iphlpapi?: string | undefined;
}

/** An open device. `close` undoes everything that opening it did. */
export interface LiveDevice {
  readonly adapter: Adapter;
  /** Whom local flows belong to, where the device knows earlier or better than the system's tables. */
  readonly processes?: ProcessSource;
  /** Runs `work` where the device is: sockets that it opens stay there. `work` must not wait. Absent: the device is where this thread is. */
  inside?<T>(work: () => T): T;
  /** Tells when this machine's own way out becomes another: a cable, another wireless network. Absent where that is not watched. */
  watchSources?(first: OwnSources, onChange: (sources: OwnSources) => void): Disposable;
  close(): void;
}

/** Makes a device ready. Errors: an Error that says what is missing; nothing is left behind then. */
export type OpenDevice = (settings: DeviceSettings) => LiveDevice | Promise<LiveDevice>;
