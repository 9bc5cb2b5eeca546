/**
 * Names of addresses in a pcapng file.
 *
 * Read first: draft-ietf-opsawg-pcapng section 4.5 (name resolution block).
 *
 *      one record
 *   0  type   0 end, 1 IPv4, 2 IPv6, 3 EUI-48, 4 EUI-64
 *   2  length of the value
 *   4  address, then names, each ended by a NUL; padded to a multiple of 4
 */
import { ipFromWords, ipv4FromWord } from "../../core/base/ip_address.ts";
import { CAPTURE_FACT_COUNT_MAX } from "../../core/base/limits.ts";
import { OptionCursor } from "./pcapng_options.ts";
import { captureText } from "./process_blocks.ts";
import type { CaptureNameRecord } from "./record.ts";

/** Types of name records that carry IP addresses. */
export const NAME_RECORD = { IPV4: 1, IPV6: 2 } as const;

/** The names of one capture: facts of all its sections together. */
export class NameTable {
  readonly records: CaptureNameRecord[] = [];
  /** Records that were malformed or too many. */
  ignored = 0;
  #nameCount = 0;
  // A record has the layout of an option, and type 0 ends the list in the same way.
  readonly #cursor = new OptionCursor();

  /** Takes a name resolution block's body; hardware addresses and unknown types are passed over. */
  addBlock(view: DataView, at: number, end: number, littleEndian: boolean): void {
    const cursor = this.#cursor;
    cursor.start(view, at, end, littleEndian);
    while (cursor.next()) {
      const { code, valueAt, valueLength } = cursor;
      const addressBytes = code === NAME_RECORD.IPV4 ? 4 : code === NAME_RECORD.IPV6 ? 16 : 0;
      if (addressBytes === 0) continue;
      if (valueLength <= addressBytes || this.#nameCount >= CAPTURE_FACT_COUNT_MAX) {
        this.ignored++;
        continue;
      }
      const word = (i: number) => view.getUint32(valueAt + 4 * i, false);
      const address = addressBytes === 4 ? ipv4FromWord(word(0)) : ipFromWords(word(0), word(1), word(2), word(3));
      const names = this.#names(view, valueAt + addressBytes, valueAt + valueLength);
      if (names.length > 0) this.records.push({ address, names });
    }
    if (cursor.malformed) this.ignored++;
  }

  #names(view: DataView, at: number, end: number): string[] {
    const names: string[] = [];
    let start = at;
    for (let i = at; i <= end && this.#nameCount < CAPTURE_FACT_COUNT_MAX; i++) {
      if (i < end && view.getUint8(i) !== 0) continue;
      if (i > start) {
        names.push(captureText(view, start, i - start));
        this.#nameCount++;
      }
      start = i + 1;
    }
    return names;
  }
}
