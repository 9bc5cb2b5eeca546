/**
 * Runs under Wine: the rules that the real WinDivert documents, asked of the stand-in by the project's own symbols. Prints a line for each that held;
 * the last one is END. windivert_rules.ts DLL SERVER-IPV4 [MISUSE]
 */
import { createSocket } from "node:dgram";
import { Kernel32 } from "../../../ffi/win32/kernel32.ts";
import { usize } from "../../../ffi/win32/memory.ts";
import { readEndpointEvent, readPacketAddress } from "../../../ffi/windivert/address.ts";
import { AddressBit, DivertEvent, Layer, OpenFlag, Param, Shutdown, Size } from "../../../ffi/windivert/layout.ts";
import { WinDivert } from "../../../ffi/windivert/library.ts";
import { OverlappedBuffer } from "../../../ffi/windivert/overlapped.ts";

const [dll, server, misuse] = Deno.args as [string, string, string?];
const kernel32 = Kernel32.open().calls;
const divert = WinDivert.open(dll).calls;
const INVALID = 0xffff_ffff_ffff_ffffn;
const PORT = 700;
const TO_SERVER = `udp.DstPort == ${PORT}`;
/** What IP and UDP put before the bytes of a datagram. */
const HEAD_BYTES = 28;
const NETWORK_BIT = AddressBit.IpChecksum | AddressBit.UdpChecksum;

function check(what: string, isSo: boolean, ...seen: unknown[]): void {
  console.log(`${isSo ? "ok" : "NOT SO"}: ${what} ${isSo ? "" : Deno.inspect(seen)}`.trimEnd());
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A handle, or the code of its error. */
function open(
  filter: string,
  layer: number = Layer.Network,
  priority = 0,
  flags = 0,
): { handle: number; code: number } {
  const text = new TextEncoder().encode(`${filter}\0`);
  const result = divert.WinDivertOpen(text, layer, priority, usize(flags));
  const code = kernel32.GetLastError();
  return BigInt(result) === INVALID ? { handle: 0, code } : { handle: Number(result), code: 0 };
}

/** Begins a read. Shape: 997 when it is under way, else the error. */
function read(handle: number, buffer: OverlappedBuffer, addresses = 255, bytes = buffer.packetBytesMax): number {
  buffer.prepare();
  buffer.addressLength = addresses * Size.WINDIVERT_ADDRESS;
  const places = [
    usize(buffer.addressesPlace),
    usize(buffer.addressLengthPlace),
    usize(buffer.overlappedPlace),
  ] as const;
  const result = divert.WinDivertRecvEx(
    usize(handle),
    usize(buffer.packetsPlace),
    bytes,
    usize(0),
    usize(0),
    ...places,
  );
  const code = kernel32.GetLastError();
  if (code === 997 && result === 0) buffer.started();
  return result === 0 ? code : 0;
}

/** What an operation came to: bytes, or minus its error. −258 while it goes on. */
function outcome(handle: number, buffer: OverlappedBuffer, milliseconds = 1000): number {
  if (kernel32.WaitForSingleObject(usize(buffer.event.value), milliseconds) !== 0) return -258;
  const length = buffer.finish(handle);
  return length < 0 ? -kernel32.GetLastError() : length;
}

/** Sends back the first packets of a buffer. Shape: bytes, or minus the error. */
function sendBack(handle: number, buffer: OverlappedBuffer, bytes: number, count: number): number {
  buffer.prepare();
  const places = [usize(buffer.addressesPlace), count * Size.WINDIVERT_ADDRESS, usize(buffer.overlappedPlace)] as const;
  divert.WinDivertSendEx(usize(handle), usize(buffer.packetsPlace), bytes, usize(0), usize(0), ...places);
  const code = kernel32.GetLastError();
  if (code !== 997) return -code;
  buffer.started();
  return outcome(handle, buffer);
}

const socket = createSocket("udp4");
const answers: number[] = [];
socket.on("message", (bytes) => answers.push(bytes[0]!));

/** Sends datagrams; each begins with its number. */
async function sendDatagrams(count: number, bytes = 100, to = server): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => socket.send(new Uint8Array(bytes).fill(i), PORT, to, resolve));
  }
  await pause(100);
}

/** The first payload byte of each packet. */
function numbersOf(buffer: OverlappedBuffer, bytes: number, each: number): number[] {
  const numbers: number[] = [];
  for (let at = 0; at + each <= bytes; at += each) numbers.push(buffer.bytes[buffer.packetsAt + at + HEAD_BYTES]!);
  return numbers;
}

function opening(): void {
  for (
    const [what, ...args] of [
      ["a filter that is none", "tcp and"],
      ["a field of another layer", "processId == 1"],
      ["a priority too high", "true", Layer.Network, 30_001],
      ["a priority too low", "true", Layer.Network, -30_001],
      ["sniffing and dropping", "true", Layer.Network, 0, OpenFlag.Sniff | OpenFlag.Drop],
      ["only receiving and only sending", "true", Layer.Network, 0, OpenFlag.ReceiveOnly | OpenFlag.SendOnly],
      ["an unknown flag", "true", Layer.Network, 0, 0x40],
      ["an unknown layer", "true", 5],
      ["flows without sniffing", "true", Layer.Flow, 0, OpenFlag.ReceiveOnly],
      ["sockets that could be sent", "true", Layer.Socket, 0, 0],
    ] as [string, string, number?, number?, number?][]
  ) {
    const { handle, code } = open(...args as [string]);
    check(`${what}: 87`, handle === 0 && code === 87, code);
  }
}

function params(handle: number): void {
  const value = new BigUint64Array(1);
  const get = (param: number) => divert.WinDivertGetParam(usize(handle), param, value) !== 0 ? Number(value[0]) : -1;
  const set = (param: number, to: number) => divert.WinDivertSetParam(usize(handle), param, usize(to)) !== 0;
  check("parameters begin as documented", [0, 1, 2].map(get).join() === "4096,2000,4194304", [0, 1, 2].map(get));
  check("the version is 2.2", get(Param.VersionMajor) === 2 && get(Param.VersionMinor) === 2);
  for (const [param, least, most] of [[0, 32, 16_384], [1, 100, 16_000], [2, 65_535, 33_554_432]] as const) {
    const taken = [least - 1, least, most, most + 1].map((to) => set(param, to));
    check(`parameter ${param} is ${least} to ${most}`, taken.join() === "false,true,true,false", taken);
  }
  check("the version cannot be set", !set(Param.VersionMajor, 3) && kernel32.GetLastError() === 87);
}

async function batches(): Promise<void> {
  const { handle } = open(TO_SERVER);
  params(handle);
  const [a, b] = [new OverlappedBuffer(kernel32, 65_575), new OverlappedBuffer(kernel32, 65_575)];
  const each = HEAD_BYTES + 100;
  check("more than 255 addresses: 87", read(handle, a, 256) === 87);
  check("no address at all: 87", read(handle, a, 0) === 87);
  await sendDatagrams(300);
  check("reading is overlapped: 997", read(handle, a) === 997);
  check("a batch has 255 packets, back to back", outcome(handle, a) === 255 * each, a.addressLength);
  check("and as many addresses", a.addressLength === 255 * Size.WINDIVERT_ADDRESS);
  const addresses = Array.from({ length: 255 }, (_, i) => readPacketAddress(a.view, 64 + i * Size.WINDIVERT_ADDRESS));
  const [first] = addresses;
  check(
    "addresses say outbound, no checksum yet, and the interface",
    addresses.every(({ bits, ifIdx, layer, event }) =>
      (bits & AddressBit.Outbound) !== 0 && (bits & NETWORK_BIT) === 0 && ifIdx > 1 && layer === 0 && event === 0
    ),
    first,
  );
  check("time goes on", addresses.every(({ timestamp }, i) => i === 0 || timestamp >= addresses[i - 1]!.timestamp));
  read(handle, b);
  check("the next batch has the rest", outcome(handle, b) === 45 * each, b.addressLength);
  const numbers = [...numbersOf(a, 255 * each, each), ...numbersOf(b, 45 * each, each)];
  check("in their order", numbers.every((number, i) => number === (i & 255)), numbers);

  await sendDatagrams(5);
  read(handle, a, 255, 2 * each + 50);
  check("no packet is split", outcome(handle, a) === 2 * each);
  read(handle, a, 255, 50);
  check("the first that does not fit: 122", outcome(handle, a) === -122);
  read(handle, a, 1);
  check("and it is gone; one address brings one packet", numbersOf(a, outcome(handle, a), each).join() === "3");
  read(handle, a);
  check("what is left comes", numbersOf(a, outcome(handle, a), each).join() === "4");
  read(handle, a);
  read(handle, b);
  check("nothing is there: it waits", outcome(handle, a, 50) === -258 && outcome(handle, b, 50) === -258);
  await sendDatagrams(1);
  await sendDatagrams(1, 200);
  check("several reads are served in their order", outcome(handle, a) === each && outcome(handle, b) === each + 100);
  await queues(handle, a);
  divert.WinDivertClose(usize(handle));
}

async function queues(handle: number, a: OverlappedBuffer): Promise<void> {
  const each = HEAD_BYTES + 100;
  divert.WinDivertSetParam(usize(handle), Param.QueueLength, usize(32));
  divert.WinDivertSetParam(usize(handle), Param.QueueTime, usize(16_000));
  await sendDatagrams(40);
  read(handle, a);
  const numbers = numbersOf(a, outcome(handle, a), each);
  check("a full queue loses its oldest", numbers.length === 32 && numbers[0] === 8, numbers);
  divert.WinDivertSetParam(usize(handle), Param.QueueTime, usize(100));
  await sendDatagrams(3);
  await pause(200);
  read(handle, a);
  check("what waits too long is lost", outcome(handle, a, 50) === -258);
  await sendDatagrams(1);
  outcome(handle, a);
  divert.WinDivertSetParam(usize(handle), Param.QueueTime, usize(2_000));
  await sendDatagrams(2);
  divert.WinDivertShutdown(usize(handle), Shutdown.Receive);
  read(handle, a);
  check("after the shutdown the rest can be read", outcome(handle, a) === 2 * each);
  check("and then: 232", read(handle, a) === 232);
  check("sending goes on", sendBack(handle, a, 2 * each, 2) === 2 * each);
  divert.WinDivertShutdown(usize(handle), Shutdown.Both);
  check("until it is shut down as well: 232", sendBack(handle, a, each, 1) === -232);
  check("an unknown shutdown: 87", divert.WinDivertShutdown(usize(handle), 4) === 0 && kernel32.GetLastError() === 87);
}

/** Reads what is there on one handle and sends it on. Shape: how many packets. */
function pass(handle: number, buffer: OverlappedBuffer): number {
  read(handle, buffer);
  const bytes = outcome(handle, buffer, 300);
  if (bytes < 0) return 0;
  const count = buffer.addressLength / Size.WINDIVERT_ADDRESS;
  return sendBack(handle, buffer, bytes, count) === bytes ? count : -1;
}

async function injecting(): Promise<void> {
  const handles = [0, 100, 0].map((priority) => open(TO_SERVER, Layer.Network, priority).handle);
  const [low, high, later] = handles as [number, number, number];
  const buffers = [...handles, high].map(() => new OverlappedBuffer(kernel32, 65_575));
  await sendDatagrams(3);
  const seen = [high, later, low, high].map((handle, i) => pass(handle, buffers[i]!));
  const what = "the highest sees it first, then who opened last; nobody sees its own again";
  check(what, seen.join() === "3,3,3,0", seen);
  for (const handle of handles) divert.WinDivertClose(usize(handle));

  const { handle } = open(`inbound and (udp.SrcPort == ${PORT} or udp.SrcPort == ${PORT + 1})`);
  const a = new OverlappedBuffer(kernel32, 65_575);
  await pause(200);
  answers.length = 0;
  await sendDatagrams(3);
  check("what is diverted does not arrive", answers.length === 0, answers);
  read(handle, a);
  const bytes = outcome(handle, a);
  const { bits } = readPacketAddress(a.view, 64);
  const isIn = (bits & AddressBit.Outbound) === 0 && (bits & NETWORK_BIT) === NETWORK_BIT;
  check("answers come inbound, with their checksums", isIn && bytes === 6 * (HEAD_BYTES + 100), bits, bytes);
  check("and go on", sendBack(handle, a, bytes, 6) === bytes);
  await pause(100);
  check("to whom they are for, in their order", answers.join() === "0,0,1,1,2,2", answers);
  divert.WinDivertClose(usize(handle));
  await sendDatagrams(2);
  check("a closed handle lets everything pass", answers.length === 10, answers);
  await refused();
}

async function refused(): Promise<void> {
  const { handle } = open(TO_SERVER);
  const a = new OverlappedBuffer(kernel32, 65_575);
  const each = HEAD_BYTES + 100;
  await sendDatagrams(3);
  read(handle, a);
  outcome(handle, a);
  check("256 addresses: 87", sendBack(handle, a, each, 256) === -87);
  check("bytes behind the last packet do not matter", sendBack(handle, a, 3 * each, 1) === each);
  check("a packet cut short: 87", sendBack(handle, a, each - 1, 1) === -87);
  const bitsAt = 64 + 10;
  a.bytes[bitsAt] = a.bytes[bitsAt]! | AddressBit.Impostor;
  a.bytes[a.packetsAt + 8] = 1;
  check("another driver's packet whose TTL ends: 1232", sendBack(handle, a, 3 * each, 3) === -1232);
  a.bytes[a.packetsAt] = 0x15;
  check("what is no IP packet: 87", sendBack(handle, a, each, 1) === -87);
  divert.WinDivertClose(usize(handle));
  for (const [flag, what] of [[OpenFlag.ReceiveOnly, "sending"], [OpenFlag.SendOnly, "reading"]] as const) {
    const only = open(TO_SERVER, Layer.Network, 0, flag).handle;
    const code = flag === OpenFlag.ReceiveOnly ? -sendBack(only, a, each, 1) : read(only, a);
    check(`${what} where it may not: 87`, code === 87, code);
    divert.WinDivertClose(usize(only));
  }
}

async function watching(): Promise<void> {
  const a = new OverlappedBuffer(kernel32, 65_575);
  const each = HEAD_BYTES + 100;
  const sniffer = open(TO_SERVER, Layer.Network, 0, OpenFlag.Sniff | OpenFlag.ReceiveOnly).handle;
  answers.length = 0;
  await sendDatagrams(2);
  read(sniffer, a);
  const isSniffed = outcome(sniffer, a) === 2 * each && (readPacketAddress(a.view, 64).bits & AddressBit.Sniffed) !== 0;
  check("who sniffs gets copies", isSniffed && answers.length >= 2, answers);
  divert.WinDivertClose(usize(sniffer));
  const dropper = open(TO_SERVER, Layer.Network, 0, OpenFlag.Drop).handle;
  answers.length = 0;
  await sendDatagrams(2);
  read(dropper, a);
  check("who drops gets nothing, and nobody else either", outcome(dropper, a, 100) === -258 && answers.length === 0);
  divert.WinDivertClose(usize(dropper));
}

async function loopback(): Promise<void> {
  const { handle } = open("loopback and udp");
  const a = new OverlappedBuffer(kernel32, 65_575);
  const own = createSocket("udp4");
  const heard = new Promise<string>((resolve) => own.on("message", (bytes) => resolve(`heard ${bytes[0]}`)));
  await new Promise<void>((resolve) => own.bind(PORT, "127.0.0.1", resolve));
  await sendDatagrams(1, 100, "127.0.0.1");
  const passed = pass(handle, a);
  const { bits } = readPacketAddress(a.view, 64);
  const isOut = (bits & (AddressBit.Outbound | AddressBit.Loopback)) === (AddressBit.Outbound | AddressBit.Loopback);
  check("loopback packets are seen once, outbound", passed === 1 && isOut && pass(handle, a) === 0, passed, bits);
  check("and arrive", await Promise.race([heard, pause(1000)]) === "heard 0");
  own.close();
  divert.WinDivertClose(usize(handle));
}

async function events(): Promise<void> {
  const watch = open("udp", Layer.Socket, 0, OpenFlag.Sniff | OpenFlag.ReceiveOnly).handle;
  const flows = open("udp", Layer.Flow, 0, OpenFlag.Sniff | OpenFlag.ReceiveOnly).handle;
  const packets = open(TO_SERVER).handle;
  const [a, b, c] = [1, 2, 3].map(() => new OverlappedBuffer(kernel32, 65_575)) as [
    OverlappedBuffer,
    OverlappedBuffer,
    OverlappedBuffer,
  ];
  const other = createSocket("udp4");
  read(watch, a);
  read(flows, b);
  read(packets, c);
  await new Promise((resolve) => other.send("x", PORT, server, resolve));
  await pause(200);
  check("the packet comes", outcome(packets, c) === HEAD_BYTES + 1);
  const told = [outcome(watch, a), outcome(flows, b)];
  const [connect, established] = [a, b].map((buffer) => readEndpointEvent(buffer.view, 64));
  check("events have no packet", told.join() === "0,0" && a.addressLength === Size.WINDIVERT_ADDRESS, told);
  check(
    "a socket and a flow were told of before it",
    connect!.event === DivertEvent.SocketConnect &&
      established!.event === DivertEvent.FlowEstablished,
  );
  check(
    "with this process and its tuple",
    connect!.processId === Deno.pid && connect!.remotePort === PORT &&
      connect!.localPort === other.address().port && connect!.protocol === 17,
    connect,
    Deno.pid,
  );
  check("before the packet", a.view.getBigInt64(64, true) <= c.view.getBigInt64(64, true) + 10_000_000n);
  other.close();
  for (const handle of [watch, flows, packets]) divert.WinDivertClose(usize(handle));
}

/** What the real driver would answer with broken memory: the stand-in ends the program. */
function misuseOf(kind: string): void {
  const { handle } = open(TO_SERVER);
  const a = new OverlappedBuffer(kernel32, 65_575);
  read(handle, a);
  if (kind === "twice") read(handle, a);
  divert.WinDivertClose(usize(handle));
  if (kind === "closed") read(handle, a);
}

if (misuse !== undefined) misuseOf(misuse);
else {
  opening();
  await batches();
  await injecting();
  await watching();
  await loopback();
  await events();
}
socket.close();
console.log("END");
