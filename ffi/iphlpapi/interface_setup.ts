/**
 * Addresses, routes, metric, MTU and name servers of one interface, each journaled before it is set.
 *
 * Read first: netioapi.h, core/host/journal.ts. Undoing is idempotent: what is gone already counts as undone.
 */
import { formatIp, formatPrefix, type IpAddress, type IpPrefix, parsePrefix } from "../../core/base/ip_address.ts";
import { INTERFACE_WAIT_MS_MAX } from "../../core/base/limits.ts";
import { invariant } from "../../core/base/invariant.ts";
import type { Journal, JournalStep } from "../../core/host/journal.ts";
import { formatGuid, parseGuid } from "../win32/guid.ts";
import { addressOf, wideString } from "../win32/memory.ts";
import { WinCode, WinError } from "../win32/win_error.ts";
import { type IphlpapiCalls, need } from "./iphlpapi.ts";
import * as layout from "./layout.ts";
import {
  changeInterfaceRow,
  fillAddressRow,
  fillRouteRow,
  type InterfaceValues,
  keyInterfaceRow,
  type Luid,
  readInterfaceRow,
} from "./rows.ts";

/** How weir calls an interface: by the number that routes have, and by the GUID that settings have. */
export interface InterfaceIdentity {
  readonly name: string;
  readonly luid: Luid;
  /** In memory order. */
  readonly guid: Uint8Array<ArrayBuffer>;
}

/** Units: ms between two looks for a new interface. */
const WAIT_STEP_MS = 20;

/** Codes that mean "it is gone": the interface was removed, or the entry with it. */
function isGone(code: number): boolean {
  return code === WinCode.NotFound || code === WinCode.FileNotFound;
}

function check(code: number, deed: string): void {
  if (code !== WinCode.Success) throw WinError.from(deed, code, { 87: "Windows does not accept a value of it" });
}

/** Sleeps on this thread: setting up happens before any packet. */
export function sleepNow(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** One interface that weir sets up. */
export class InterfaceSetup {
  readonly #calls: IphlpapiCalls;
  readonly #journal: Journal;
  readonly #interface: InterfaceIdentity;
  readonly #sleep: (ms: number) => void;

  constructor(
    calls: IphlpapiCalls,
    journal: Journal,
    identity: InterfaceIdentity,
    sleep: (ms: number) => void = sleepNow,
  ) {
    this.#calls = calls;
    this.#journal = journal;
    this.#interface = identity;
    this.#sleep = sleep;
  }

  /** Adds an address; one that is there already is taken over. Errors: `WinError`. */
  addAddress(prefix: IpPrefix): void {
    const { luid, name } = this.#interface;
    const text = formatPrefix(prefix);
    const row = addressRow(this.#calls, luid, prefix);
    this.#journal.record({ kind: "address", luid: String(luid), address: text }, () => {
      const code = need(this.#calls, "CreateUnicastIpAddressEntry")(row);
      if (code !== WinCode.ObjectAlreadyExists) check(code, `give ${name} the address ${text}`);
    });
  }

  /** Adds routes into the interface. Errors: `WinError`. */
  addRoutes(prefixes: readonly IpPrefix[]): void {
    const { luid, name } = this.#interface;
    this.#journal.recordAll(prefixes.map((prefix) => {
      const destination = formatPrefix(prefix);
      const row = routeRow(this.#calls, luid, prefix);
      const deed = () => {
        const code = need(this.#calls, "CreateIpForwardEntry2")(row);
        if (code !== WinCode.ObjectAlreadyExists) check(code, `route ${destination} into ${name}`);
      };
      return { step: { kind: "route", luid: String(luid), destination }, deed };
    }));
  }

  /**
   * Makes an IP version of the interface what weir needs: metric 0 so that it is preferred, the MTU, addresses valid at once (no duplicate address
   * detection), and no router discovery, for no router is there. Waits until Windows knows the interface. Errors: `WinError`.
   */
  setInterface(version: 4 | 6, mtu: number): void {
    const { luid, name } = this.#interface;
    const row = this.#waitForInterface(version);
    const before = readInterfaceRow(row);
    const wanted: InterfaceValues = {
      metric: 0,
      isMetricAutomatic: false,
      mtu,
      dadTransmits: 0,
      routerDiscovery: layout.ROUTER_DISCOVERY_DISABLED,
      isManaged: false,
      isOtherStateful: false,
    };
    this.#journal.record({ kind: "interface", luid: String(luid), version, ...before }, () => {
      changeInterfaceRow(row, wanted);
      check(need(this.#calls, "SetIpInterfaceEntry")(row), `set MTU and metric of ${name} for IPv${version}`);
    });
  }

  #waitForInterface(version: 4 | 6): Uint8Array<ArrayBuffer> {
    const { luid, name } = this.#interface;
    for (let waitedMs = 0;; waitedMs += WAIT_STEP_MS) {
      const row = interfaceRow(this.#calls, luid, version);
      const code = need(this.#calls, "GetIpInterfaceEntry")(row);
      if (code === WinCode.Success) return row;
      if (!isGone(code) || waitedMs >= INTERFACE_WAIT_MS_MAX) {
        throw WinError.from(`set up IPv${version} on ${name}`, code, {
          1168:
            `Windows has no IPv${version} there; is it switched off on this machine? Then leave its addresses and routes out`,
        });
      }
      this.#sleep(WAIT_STEP_MS);
    }
  }

  /** Sets the name servers of one version; none leaves those of the system. Errors: `WinError`, or an Error when this Windows cannot. */
  setNameServers(version: 4 | 6, servers: readonly IpAddress[]): void {
    if (servers.length === 0) return;
    const { guid, name } = this.#interface;
    const text = servers.map(formatIp).join(",");
    const set = this.#calls.SetInterfaceDnsSettings;
    if (set === null) {
      throw new Error(
        `Cannot set the name servers of ${name}: this Windows lacks SetInterfaceDnsSettings (Windows 10 version 2004 or later has it); ` +
          `run "netsh interface ip${version === 6 ? "v6" : ""} set dnsservers" by hand, or leave name servers out`,
      );
    }
    this.#journal.record({ kind: "nameServers", guid: formatGuid(guid), version }, () => {
      check(setDns(set, guid, version, text), `set the name servers of ${name} to ${text}`);
    });
  }
}

function addressRow(calls: IphlpapiCalls, luid: Luid, prefix: IpPrefix): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(layout.Size.MIB_UNICASTIPADDRESS_ROW);
  need(calls, "InitializeUnicastIpAddressEntry")(row);
  fillAddressRow(row, luid, prefix);
  return row;
}

function routeRow(calls: IphlpapiCalls, luid: Luid, prefix: IpPrefix): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(layout.Size.MIB_IPFORWARD_ROW2);
  need(calls, "InitializeIpForwardEntry")(row);
  fillRouteRow(row, luid, prefix);
  return row;
}

function interfaceRow(calls: IphlpapiCalls, luid: Luid, version: 4 | 6): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(layout.Size.MIB_IPINTERFACE_ROW);
  need(calls, "InitializeIpInterfaceEntry")(row);
  keyInterfaceRow(row, luid, version);
  return row;
}

/** `servers` is a list with commas; empty takes the list away. */
function setDns(
  set: NonNullable<IphlpapiCalls["SetInterfaceDnsSettings"]>,
  guid: Uint8Array<ArrayBuffer>,
  version: 4 | 6,
  servers: string,
): number {
  const text = wideString(servers);
  // The text stands behind the struct: what is pointed at is held with it.
  const settings = new Uint8Array(layout.Size.DNS_INTERFACE_SETTINGS + text.length);
  const view = new DataView(settings.buffer);
  const textAddress = addressOf(settings) + layout.Size.DNS_INTERFACE_SETTINGS;
  settings.set(text, layout.Size.DNS_INTERFACE_SETTINGS);
  const family = version === 6 ? layout.DNS_FLAG_IPV6 : 0n;
  view.setUint32(layout.DNS_VERSION_OFFSET, layout.DNS_VERSION_1, true);
  // The adapter's own address is nobody else's business: it is not registered with the name servers.
  const flags = family | layout.DNS_FLAG_NAME_SERVER | layout.DNS_FLAG_REGISTRATION;
  view.setBigUint64(layout.DNS_FLAGS_OFFSET, flags, true);
  view.setBigUint64(layout.DNS_NAME_SERVER_OFFSET, BigInt(textAddress), true);
  view.setUint32(layout.DNS_REGISTRATION_OFFSET, 0, true);
  return set(guid, settings);
}

function textOf(step: JournalStep, key: string): string {
  const value = step[key];
  if (typeof value !== "string") throw new Error(`Cannot undo a step of kind ${step.kind}: its ${key} is damaged`);
  return value;
}

function luidOf(step: JournalStep): Luid {
  const text = textOf(step, "luid");
  if (!/^\d{1,20}$/.test(text)) throw new Error(`Cannot undo a step of kind ${step.kind}: its luid is damaged`);
  return BigInt.asUintN(64, BigInt(text));
}

function prefixOf(step: JournalStep, key: string): IpPrefix {
  const prefix = parsePrefix(textOf(step, key));
  if (prefix === undefined) throw new Error(`Cannot undo a step of kind ${step.kind}: its ${key} is damaged`);
  return prefix;
}

function versionOf(step: JournalStep): 4 | 6 {
  return step["version"] === 6 ? 6 : 4;
}

function undoInterface(calls: IphlpapiCalls, step: JournalStep): void {
  const version = versionOf(step);
  const row = interfaceRow(calls, luidOf(step), version);
  const found = need(calls, "GetIpInterfaceEntry")(row);
  if (isGone(found)) return;
  check(found, "read the interface's settings of before");
  const number = (key: string): number => {
    const value = step[key];
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new Error(`Cannot undo a step of kind ${step.kind}: its ${key} is damaged`);
    }
    return value;
  };
  changeInterfaceRow(row, {
    metric: number("metric"),
    isMetricAutomatic: step["isMetricAutomatic"] === true,
    mtu: number("mtu"),
    dadTransmits: number("dadTransmits"),
    routerDiscovery: number("routerDiscovery"),
    isManaged: step["isManaged"] === true,
    isOtherStateful: step["isOtherStateful"] === true,
  });
  const code = need(calls, "SetIpInterfaceEntry")(row);
  if (!isGone(code)) check(code, `give an interface its settings of before for IPv${version}`);
}

/** Undoes one journaled step. Errors: `WinError`, or an Error for a step that is damaged or of another kind. */
export function undoInterfaceStep(calls: IphlpapiCalls, step: JournalStep): void {
  switch (step.kind) {
    case "address": {
      const code = need(calls, "DeleteUnicastIpAddressEntry")(
        addressRow(calls, luidOf(step), prefixOf(step, "address")),
      );
      if (!isGone(code)) check(code, `take away the address ${textOf(step, "address")}`);
      return;
    }
    case "route": {
      const code = need(calls, "DeleteIpForwardEntry2")(routeRow(calls, luidOf(step), prefixOf(step, "destination")));
      if (!isGone(code)) check(code, `take away the route ${textOf(step, "destination")}`);
      return;
    }
    case "interface":
      return undoInterface(calls, step);
    case "nameServers": {
      const guid = parseGuid(textOf(step, "guid"));
      if (guid === undefined) throw new Error("Cannot undo a step of kind nameServers: its guid is damaged");
      const set = calls.SetInterfaceDnsSettings;
      invariant(set !== null, "name servers were set by the call that takes them back");
      const code = setDns(set, guid, versionOf(step), "");
      if (!isGone(code)) check(code, "take back the name servers");
      return;
    }
    default:
      throw new Error(`Cannot undo a step of kind ${step.kind}: this weir does not know it`);
  }
}
