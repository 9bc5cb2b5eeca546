/** Where rewritten connections go. */
import type { IpAddress } from "../base/ip_address.ts";

/** A listener on an address of a TUN device. `peer` is another address of the device's network, behind which all applications appear. */
export interface TunListener {
  readonly address: IpAddress;
  readonly peer: IpAddress;
  readonly port: number;
}

/** A listener on all addresses of this machine, for packets that are reflected to where they come from. */
export interface ReflectListener {
  readonly port: number;
}

/** Our listeners, by IP version; flows of a version without one end in our own stack. */
export type TranslateListeners =
  | { readonly way: "tun"; readonly v4?: TunListener | undefined; readonly v6?: TunListener | undefined }
  | { readonly way: "reflect"; readonly v4?: ReflectListener | undefined; readonly v6?: ReflectListener | undefined };

/** What a translator is made from. */
export interface TranslateOptions {
  readonly listeners: TranslateListeners;
  /** Makes hashes and ports unpredictable. Units: 32 bits. */
  readonly secret: number;
}
