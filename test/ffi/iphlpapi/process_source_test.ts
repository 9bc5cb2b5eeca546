/** Tables are read once a turn, descriptions once a process. */
import { assert, assertEquals } from "@std/assert";
import { type IpAddress, parseIp } from "../../../core/base/ip_address.ts";
import type { LocalSocket } from "../../../core/host/process_source.ts";
import { type ProcessCalls, WindowsProcessSource } from "../../../ffi/iphlpapi/process_source.ts";
import type { Advapi32Calls } from "../../../ffi/win32/advapi32.ts";
import type { Kernel32Calls } from "../../../ffi/win32/kernel32.ts";
import { UserNames } from "../../../ffi/win32/user_names.ts";
import { FakeAdvapi32 } from "../win32/fake_advapi32.ts";
import { type FakeRow, tableCalls } from "./fake_tables.ts";

const SELF = 4242;

/** A machine with processes and sockets. */
class FakeMachine {
  rows: FakeRow[] = [];
  now = 0;
  code = 0;
  addresses: IpAddress[] = ["10.0.0.2", "fd77::1"].map((text) => parseIp(text)!);
  addressReads = 0;
  paths = new Map<number, string>([[SELF, "C:\\weir\\weir.exe"], [100, "C:\\Windows\\System32\\svchost.exe"]]);
  created = new Map<number, bigint>();
  openHandles = 0;
  pathReads = 0;
  readonly advapi32 = new FakeAdvapi32();

  readonly kernel32 = {
    GetLastError: () => this.code,
    GetCurrentProcessId: () => SELF,
    OpenProcess: (_access: number, _inherit: number, id: number) => {
      this.code = id === 9 ? 5 : 87;
      if (!this.paths.has(id)) return 0n;
      this.openHandles++;
      return BigInt(id);
    },
    CloseHandle: () => {
      this.openHandles--;
      return 1;
    },
    GetProcessTimes: (process: bigint, created: BigUint64Array) => {
      created[0] = this.created.get(Number(process)) ?? 1n;
      return 1;
    },
    QueryFullProcessImageNameW: (process: bigint, _flags: number, name: Uint16Array, length: Uint32Array) => {
      this.pathReads++;
      const path = this.paths.get(Number(process))!;
      [...path].forEach((letter, index) => name[index] = letter.charCodeAt(0));
      name[path.length] = 0;
      length[0] = path.length;
      return 1;
    },
  } as unknown as Kernel32Calls;

  source(): WindowsProcessSource {
    this.advapi32.openHandle = () => this.openHandles++;
    this.advapi32.onFailure = (code) => this.code = code;
    const advapi32: Advapi32Calls = this.advapi32.calls;
    const calls: ProcessCalls = {
      kernel32: this.kernel32,
      advapi32,
      iphlpapi: tableCalls(() => this.rows),
      userNames: new UserNames(advapi32),
      listAddresses: () => {
        this.addressReads++;
        return this.addresses;
      },
      clock: () => this.now,
    };
    return new WindowsProcessSource(calls);
  }
}

const ROW: FakeRow = {
  network: "tcp",
  local: "10.0.0.2",
  localPort: 50_000,
  remote: "192.0.2.1",
  remotePort: 443,
  state: 3,
  process: 100,
};
const SOCKET: LocalSocket = {
  network: "tcp",
  localIp: parseIp("10.0.0.2")!,
  localPort: 50_000,
  remoteIp: parseIp("192.0.2.1")!,
  remotePort: 443,
};

Deno.test("WindowsProcessSource.findOwner() reads tables once a turn, and never uses those of the turn before", async () => {
  const machine = new FakeMachine();
  const source = machine.source();
  machine.rows = [ROW, { ...ROW, localPort: 50_001, process: 7 }];
  assertEquals([source.findOwner(SOCKET), source.findOwner({ ...SOCKET, localPort: 50_001 })], [100, 7]);
  assertEquals(source.counts, { reads: 1, reused: 1 });
  await Promise.resolve();
  // The port has another owner now.
  machine.rows = [{ ...ROW, process: 8 }];
  assertEquals(source.findOwner(SOCKET), 8);
  assertEquals(source.counts.reads, 2);
});

Deno.test("WindowsProcessSource.findOwner() looks anew for a socket that is younger than the tables", async () => {
  const machine = new FakeMachine();
  const source = machine.source();
  assertEquals(source.findOwner(SOCKET), undefined);
  assertEquals(source.counts.reads, 1);
  machine.rows = [ROW];
  assertEquals(source.findOwner(SOCKET), 100);
  assertEquals(source.counts.reads, 2);
  // Very many flows of nobody share what is read within 2 ms.
  for (let i = 0; i < 1_000; i++) assertEquals(source.findOwner({ ...SOCKET, localPort: i }), undefined);
  assertEquals(source.counts.reads, 17);
  machine.now += 2_001;
  assertEquals(source.findOwner({ ...SOCKET, localPort: 1 }), undefined);
  assertEquals(source.counts.reads, 18);
  await Promise.resolve();
  for (let i = 0; i < 3; i++) source.findOwner({ ...SOCKET, localPort: i });
  assertEquals(source.counts.reads, 21);
});

Deno.test("WindowsProcessSource.findOwner() does without a table that cannot be read", () => {
  const machine = new FakeMachine();
  machine.rows = [ROW];
  const source = machine.source();
  const whole = tableCalls(() => machine.rows);
  const calls = {
    ...whole,
    GetExtendedTcpTable: (...args: Parameters<typeof whole.GetExtendedTcpTable>) =>
      args[3] === 23 ? 50 : whole.GetExtendedTcpTable(...args),
  };
  const parts = { ...machine, iphlpapi: calls, userNames: new UserNames(machine.advapi32.calls), clock: () => 0 };
  const half = new WindowsProcessSource({
    ...parts,
    advapi32: machine.advapi32.calls,
    listAddresses: () => [],
  });
  assertEquals([half.findOwner(SOCKET), source.findOwner(SOCKET)], [100, 100]);
});

Deno.test("WindowsProcessSource.describe() names programs, services, users, and itself", async () => {
  const machine = new FakeMachine();
  const source = machine.source();
  machine.paths.set(300, "D:\\Games\\Game.EXE");
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  const user = "HOME\\user1000";
  source.describe(300);
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  assertEquals(source.describe(300), {
    name: "Game.EXE",
    path: "D:\\Games\\Game.EXE",
    processId: 300,
    user,
    uid: undefined,
  });
  assertEquals(source.describe(SELF)?.isSelf, true);
  assertEquals(source.describe(100)?.service, "Dnscache,NlaSvc");
  assertEquals(source.describe(100)?.name, "svchost.exe");
  assertEquals(source.describe(4), {
    name: "System",
    path: "",
    processId: 4,
    user: "HOME\\user18",
    uid: undefined,
  });
  assertEquals([source.describe(0), source.describe(77)], [undefined, undefined]);
  // A protected process says nothing but that it is there.
  assertEquals(source.describe(9), { name: "", path: "", processId: 9, user: "", uid: undefined });
  assertEquals([machine.openHandles, machine.advapi32.openServiceHandles], [0, 0]);
});

Deno.test("WindowsProcessSource.describe() reads a process once, and again when its number is another's", async () => {
  const machine = new FakeMachine();
  const source = machine.source();
  machine.paths.set(300, "D:\\a.exe");
  source.describe(300);
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  const first = source.describe(300);
  const reads = machine.pathReads;
  for (let i = 0; i < 10; i++) assert(source.describe(300) === first);
  assertEquals(machine.pathReads, reads);
  machine.paths.set(300, "D:\\b.exe");
  machine.created.set(300, 2n);
  assertEquals(source.describe(300)?.name, "b.exe");
  machine.paths.delete(300);
  assertEquals(source.describe(300), undefined);
});

Deno.test("WindowsProcessSource.describe() lists services at most once a second", () => {
  const machine = new FakeMachine();
  const source = machine.source();
  for (const id of [100, 101, 102]) machine.paths.set(id, "C:\\Windows\\System32\\svchost.exe");
  machine.now = 10;
  assertEquals(source.describe(101)?.service, undefined);
  assertEquals(source.describe(102)?.service, undefined);
  assertEquals(machine.advapi32.serviceReads, 1);
  machine.now += 1_000_001;
  source.describe(101);
  assertEquals(machine.advapi32.serviceReads, 2);
});

Deno.test("WindowsProcessSource.isLocal() knows the machine's addresses, and reads them again after a second", () => {
  const machine = new FakeMachine();
  const source = machine.source();
  const is = (text: string) => source.isLocal(parseIp(text)!);
  assertEquals([is("10.0.0.2"), is("fd77::1"), is("127.0.0.9"), is("::1"), is("10.0.0.3")], [
    true,
    true,
    true,
    true,
    false,
  ]);
  assertEquals(machine.addressReads, 1);
  machine.addresses = [parseIp("10.0.0.3")!];
  assertEquals(is("10.0.0.3"), false);
  machine.now += 1_000_001;
  assertEquals([is("10.0.0.3"), is("10.0.0.2"), machine.addressReads], [true, false, 2]);
});
