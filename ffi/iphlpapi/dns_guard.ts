/**
 * Strict DNS: nothing of this machine goes to port 53 but through the device.
 *
 * Read first: fwpuclnt.ts. A dynamic session of the Windows Filtering Platform: its filters go with the session, and the session goes with the
 * process, so that nothing has to be undone after a crash.
 *
 * ```
 * weight  at ALE_AUTH_CONNECT of both versions, port 53, TCP and UDP      action
 *   14    the program is weir: it asks the name servers of configurations  permit
 *   13    the device's interface                                           permit
 *   12    loopback: resolvers of the machine's own                          permit
 *   10    anything else                                                    block
 * ```
 *
 * It sees sockets that are opened from now on, not those that are connected already; DNS over TLS, HTTPS and QUIC has other ports, and is rules' business.
 */
import { parseGuid } from "../win32/guid.ts";
import { wideString } from "../win32/memory.ts";
import { WinError } from "../win32/win_error.ts";
import * as fwp from "./fwpuclnt.ts";
import type { Luid } from "./rows.ts";

/** The sublayer of weir's filters. */
const SUBLAYER = parseGuid("7b1f3d52-6c0a-4e8e-9a57-8d2f5b6c9e10")!;
const SUBLAYER_WEIGHT_MAX = 0xffff;
const DNS_PORT = 53n;

/** What codes mean here. Source: fwpmu.h, winerror.h. */
const REMEDIES = {
  5: "access is denied; run as administrator",
  1764: "this Windows has no filtering platform; leave strict DNS off",
  1753: 'the Base Filtering Engine does not run; start the service "BFE", or leave strict DNS off',
};

function condition(field: Uint8Array<ArrayBuffer>, type: number, value: bigint, match = fwp.FWP_MATCH_EQUAL) {
  return { field, match, type, value };
}

/** The filters for one layer. `appId` is the address of the blob that stands for weir. */
export function dnsFilters(layer: Uint8Array<ArrayBuffer>, luid: Luid, appId: bigint): fwp.FilterFields[] {
  const port = condition(fwp.FwpKey.RemotePort, fwp.FWP_UINT16, DNS_PORT);
  const filter = (name: string, weight: number, action: number, also: readonly fwp.Condition[]): fwp.FilterFields => ({
    name,
    layer,
    subLayer: SUBLAYER,
    weight,
    action,
    // Even a filter of another program shall not let through what is blocked here, nor block weir.
    flags: fwp.FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT,
    conditions: [port, ...also],
  });
  const loopback = BigInt(fwp.FWP_CONDITION_FLAG_IS_LOOPBACK);
  return [
    filter("weir: DNS of weir itself", 14, fwp.FWP_ACTION_PERMIT, [
      condition(fwp.FwpKey.AppId, fwp.FWP_BYTE_BLOB_TYPE, appId),
    ]),
    filter("weir: DNS through the device", 13, fwp.FWP_ACTION_PERMIT, [
      condition(fwp.FwpKey.LocalInterface, fwp.FWP_UINT64, luid),
    ]),
    filter("weir: DNS within the machine", 12, fwp.FWP_ACTION_PERMIT, [
      condition(fwp.FwpKey.Flags, fwp.FWP_UINT32, loopback, fwp.FWP_MATCH_FLAGS_ALL_SET),
    ]),
    filter("weir: DNS past the device", 10, fwp.FWP_ACTION_BLOCK, []),
  ];
}

/** The filters while they hold. */
export class DnsGuard {
  readonly #calls: fwp.FwpuclntCalls;
  readonly #onClosed: () => void;
  #engine: bigint;

  private constructor(calls: fwp.FwpuclntCalls, engine: bigint, onClosed: () => void) {
    this.#calls = calls;
    this.#engine = engine;
    this.#onClosed = onClosed;
  }

  /** Sets the filters up. `program` is the path of weir's executable; `onClosed` is called at the end, or at failure. Errors: `WinError`; no filter is left then. */
  static raise(calls: fwp.FwpuclntCalls, luid: Luid, program: string, onClosed: () => void = () => {}): DnsGuard {
    const session = fwp.packNamed(fwp.Size.FWPM_SESSION0, "weir");
    session.view.setUint32(fwp.SESSION_FLAGS_OFFSET, fwp.FWPM_SESSION_FLAG_DYNAMIC, true);
    const engine = new BigUint64Array(1);
    const code = calls.FwpmEngineOpen0(null, fwp.RPC_C_AUTHN_WINNT, null, session.bytes, engine);
    if (code !== 0) {
      onClosed();
      throw WinError.from("keep DNS inside the device", code, REMEDIES);
    }
    const guard = new DnsGuard(calls, engine[0]!, onClosed);
    try {
      guard.#fill(luid, program);
      return guard;
    } catch (error) {
      guard.close();
      throw error;
    }
  }

  #fill(luid: Luid, program: string): void {
    const subLayer = fwp.packNamed(fwp.Size.FWPM_SUBLAYER0, "weir");
    subLayer.bytes.set(SUBLAYER, 0);
    subLayer.view.setUint16(fwp.SUBLAYER_WEIGHT_OFFSET, SUBLAYER_WEIGHT_MAX, true);
    this.#check(this.#calls.FwpmSubLayerAdd0(this.#engine, subLayer.bytes, null), "make a sublayer of filters");
    const appId = new BigUint64Array(1);
    this.#check(this.#calls.FwpmGetAppIdFromFileName0(wideString(program), appId), `name ${program} to the filters`);
    try {
      for (const layer of [fwp.FwpKey.AleAuthConnectV4, fwp.FwpKey.AleAuthConnectV6]) {
        for (const fields of dnsFilters(layer, luid, appId[0]!)) this.#add(fields);
      }
    } finally {
      this.#calls.FwpmFreeMemory0(appId);
    }
  }

  #add(fields: fwp.FilterFields): void {
    const code = this.#calls.FwpmFilterAdd0(this.#engine, fwp.packFilter(fields), null, null);
    this.#check(code, `add the filter "${fields.name}"`);
  }

  #check(code: number, deed: string): void {
    if (code !== 0) throw WinError.from(deed, code, REMEDIES);
  }

  /** Takes all filters away; a second time does nothing. */
  close(): void {
    if (this.#engine === 0n) return;
    this.#calls.FwpmEngineClose0(this.#engine);
    this.#engine = 0n;
    this.#onClosed();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Raises the guard by the system's own library. Errors: `WinError`, or an Error when this Windows has no filtering platform. */
export function raiseDnsGuard(luid: Luid, program: string): DnsGuard {
  let library: Deno.DynamicLibrary<typeof fwp.FWPUCLNT_SYMBOLS>;
  try {
    library = Deno.dlopen("fwpuclnt.dll", fwp.FWPUCLNT_SYMBOLS);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Cannot keep DNS inside the device: this Windows has no filtering platform; leave strict DNS off (${words})`,
    );
  }
  return DnsGuard.raise(library.symbols, luid, program, () => library.close());
}
