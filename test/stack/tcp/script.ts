/**
 * A conversation with one connection, in the notation of packetdrill:
 *
 *   `S. 0:0(0) ack 1 win 32767 <mss 1460,sackOK>`      flags, sequence numbers from the first one on, options
 *
 * `take` gives such a segment to the connection; `expect` compares what it sent. What an expectation leaves out (window, options) is not
 * compared. Letters: S F R P E W and `.` for ACK.
 */
import { assert, assertEquals } from "@std/assert";
import { type Micros, micros } from "../../../core/base/micros.ts";
import type { TcpConnection } from "../../../core/stack/tcp/connection.ts";
import { SynFacts } from "../../../core/stack/tcp/syn_facts.ts";
import type { TcpOptions } from "../../../core/stack/tcp/tcp_options.ts";
import { End, type Sent } from "./lab.ts";

const LETTERS: readonly [string, number][] = [["S", 2], ["F", 1], ["R", 4], ["P", 8], ["E", 0x40], ["W", 0x80], [
  ".",
  0x10,
]];
const LINE = /^([SFRPEW.]+) (\d+):(\d+)\((\d+)\)(?: ack (\d+))?(?: win (\d+))?(?: <([^>]*)>)?$/;

interface Line {
  flags: string;
  seq: number;
  length: number;
  ack: number;
  win: number;
  options: string | undefined;
}

function parseLine(text: string): Line {
  const found = LINE.exec(text.trim());
  assert(found !== null, `not a segment: ${text}`);
  const [, flags, seq, end, length, ack, win, options] = found;
  assertEquals(Number(end) - Number(seq), Number(length), text);
  return {
    flags: flags!,
    seq: Number(seq),
    length: Number(length),
    ack: ack === undefined ? -1 : Number(ack),
    win: win === undefined ? -1 : Number(win),
    options,
  };
}

/** One connection of ours and the hand-made peer. */
export class Script {
  readonly end: End;
  readonly connection: TcpConnection;
  now: Micros = micros(10_000_000);
  /** The peer's first sequence number; close to the end of the number space by choice. */
  readonly irs: number;
  /** What the peer's next timestamp says; −1: it sends none. */
  ts = -1;
  #peerWindow = 65_535;
  readonly #sent: { text: Line; raw: Sent }[] = [];

  constructor(options: Partial<TcpOptions> = {}, irs = 0xffff_ff00) {
    this.end = new End(7, {
      timestamps: false,
      windowScale: -1,
      receiveBufferBytes: 65_536,
      receiveBufferBytesMax: 65_536,
      quickAckSegments: 0,
      ...options,
    });
    this.end.iss = 0xffff_fff0;
    this.irs = irs;
    this.connection = this.end.connection;
    this.end.onSend = (raw) => this.#sent.push({ text: this.#read(raw), raw });
  }

  /** Lets time pass, running timers when they are due. */
  wait(durationUs: number): this {
    const until = this.now + durationUs;
    for (let rounds = 0; this.connection.deadline <= until; rounds++) {
      assert(rounds < 10_000, "timers run without end");
      this.now = micros(Math.max(this.now, this.connection.deadline));
      this.connection.timer(this.now);
    }
    this.now = micros(until);
    return this;
  }

  /** Gives the connection a segment. */
  take(text: string, ecn = 0): this {
    this.end.deliver(this.build(text), ecn, this.now);
    return this;
  }

  /** The connection sent exactly these segments since the last call. */
  expect(...lines: string[]): this {
    const seen = this.#sent.splice(0);
    const shown = seen.map(({ text }) => show(text));
    assertEquals(seen.length, lines.length, `sent ${JSON.stringify(shown)}, expected ${JSON.stringify(lines)}`);
    lines.forEach((line, i) => {
      const wanted = parseLine(line);
      const actual = { ...seen[i]!.text };
      if (wanted.win < 0) actual.win = -1;
      if (wanted.options === undefined) actual.options = undefined;
      assertEquals(show(actual), show(wanted), `segment ${i + 1} of ${JSON.stringify(shown)}`);
    });
    return this;
  }

  /** What was sent and not expected yet, with ECN bits and bytes. */
  drain(): Sent[] {
    return this.#sent.splice(0).map(({ raw }) => raw);
  }

  /** Writes `length` bytes. */
  write(length: number): number {
    return this.connection.send(new Uint8Array(length), 0, length, this.now);
  }

  /** Reads up to `length` bytes; returns how many came. */
  read(length: number): number {
    return this.connection.receive(new Uint8Array(length), 0, length, this.now);
  }

  /** ESTABLISHED by the peer's SYN. */
  accept(synOptions = "mss 1460,sackOK", window = 65_535): this {
    this.take(`S 0:0(0) win ${window} <${synOptions}>`);
    this.wait(10_000);
    this.take(`. 1:1(0) ack 1 win ${window}`);
    this.drain();
    assertEquals(this.connection.state, 4);
    return this;
  }

  /** ESTABLISHED by our SYN. */
  connect(synOptions = "mss 1460,sackOK", window = 65_535): this {
    this.connection.openActive(this.now);
    this.wait(10_000);
    this.take(`S. 0:0(0) ack 1 win ${window} <${synOptions}>`);
    this.drain();
    assertEquals(this.connection.state, 4);
    return this;
  }

  /** The bytes of a segment in the notation. */
  build(text: string): Uint8Array {
    const line = parseLine(text);
    const options = this.#options(line.options ?? "");
    if (this.ts >= 0 && !(line.options ?? "").includes("TS")) {
      options.unshift(1, 1, 8, 10, ...be32(this.ts), ...be32(this.connection.timestampAt(this.now)));
    }
    while (options.length % 4 !== 0) options.push(0);
    const bytes = new Uint8Array(20 + options.length + line.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 2000);
    view.setUint16(2, 1000);
    view.setUint32(4, this.irs + line.seq);
    view.setUint32(8, line.ack >= 0 ? this.end.iss + line.ack : 0);
    bytes[12] = ((20 + options.length) / 4) << 4;
    bytes[13] = LETTERS.reduce((bits, [letter, bit]) => bits | (line.flags.includes(letter) ? bit : 0), 0);
    if (line.win >= 0) this.#peerWindow = line.win;
    view.setUint16(14, this.#peerWindow);
    bytes.set(options, 20);
    for (let i = 0; i < line.length; i++) bytes[20 + options.length + i] = (line.seq + i) & 255;
    return bytes;
  }

  #options(text: string): number[] {
    const bytes: number[] = [];
    for (const each of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
      const [name, ...values] = each.split(" ");
      if (name === "mss") bytes.push(2, 4, Number(values[0]) >> 8, Number(values[0]) & 255);
      else if (name === "nop") bytes.push(1);
      else if (name === "eol") bytes.push(0);
      else if (name === "wscale") bytes.push(3, 3, Number(values[0]));
      else if (name === "sackOK") bytes.push(4, 2);
      else if (name === "TS") bytes.push(8, 10, ...be32(Number(values[1])), ...be32(Number(values[3])));
      else if (name === "sack") {
        bytes.push(5, 2 + 8 * values.length);
        for (const range of values) {
          const [start, end] = range.split(":").map(Number);
          bytes.push(...be32(this.end.iss + start!), ...be32(this.end.iss + end!));
        }
      } else throw new Error(`no such option: ${each}`);
    }
    return bytes;
  }

  #read(sent: Sent): Line {
    const view = new DataView(sent.bytes.buffer, sent.bytes.byteOffset);
    const header = (view.getUint8(12) >>> 4) * 4;
    const bits = view.getUint8(13);
    const flags = LETTERS.filter(([, bit]) => (bits & bit) !== 0).map(([letter]) => letter).join("");
    return {
      flags,
      seq: (view.getUint32(4) - this.end.iss) >>> 0,
      length: sent.bytes.length - header,
      ack: (bits & 0x10) !== 0 ? (view.getUint32(8) - this.irs) >>> 0 : -1,
      win: view.getUint16(14),
      options: this.#readOptions(view, header),
    };
  }

  #readOptions(view: DataView, header: number): string {
    const found: string[] = [];
    for (let at = 20; at < header;) {
      const kind = view.getUint8(at);
      if (kind < 2) {
        found.push(kind === 0 ? "eol" : "nop");
        at++;
        continue;
      }
      const length = view.getUint8(at + 1);
      if (kind === 2) found.push(`mss ${view.getUint16(at + 2)}`);
      else if (kind === 3) found.push(`wscale ${view.getUint8(at + 2)}`);
      else if (kind === 4) found.push("sackOK");
      else if (kind === 8) found.push("TS");
      else if (kind === 5) {
        const ranges: string[] = [];
        for (let i = at + 2; i < at + length; i += 8) {
          ranges.push(`${(view.getUint32(i) - this.irs) >>> 0}:${(view.getUint32(i + 4) - this.irs) >>> 0}`);
        }
        found.push(`sack ${ranges.join(" ")}`);
      } else found.push(`option ${kind}`);
      at += length;
    }
    return found.join(",");
  }
}

function be32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function show(line: Line): string {
  const ack = line.ack >= 0 ? ` ack ${line.ack}` : "";
  const win = line.win >= 0 ? ` win ${line.win}` : "";
  const options = line.options !== undefined ? ` <${line.options}>` : "";
  return `${line.flags} ${line.seq}:${line.seq + line.length}(${line.length})${ack}${win}${options}`;
}

/** The facts of a SYN in the notation, for openings that the stack would make. */
export function factsOf(script: Script, text: string): SynFacts {
  const facts = new SynFacts();
  const meta = script.end.place(script.build(text));
  facts.read(script.end.view, meta);
  return facts;
}
