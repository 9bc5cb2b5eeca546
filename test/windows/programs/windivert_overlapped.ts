/**
 * Runs under Wine: the adapter over the driver of the unit tests, but with Windows' own events, waits, results and error codes.
 * Prints a line for each thing that held; the last one is END.
 */
import { Arena, Direction, NO_SLOT } from "../../../core/adapter/arena.ts";
import { micros } from "../../../core/base/micros.ts";
import { Layer } from "../../../ffi/windivert/layout.ts";
import { openDivertDevice } from "../../../ffi/windivert/open.ts";
import { Kernel32 } from "../../../ffi/win32/kernel32.ts";
import { FakeDriver, packetAddress } from "../../ffi/windivert/fake_driver.ts";
import { udpPacket } from "../../support/packets.ts";

const kernel32 = Kernel32.open();
const NOW = micros(1);

function open() {
  const driver = new FakeDriver(kernel32.calls);
  const settings = {
    name: "x",
    addresses: [],
    mtu: 1500,
    routes: [],
    sources: [],
    offload: false,
    namespace: undefined,
  };
  const device = openDivertDevice(driver.calls, { ...settings, divert: { filter: "ip", priority: 0 } });
  return { driver, ...device, arena: new Arena(512) };
}

function packet(number: number): Uint8Array {
  return udpPacket({ id: number & 0xffff, payload: [number & 255] });
}

function check(what: string, isSo: boolean): void {
  console.log(`${isSo ? "ok" : "NOT SO"}: ${what}`);
}

/** Packets come while somebody waits; each goes back. */
async function carry(): Promise<void> {
  const { driver, adapter, arena, close } = open();
  const count = 5_000;
  let arrived = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 100 && arrived < count; i++) {
      driver.arrive(packet(arrived), packetAddress({ timestamp: BigInt(arrived++) }));
    }
  }, 1);
  while (driver.sent.length < count) {
    await adapter.ready();
    while (adapter.receive(arena, NOW) > 0) {
      for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
        adapter.send(arena, slot, NOW);
        arena.release(slot);
      }
      await Promise.resolve();
    }
  }
  clearInterval(timer);
  check(
    "5,000 packets went back in order",
    driver.sent.every(({ address }, i) => new DataView(address.buffer).getUint32(0, true) === i),
  );
  const waiting = adapter.ready().then(() => "ready", (error: Error) => error.message);
  await new Promise((resolve) => setTimeout(resolve, 20));
  close();
  check("closing ends who waits", await waiting === "the device is closed");
  check(`no rule was broken ${driver.misuses.join()}`, driver.misuses.length === 0 && driver.handles.size === 0);
}

/** Codes are read where they are valid: a send that fails softly, one that is given up, a read after the shutdown. */
async function codes(): Promise<void> {
  const { driver, adapter, arena, close } = open();
  const send = () => {
    const slot = arena.acquire();
    const bytes = packet(1);
    arena.bytes.set(bytes, arena.at(slot));
    arena.length[slot] = bytes.length;
    arena.direction[slot] = Direction.Outbound;
    adapter.send(arena, slot, NOW);
    arena.release(slot);
  };
  for (const code of [1232, 87]) {
    driver.softError = () => code;
    send();
    await Promise.resolve();
    adapter.receive(arena, NOW);
  }
  const { partialBatches, uncertain } = adapter.counts;
  check("1232 is of one packet, 87 of the batch", partialBatches === 1 && uncertain === 1);
  driver.softError = undefined;
  driver.handleOf(Layer.Network).isReadShut = true;
  driver.complete();
  adapter.receive(arena, NOW);
  const end = await adapter.ready().then(() => "ready", (error: Error) => error.message);
  check("232 ends reading", end === "Cannot read from WinDivert: the handle was shut down");
  close();
  check(`no rule was broken ${driver.misuses.join()}`, driver.misuses.length === 0);
}

/** Opens and closes often, with somebody waiting. Wine gives handles from below: the first one of the last round tells whether some were left. */
async function reopen(): Promise<void> {
  const first: number[] = [];
  for (let i = 0; i < 300; i++) {
    const { adapter, close } = open();
    const waiting = adapter.ready().catch(() => {});
    if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    close();
    await waiting;
    const probe = kernel32.calls.CreateEventW(null, 1, 0, null);
    first.push(Number(probe));
    kernel32.calls.CloseHandle(probe);
  }
  check(`no event is left open: ${first[50]} to ${first.at(-1)}`, first.at(-1)! <= first[50]! + 64);
}

await carry();
await codes();
await reopen();
console.log("END");
