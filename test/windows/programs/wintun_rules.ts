/**
 * Runs under Wine: one rule of wintun.dll, by the word of its case. What it finds is printed; misuse must end the program instead.
 * wintun_rules.ts DLL CASE
 */
import { WINTUN_SYMBOLS } from "../../../ffi/wintun/wintun.ts";

const [path, wanted] = Deno.args;
const wintun = Deno.dlopen(path!, WINTUN_SYMBOLS).symbols;
const kernel = Deno.dlopen("kernel32.dll", {
  GetLastError: { parameters: [], result: "u32" },
  SetLastError: { parameters: ["u32"], result: "void" },
  WaitForSingleObject: { parameters: ["usize", "u32"], result: "u32" },
  RtlMoveMemory: { parameters: ["usize", "buffer", "usize"], result: "void" },
}).symbols;

const NAME = "Weir Rules";
const CAPACITY = 0x20000;
const size = new Uint32Array(1);

function wide(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint16Array.from([...text, "\0"], (char) => char.charCodeAt(0)).buffer);
}

function create(name = NAME): bigint {
  return BigInt(wintun.WintunCreateAdapter(wide(name), wide("Weir"), new Uint8Array(16).fill(7)));
}

function receive(session: bigint): bigint {
  kernel.SetLastError(0);
  return BigInt(wintun.WintunReceivePacket(session, size));
}

function allocate(session: bigint, bytes: number): bigint {
  kernel.SetLastError(0);
  return BigInt(wintun.WintunAllocateSendPacket(session, bytes));
}

/** An IPv4 packet to nobody. */
function write(packet: bigint, bytes: number): void {
  const content = new Uint8Array(bytes);
  content.set([0x45, 0, bytes >> 8, bytes & 255, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 0, 1, 192, 0, 2, 9]);
  kernel.RtlMoveMemory(packet, content, BigInt(bytes));
}

/** Words in capitals are for the test, which then says something to the helper. */
function say(...words: unknown[]): void {
  console.log(...words);
}

async function waitFor(session: bigint): Promise<bigint> {
  const event = BigInt(wintun.WintunGetReadWaitEvent(session));
  for (let i = 0; i < 100; i++) {
    const packet = receive(session);
    if (packet !== 0n || kernel.GetLastError() !== 259) return packet;
    kernel.WaitForSingleObject(event, 50);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return 0n;
}

const CASES: Readonly<Record<string, () => void | Promise<void>>> = {
  capacities() {
    const adapter = create();
    for (const capacity of [0, 0x10000, 0x1ffff, 0x20001, 0x30000, 0x8000000]) {
      const session = BigInt(wintun.WintunStartSession(adapter, capacity));
      say(capacity, session, kernel.GetLastError());
    }
    for (const capacity of [0x20000, 0x4000000]) {
      const session = BigInt(wintun.WintunStartSession(adapter, capacity));
      say(capacity, session !== 0n);
      wintun.WintunEndSession(session);
    }
    wintun.WintunCloseAdapter(adapter);
  },
  adapters() {
    say("version without adapter", wintun.WintunGetRunningDriverVersion(), kernel.GetLastError());
    const adapter = create();
    say("version", wintun.WintunGetRunningDriverVersion());
    const luid = new BigUint64Array(1);
    wintun.WintunGetAdapterLUID(adapter, new Uint8Array(luid.buffer));
    say("luid", luid[0] !== 0n);
    say("second of the name", create(), kernel.GetLastError());
    const other = BigInt(wintun.WintunOpenAdapter(wide(NAME)));
    say("opened", other !== 0n);
    const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
    say("second session", BigInt(wintun.WintunStartSession(other, CAPACITY)), kernel.GetLastError());
    wintun.WintunCloseAdapter(other);
    wintun.WintunEndSession(session);
    wintun.WintunCloseAdapter(adapter);
    say("open after close", BigInt(wintun.WintunOpenAdapter(wide(NAME))), kernel.GetLastError());
  },
  async order() {
    const adapter = create();
    const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
    say("empty", receive(session), kernel.GetLastError());
    say("READY");
    const first = await waitFor(session);
    // The test sends more than the ring holds while the first packet is kept.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    let count = 1;
    for (let packet = receive(session); packet !== 0n; packet = receive(session)) {
      wintun.WintunReleaseReceivePacket(session, packet);
      count++;
    }
    say("held", count < 100);
    say("REFILL");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    say("still full", receive(session), kernel.GetLastError());
    wintun.WintunReleaseReceivePacket(session, first);
    say("REFILL2");
    const next = await waitFor(session);
    say("room again", next !== 0n);
    wintun.WintunReleaseReceivePacket(session, next);
    wintun.WintunEndSession(session);
    wintun.WintunCloseAdapter(adapter);
  },
  async full() {
    const adapter = create();
    const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
    say("STALL");
    await new Promise((resolve) => setTimeout(resolve, 500));
    let count = 0;
    let packet = 0n;
    // What the connection to the driver holds comes on top of the ring.
    while (count < 100_000 && (packet = allocate(session, 1400)) !== 0n) {
      write(packet, 1400);
      wintun.WintunSendPacket(session, packet);
      count++;
    }
    say("full", packet, kernel.GetLastError(), count < 100_000);
    say("UNSTALL");
    for (let i = 0; i < 400 && packet === 0n; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      packet = allocate(session, 1400);
    }
    say("room again", packet !== 0n);
    write(packet, 1400);
    wintun.WintunSendPacket(session, packet);
    wintun.WintunEndSession(session);
    wintun.WintunCloseAdapter(adapter);
  },
  async vanish() {
    const adapter = create();
    const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
    receive(session);
    say("READY");
    let packet = await waitFor(session);
    // What came before the adapter went is not what is asked about.
    for (let i = 0; i < 100 && packet !== 0n; i++) {
      wintun.WintunReleaseReceivePacket(session, packet);
      packet = await waitFor(session);
    }
    say("receive", packet, kernel.GetLastError());
    say("allocate", allocate(session, 100), kernel.GetLastError());
    wintun.WintunEndSession(session);
    say("start", BigInt(wintun.WintunStartSession(adapter, CAPACITY)), kernel.GetLastError());
    wintun.WintunCloseAdapter(adapter);
    const again = create();
    say("created again", again !== 0n);
    wintun.WintunCloseAdapter(again);
  },
  async corrupt() {
    const adapter = create();
    const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
    receive(session);
    say("READY");
    say("receive", await waitFor(session), kernel.GetLastError());
    wintun.WintunEndSession(session);
    wintun.WintunCloseAdapter(adapter);
  },
};

/** Mistakes of a program; each must end it before it can say that it goes on. */
const MISUSES: Readonly<Record<string, (session: bigint, adapter: bigint) => void | Promise<void>>> = {
  async releaseTwice(session) {
    say("READY");
    const first = await waitFor(session);
    const second = await waitFor(session);
    wintun.WintunReleaseReceivePacket(session, second);
    wintun.WintunReleaseReceivePacket(session, second);
    wintun.WintunReleaseReceivePacket(session, first);
  },
  releaseUnknown: (session) => wintun.WintunReleaseReceivePacket(session, 4096n),
  sendUnallocated: (session) => wintun.WintunSendPacket(session, 4096n),
  sendTwice(session) {
    const first = allocate(session, 40);
    const second = allocate(session, 40);
    write(second, 40);
    wintun.WintunSendPacket(session, second);
    wintun.WintunSendPacket(session, second);
    wintun.WintunSendPacket(session, first);
  },
  tooLong(session) {
    allocate(session, 0x10000);
  },
  receiveAfterEnd(session) {
    wintun.WintunEndSession(session);
    receive(session);
  },
  endTwice(session) {
    wintun.WintunEndSession(session);
    wintun.WintunEndSession(session);
  },
  closeBeforeEnd: (_session, adapter) => wintun.WintunCloseAdapter(adapter),
};

const rule = CASES[wanted!];
if (rule !== undefined) {
  await rule();
} else {
  const adapter = create();
  const session = BigInt(wintun.WintunStartSession(adapter, CAPACITY));
  await MISUSES[wanted!]!(session, adapter);
}
say("END");
