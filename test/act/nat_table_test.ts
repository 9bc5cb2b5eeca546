import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { NatPhase, NatTable, NO_ENTRY } from "../../core/act/nat_table.ts";
import { KEY_WORDS, PORTS } from "../../core/act/tuple_index.ts";
import {
  NAT_BROKEN_US,
  NAT_CLOSING_IDLE_US,
  NAT_TIME_WAIT_US,
  TCP_EMBRYONIC_IDLE_US,
  TCP_IDLE_US,
} from "../../core/base/limits.ts";
import { micros, NEVER } from "../../core/base/micros.ts";
import { ACKNOWLEDGMENT, PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import * as tcp from "../../core/wire/tcp.ts";

const FLAGS: Readonly<Record<string, number>> = { S: tcp.SYN, A: tcp.ACK, F: tcp.FIN, R: tcp.RST };

function key(number: number): Uint32Array {
  const words = new Uint32Array(KEY_WORDS).fill(number & 3);
  words[PORTS] = number;
  return words;
}

function segment(flags: string, sequence: number, acknowledgment: number, length = 0): PacketMeta {
  const meta = new PacketMeta();
  meta.flags = [...flags].reduce((bits, letter) => bits | FLAGS[letter]!, 0);
  meta.words[SEQUENCE] = sequence;
  meta.words[ACKNOWLEDGMENT] = acknowledgment;
  meta.payloadLength = length;
  return meta;
}

/** Whether the application sends it, its flags, sequence, acknowledgment, length, and the phase after it. */
type Line = readonly [boolean, string, number, number, number, NatPhase];

const { Opening, Open, Closing, TimeWait, Broken } = NatPhase;
const HANDSHAKE: readonly Line[] = [[true, "S", 99, 0, 0, Opening], [false, "SA", 499, 100, 0, Open]];

Deno.test("NatTable.observe() follows a connection to its end, and no single FIN ends it", () => {
  const plays: readonly (readonly Line[])[] = [
    // The application closes first; the server goes on for as long as it likes.
    [
      [true, "FA", 100, 500, 10, Open],
      [false, "A", 500, 111, 0, Open],
      [false, "A", 500, 111, 1000, Open],
      [false, "FA", 1500, 111, 0, Closing],
      [true, "A", 111, 1501, 0, TimeWait],
    ],
    // Both at once; each FIN is acknowledged on its own.
    [
      [false, "FA", 500, 100, 0, Open],
      [true, "FA", 100, 500, 0, Closing],
      [true, "A", 101, 501, 0, Closing],
      [false, "A", 501, 101, 0, TimeWait],
      [false, "FA", 500, 101, 0, TimeWait],
    ],
    // An acknowledgment of less than the FIN is none of it.
    [
      [true, "FA", 100, 500, 0, Open],
      [false, "FA", 500, 100, 0, Closing],
      [true, "A", 101, 501, 0, Closing],
      [false, "A", 501, 100, 0, Closing],
      [false, "A", 501, 101, 0, TimeWait],
    ],
    // A reset that nobody believed.
    [[true, "R", 77, 0, 0, Broken], [false, "A", 500, 100, 0, Open]],
    [[false, "RA", 500, 100, 0, Broken]],
  ];
  for (const play of plays) {
    const table = new NatTable(1, 4);
    const entry = table.add(key(1), key(2), 7, 99, micros(0));
    [...HANDSHAKE, ...play].forEach(([isApp, flags, sequence, acknowledgment, length, phase], line) => {
      table.observe(entry, segment(flags, sequence, acknowledgment, length), isApp, micros(line));
      assertEquals(table.phaseOf(entry), phase, `line ${line}`);
    });
  }
});

Deno.test("NatTable.observe() follows sequence numbers over their end", () => {
  const table = new NatTable(1, 4);
  const entry = table.add(key(1), key(2), 7, 0xffff_fffe, micros(0));
  table.observe(entry, segment("S", 0xffff_fffe, 0), true, micros(0));
  table.observe(entry, segment("SA", 0xffff_ffff, 0xffff_ffff), false, micros(0));
  table.observe(entry, segment("A", 0xffff_ffff, 0, 10), true, micros(0));
  assertEquals([table.appNext[entry], table.listenerNext[entry]], [9, 0]);
  table.observe(entry, segment("FA", 9, 0), true, micros(0));
  table.observe(entry, segment("FA", 0, 10), false, micros(0));
  table.observe(entry, segment("A", 10, 1), true, micros(0));
  assertEquals(table.phaseOf(entry), TimeWait);
});

Deno.test("NatTable tells repeated SYNs from new connections", () => {
  const table = new NatTable(1, 4);
  const entry = table.add(key(1), key(2), 7, 99, micros(0));
  assertEquals([table.isRepeatedSyn(entry, 99), table.isRepeatedSyn(entry, 100)], [true, false]);
  table.abort(entry, false, micros(0));
  assertEquals(table.isRepeatedSyn(entry, 99), false);
});

Deno.test("NatTable makes room by what means least, and counts it", () => {
  const table = new NatTable(1, 4);
  const entries = [1, 2, 3, 4].map((n) => table.add(key(n), key(n + 100), n, 0, micros(n)));
  for (const entry of entries) table.observe(entry, segment("SA", 1, 1), false, micros(10 + entry));
  table.abort(entries[2]!, false, micros(20));
  table.add(key(5), key(105), 5, 0, micros(21));
  assertEquals([table.entryOf(3), table.count, table.evicted], [NO_ENTRY, 4, 1]);
  // Then the one that never opened, then the oldest open one.
  table.add(key(6), key(106), 6, 0, micros(22));
  table.observe(table.entryOf(6), segment("SA", 1, 1), false, micros(23));
  table.add(key(7), key(107), 7, 0, micros(24));
  const alive = [1, 2, 3, 4, 5, 6, 7].filter((flow) => table.entryOf(flow) !== NO_ENTRY);
  assertEquals([alive, table.evicted], [[2, 4, 6, 7], 3]);
});

const IDLE: readonly number[] = [
  TCP_EMBRYONIC_IDLE_US,
  TCP_IDLE_US,
  NAT_CLOSING_IDLE_US,
  NAT_TIME_WAIT_US,
  NAT_BROKEN_US,
];

interface Known {
  readonly back: number;
  readonly flow: number;
  phase: NatPhase;
  last: number;
  isAnswered: boolean;
  isAborted: boolean;
  /** Sequence numbers after each side's FIN, and which of them were acknowledged. */
  readonly fins: Map<boolean, number>;
  readonly acked: Set<boolean>;
}

/** The same in plain maps, slowly, for sequence numbers that do not wrap. */
class Oracle {
  readonly entries = new Map<number, Known>();

  observe(known: Known, flags: string, sequence: number, ack: number, length: number, isApp: boolean): void {
    const has = (letter: string) => flags.includes(letter);
    if (has("S") && !isApp) known.isAnswered = true;
    if (has("F")) known.fins.set(isApp, sequence + length + 1 + (has("S") ? 1 : 0));
    const other = known.fins.get(!isApp);
    if (has("A") && other !== undefined && ack >= other) known.acked.add(!isApp);
    if (has("R")) known.phase = NatPhase.Broken;
    else if (known.acked.size === 2) known.phase = NatPhase.TimeWait;
    else if (known.fins.size === 2) known.phase = NatPhase.Closing;
    else if (known.isAborted) known.phase = NatPhase.Broken;
    else known.phase = known.isAnswered ? NatPhase.Open : NatPhase.Opening;
  }

  expire(now: number): void {
    for (const [tuple, { phase, last }] of this.entries) if (last + IDLE[phase]! <= now) this.entries.delete(tuple);
  }

  next(): number {
    return Math.min(NEVER, ...[...this.entries.values()].map(({ phase, last }) => last + IDLE[phase]!));
  }
}

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("add", "observe", "observe", "observe", "abort", "wait", "remove"),
    tuple: fc.nat(20),
    isApp: fc.boolean(),
    flags: fc.constantFrom("S", "SA", "A", "A", "FA", "R", "F"),
    sequence: fc.nat(20),
    acknowledgment: fc.nat(20),
    length: fc.nat(5),
    waitUs: fc.constantFrom(1, 1_000, NAT_BROKEN_US, NAT_TIME_WAIT_US, TCP_EMBRYONIC_IDLE_US, TCP_IDLE_US),
  }),
  { maxLength: 200 },
);

Deno.test("NatTable finds, forgets and expires what plain maps do, over random interleavings", () => {
  fc.assert(
    fc.property(steps, (list) => {
      const table = new NatTable(3, 32);
      const oracle = new Oracle();
      let now = 0;
      let flows = 0;
      for (const step of list) {
        now += step.kind === "wait" ? step.waitUs : 1;
        oracle.expire(now);
        for (let entry = table.expired(micros(now)); entry !== NO_ENTRY; entry = table.expired(micros(now))) {
          table.remove(entry);
        }
        const known = oracle.entries.get(step.tuple);
        const entry = table.original.find(key(step.tuple));
        assertEquals(entry !== NO_ENTRY, known !== undefined);
        if (step.kind === "add" && known === undefined) {
          const back = 1_000 + flows;
          const flow = flows++;
          table.add(key(step.tuple), key(back), flow, step.sequence, micros(now));
          oracle.entries.set(step.tuple, {
            ...{ back, flow, phase: NatPhase.Opening, last: now, isAnswered: false, isAborted: false },
            fins: new Map(),
            acked: new Set(),
          });
        } else if (known !== undefined) {
          assertEquals([table.translated.find(key(known.back)), table.entryOf(known.flow)], [entry, entry]);
          if (step.kind === "remove") {
            table.remove(entry);
            oracle.entries.delete(step.tuple);
          } else if (step.kind === "abort") {
            table.abort(entry, false, micros(now));
            known.isAborted = true;
            known.phase = NatPhase.Broken;
            known.last = now;
          } else if (step.kind === "observe") {
            const meta = segment(step.flags, step.sequence, step.acknowledgment, step.length);
            table.observe(entry, meta, step.isApp, micros(now));
            oracle.observe(known, step.flags, step.sequence, step.acknowledgment, step.length, step.isApp);
            assertEquals(table.phaseOf(entry), known.phase);
            known.last = now;
          }
        }
        assertEquals([table.count, table.nextExpiry()], [oracle.entries.size, oracle.next()]);
      }
    }),
    { seed: 11, numRuns: 300 },
  );
});
