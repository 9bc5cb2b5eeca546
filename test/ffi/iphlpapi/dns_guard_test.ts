/** The filters of strict DNS, judged by a small filtering platform that reads their bytes. */
import { assertEquals, assertThrows } from "@std/assert";
import { dnsFilters, DnsGuard } from "../../../ffi/iphlpapi/dns_guard.ts";
import * as fwp from "../../../ffi/iphlpapi/fwpuclnt.ts";
import { formatGuid } from "../../../ffi/win32/guid.ts";
import { readWideAt } from "../../../ffi/win32/memory.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";

const TUN = 0x35_0000_0100_0000n;
const APP = 0x7fff_1234n;

interface Connect {
  readonly port: number;
  readonly luid: bigint;
  readonly app: bigint;
  readonly isLoopback: boolean;
}

/** Reads a filter as Windows does: from its bytes, following its pointers inside them. */
function judge(bytes: Uint8Array<ArrayBuffer>, connect: Connect): boolean {
  const view = new DataView(bytes.buffer);
  const base = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
  const fields = new Map<string, boolean>();
  const from = Number(view.getBigUint64(fwp.FILTER_CONDITIONS_OFFSET, true) - base);
  for (let i = 0; i < view.getUint32(fwp.FILTER_COUNT_OFFSET, true); i++) {
    const at = from + i * fwp.Size.FWPM_FILTER_CONDITION0;
    const field = formatGuid(bytes.slice(at, at + 16));
    const match = view.getUint32(at + fwp.CONDITION_MATCH_OFFSET, true);
    const type = view.getUint32(at + fwp.CONDITION_VALUE_OFFSET, true);
    const valueAt = at + fwp.CONDITION_VALUE_OFFSET + fwp.VALUE_OFFSET;
    const whole = view.getBigUint64(valueAt, true);
    let holds = false;
    if (field === formatGuid(fwp.FwpKey.RemotePort)) {
      holds = type === fwp.FWP_UINT16 && match === fwp.FWP_MATCH_EQUAL &&
        view.getUint16(valueAt, true) === connect.port;
    } else if (field === formatGuid(fwp.FwpKey.LocalInterface)) {
      holds = type === fwp.FWP_UINT64 && view.getBigUint64(Number(whole - base), true) === connect.luid;
    } else if (field === formatGuid(fwp.FwpKey.AppId)) {
      holds = type === fwp.FWP_BYTE_BLOB_TYPE && whole === connect.app;
    } else if (field === formatGuid(fwp.FwpKey.Flags)) {
      holds = type === fwp.FWP_UINT32 && match === fwp.FWP_MATCH_FLAGS_ALL_SET && (whole & 1n) !== 0n &&
        connect.isLoopback;
    }
    fields.set(field, (fields.get(field) ?? false) || holds);
  }
  return [...fields.values()].every((holds) => holds);
}

/** The action that decides: that of the highest filter that matches. */
function decide(filters: readonly Uint8Array<ArrayBuffer>[], connect: Connect): number | undefined {
  const weight = (bytes: Uint8Array) => bytes[fwp.FILTER_WEIGHT_OFFSET + fwp.VALUE_OFFSET]!;
  const matching = filters.filter((each) => judge(each, connect)).sort((a, b) => weight(b) - weight(a));
  return matching[0] === undefined
    ? undefined
    : new DataView(matching[0].buffer).getUint32(fwp.FILTER_ACTION_OFFSET, true);
}

Deno.test("dnsFilters() block port 53 past the device, and nothing else", () => {
  const filters = dnsFilters(fwp.FwpKey.AleAuthConnectV4, TUN, APP).map(fwp.packFilter);
  const elsewhere: Connect = { port: 53, luid: 1n, app: 1n, isLoopback: false };
  for (
    const [connect, action] of [
      [elsewhere, fwp.FWP_ACTION_BLOCK],
      [{ ...elsewhere, luid: TUN }, fwp.FWP_ACTION_PERMIT],
      [{ ...elsewhere, app: APP }, fwp.FWP_ACTION_PERMIT],
      [{ ...elsewhere, isLoopback: true }, fwp.FWP_ACTION_PERMIT],
      [{ ...elsewhere, port: 853 }, undefined],
      [{ ...elsewhere, port: 0x3500 }, undefined],
    ] as const
  ) assertEquals(decide(filters, connect), action);
});

/** A filtering platform that keeps what it is given. */
class FakeEngine {
  readonly filters: Uint8Array<ArrayBuffer>[] = [];
  readonly freed: bigint[] = [];
  isOpen = false;
  sessionFlags = 0;
  program = "";
  subLayer = "";
  failures = new Map<string, number>();

  readonly calls = {
    FwpmEngineOpen0: (
      _server: null,
      authn: number,
      _identity: null,
      session: Uint8Array<ArrayBuffer>,
      engine: BigUint64Array,
    ) => {
      const code = this.failures.get("open") ?? (authn === fwp.RPC_C_AUTHN_WINNT ? 0 : 87);
      this.isOpen = code === 0;
      this.sessionFlags = new DataView(session.buffer).getUint32(fwp.SESSION_FLAGS_OFFSET, true);
      engine[0] = 0xabcdn;
      return code;
    },
    FwpmEngineClose0: (engine: bigint) => {
      this.isOpen = this.isOpen && engine !== 0xabcdn;
      this.filters.length = 0;
      return 0;
    },
    FwpmSubLayerAdd0: (_engine: bigint, subLayer: Uint8Array<ArrayBuffer>) => {
      this.subLayer = formatGuid(subLayer.slice(0, 16));
      return this.failures.get("subLayer") ?? 0;
    },
    FwpmFilterAdd0: (_engine: bigint, filter: Uint8Array<ArrayBuffer>) => {
      const isOurs =
        formatGuid(filter.slice(fwp.FILTER_SUBLAYER_OFFSET, fwp.FILTER_SUBLAYER_OFFSET + 16)) === this.subLayer;
      this.filters.push(filter);
      return this.failures.get(`filter ${this.filters.length}`) ?? (isOurs ? 0 : 87);
    },
    FwpmGetAppIdFromFileName0: (name: Uint8Array<ArrayBuffer>, appId: BigUint64Array) => {
      this.program = readWideAt(new DataView(name.buffer), 0);
      appId[0] = APP;
      return this.failures.get("app") ?? 0;
    },
    FwpmFreeMemory0: (appId: BigUint64Array) => {
      this.freed.push(appId[0]!);
    },
  } as unknown as fwp.FwpuclntCalls;
}

Deno.test("DnsGuard raises filters for both versions in a session that goes with the process, and takes them down", () => {
  const engine = new FakeEngine();
  let closed = 0;
  const guard = DnsGuard.raise(engine.calls, TUN, "C:\\weir\\weir.exe", () => closed++);
  assertEquals([engine.sessionFlags, engine.program, engine.isOpen], [1, "C:\\weir\\weir.exe", true]);
  assertEquals([engine.filters.length, engine.freed], [8, [APP]]);
  const layers = engine.filters.map((each) =>
    formatGuid(each.slice(fwp.FILTER_LAYER_OFFSET, fwp.FILTER_LAYER_OFFSET + 16))
  );
  assertEquals(new Set(layers), new Set([fwp.FwpKey.AleAuthConnectV4, fwp.FwpKey.AleAuthConnectV6].map(formatGuid)));
  guard.close();
  guard.close();
  assertEquals([engine.isOpen, closed], [false, 1]);
});

Deno.test("DnsGuard leaves no filter when a step fails", () => {
  for (
    const [step, code, words] of [
      ["open", 5, "Cannot keep DNS inside the device: access is denied; run as administrator (error 5)"],
      ["open", 1753, "the Base Filtering Engine does not run"],
      ["subLayer", 5, "Cannot make a sublayer of filters"],
      ["app", 2, "Cannot name C:\\weir.exe to the filters"],
      ["filter 4", 87, 'Cannot add the filter "weir: DNS past the device"'],
      ["filter 8", 87, 'Cannot add the filter "weir: DNS past the device"'],
    ] as const
  ) {
    const engine = new FakeEngine();
    let closed = 0;
    engine.failures.set(step, code);
    assertThrows(() => DnsGuard.raise(engine.calls, TUN, "C:\\weir.exe", () => closed++), WinError, words);
    assertEquals([engine.isOpen, engine.filters.length, closed], [false, 0, 1]);
  }
});
