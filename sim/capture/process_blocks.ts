/**
 * Processes in a pcapng file: three forms that are read, one of which is written.
 *
 * Read first: draft-ietf-opsawg-pcapng sections 3.5 (options), 4.3 (epb_processid_threadid) and 4.8 (custom block).
 *
 * ## weir's recorder
 *
 * `weir record` and `weir replay --out` write Apple's form with two options more: readers that know it show the process, and others pass
 * over it, while custom blocks are counted as packets by some (Wireshark 4.0). Before the first packet of a process stands its block, in
 * the section's byte order:
 *
 *        0  block type 0x80000001
 *        4  block total length
 *        8  process id; 0 when it is not known
 *       12  options: 2 name, 3 path, 6 uid (32 bits), 7 user; texts are UTF-8, what is not known is left out
 *        …  block total length
 *
 * A packet of the process has option 0x8001 (32 bits): the index of that block among the section's blocks of this type, from 0, and
 * its direction in epb_flags. A process id that is used again gets a block of its own. Options 6 and 7 have the codes that Wireshark's
 * process information blocks give them.
 *
 * ## Others
 *
 * Apple's tcpdump writes such blocks with 2 name, 3 path and 4 UUID. In its packets 0x8001 is the owner of the socket, 0x8003 the process
 * on whose behalf the owner acts, and 0x8002 the service class. The owner is the process of a packet, as a lookup on the live machine would
 * find it; 0x8003 serves when it is alone.
 *
 * Recent versions of Wireshark have process information entries in custom blocks of its enterprise number, all little-endian from offset 12 on:
 *
 *        0  block type 0x00000bad
 *        4  block total length
 *        8  32622 (the enterprise number, section byte order)
 *       12  3 (process information)
 *       16  length of the entry, from offset 20 to the end of its options
 *       20  process id
 *       24  options: 2 name, 3 path, 6 uid, 7 user, 9 start time (ns since the epoch, 64 bits); 4 command line, 5 parent and 8 UUID
 *           are passed over
 *
 * Packets carry epb_processid_threadid (option 8: two words). A packet belongs to the last entry above it with its id whose start time is
 * not after the packet, or to the first when all are; an entry without a start time starts with its place in the file.
 *
 * Source: Apple's libpcap, pcap/pcap-ng.h; Wireshark, wiretap/pcapng-darwin-custom.c, wiretap/pcapng-wireshark-custom.c and
 * test/captures/_gen_process_info_blocks.py.
 */
import { CAPTURE_FACT_COUNT_MAX, CAPTURE_PROCESS_HISTORY_MAX, CAPTURE_TEXT_BYTES_MAX } from "../../core/base/limits.ts";
import { OptionCursor } from "./pcapng_options.ts";
import { convertTime, type MutableTime, type TimeScale } from "./pcapng_time.ts";
import type { ProcessFact } from "./record.ts";

/** The enterprise number of Wireshark's custom blocks. */
export const WIRESHARK_PEN = 32622;

/** The entry type of a process in such a block. */
export const WIRESHARK_ENTRY_PROCESS = 3;

/** Options of a process in either form. */
export const PROCESS_OPTION = { NAME: 2, PATH: 3, UID: 6, USER: 7, START_TIME: 9 } as const;

const START_TIME_SCALE: TimeScale = { resolution: 9, offsetUs: 0 };
const utf8 = new TextDecoder();

/** The text of an option or a name, without what follows a NUL, cut at `CAPTURE_TEXT_BYTES_MAX`. */
export function captureText(view: DataView, at: number, length: number): string {
  let end = 0;
  while (end < length && end < CAPTURE_TEXT_BYTES_MAX && view.getUint8(at + end) !== 0) end++;
  return utf8.decode(new Uint8Array(view.buffer, view.byteOffset + at, end));
}

/** The last part of a path of either system. */
export function processNameOf(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
}

interface KnownProcess {
  readonly fact: ProcessFact;
  /** Units: µs since the epoch; −Infinity when the entry does not say. */
  readonly startUs: number;
}

/** The processes that one section has named so far. */
export class ProcessTable {
  /** Blocks that were malformed or too many. */
  ignored = 0;
  #darwin: (ProcessFact | undefined)[] = [];
  #byId: Map<number, KnownProcess[]> = new Map();
  #count = 0;
  readonly #options = new OptionCursor();
  readonly #time: MutableTime = { timestampUs: 0, timestampNsRest: 0 };

  /** Forgets everything: a new section begins. */
  clear(): void {
    if (this.#count === 0) return;
    this.#darwin = [];
    this.#byId = new Map();
    this.#count = 0;
  }

  /** Takes a block 0x80000001; every one counts for the index, a malformed one too. */
  addDarwinBlock(view: DataView, at: number, length: number, littleEndian: boolean): void {
    if (++this.#count > CAPTURE_FACT_COUNT_MAX) {
      this.ignored++;
      return;
    }
    if (length < 4) {
      this.ignored++;
      this.#darwin.push(undefined);
      return;
    }
    const pid = view.getUint32(at, littleEndian);
    this.#darwin.push(this.#read(pid, view, at + 4, at + length, littleEndian).fact);
  }

  /** Takes a custom block of Wireshark's; entries that are not processes are passed over. Shape: `at` is behind the enterprise number. */
  addWiresharkBlock(view: DataView, at: number, length: number): void {
    if (length < 8 || view.getUint32(at, true) !== WIRESHARK_ENTRY_PROCESS) return;
    const entryLength = view.getUint32(at + 4, true);
    if (entryLength < 4 || entryLength > length - 8 || ++this.#count > CAPTURE_FACT_COUNT_MAX) {
      this.ignored++;
      return;
    }
    const id = view.getUint32(at + 8, true);
    const known = this.#read(id, view, at + 12, at + 8 + entryLength, true);
    const list = this.#byId.get(id);
    if (list === undefined) this.#byId.set(id, [known]);
    else if (list.push(known) > CAPTURE_PROCESS_HISTORY_MAX) list.shift();
  }

  /** The process of a section's block by its index. */
  byDarwinIndex(index: number): ProcessFact | undefined {
    return this.#darwin[index];
  }

  /** The process that had an id at a time; one that no block describes has an id and nothing else. Units: `atUs` is µs since the epoch. */
  byId(id: number, atUs: number): ProcessFact | undefined {
    const list = this.#byId.get(id);
    if (list === undefined) {
      if (id === 0 || ++this.#count > CAPTURE_FACT_COUNT_MAX) return undefined;
      const fact: ProcessFact = { path: "", name: "", pid: id, user: "", uid: undefined };
      this.#byId.set(id, [{ fact, startUs: -Infinity }]);
      return fact;
    }
    for (let i = list.length - 1; i >= 0; i--) {
      if (list[i]!.startUs <= atUs) return list[i]!.fact;
    }
    return list[0]!.fact;
  }

  /** The options that both forms have in common mean the same; a start time is of no use to blocks that go by their index. */
  #read(id: number, view: DataView, at: number, end: number, littleEndian: boolean): KnownProcess {
    const options = this.#options;
    let path = "", name = "", user = "";
    let uid: number | undefined;
    let startUs = -Infinity;
    options.start(view, at, end, littleEndian);
    while (options.next()) {
      const { code, valueAt, valueLength } = options;
      if (code === PROCESS_OPTION.NAME) name = captureText(view, valueAt, valueLength);
      else if (code === PROCESS_OPTION.PATH) path = captureText(view, valueAt, valueLength);
      else if (code === PROCESS_OPTION.USER) user = captureText(view, valueAt, valueLength);
      else if (code === PROCESS_OPTION.UID && valueLength === 4) uid = view.getUint32(valueAt, littleEndian);
      else if (code === PROCESS_OPTION.START_TIME && valueLength === 8) {
        const low = view.getUint32(valueAt + (littleEndian ? 0 : 4), littleEndian);
        const high = view.getUint32(valueAt + (littleEndian ? 4 : 0), littleEndian);
        convertTime(START_TIME_SCALE, high, low, this.#time);
        startUs = this.#time.timestampUs;
      }
    }
    if (options.malformed) this.ignored++;
    return { fact: { path, name: name === "" ? processNameOf(path) : name, pid: id, user, uid }, startUs };
  }
}
