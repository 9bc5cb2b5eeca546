/** What `weir run` asks of a device, whoever makes it. */
import type { Adapter } from "../adapter/adapter.ts";
import type { IpAddress, IpPrefix } from "../base/ip_address.ts";

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
}

/** An open device. `close` undoes everything that opening it did. */
export interface LiveDevice {
  readonly adapter: Adapter;
  close(): void;
}

/** Makes a device ready. Errors: an Error that says what is missing; nothing is left behind then. */
export type OpenDevice = (settings: DeviceSettings) => LiveDevice;
