/**
 * The option list at the end of a pcapng block.
 *
 * Read first: draft-ietf-opsawg-pcapng section 3.5.
 *
 *      one option
 *   0  code   (0 ends the list)
 *   2  length of the value, without padding
 *   4  value, padded to a multiple of 4
 */

/** Options that every block may have. */
export const OPTION = { END: 0, COMMENT: 1 } as const;

/** Walks one option list after another. Shape: after `next()` is true, `code`, `valueAt` and `valueLength` describe one option. */
export class OptionCursor {
  code = 0;
  valueAt = 0;
  valueLength = 0;
  /** True when the list ended inside an option; what came before it was good. */
  malformed = false;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #end = 0;
  #littleEndian = true;

  start(view: DataView, at: number, end: number, littleEndian: boolean): void {
    this.#view = view;
    this.#at = at;
    this.#end = end;
    this.#littleEndian = littleEndian;
    this.malformed = false;
  }

  next(): boolean {
    const at = this.#at;
    if (this.#end - at < 4) {
      this.malformed = this.#end > at;
      return false;
    }
    const code = this.#view.getUint16(at, this.#littleEndian);
    if (code === OPTION.END) return false;
    const length = this.#view.getUint16(at + 2, this.#littleEndian);
    if (length > this.#end - at - 4) {
      this.malformed = true;
      return false;
    }
    this.code = code;
    this.valueAt = at + 4;
    this.valueLength = length;
    this.#at = Math.min(at + 4 + ((length + 3) & ~3), this.#end);
    return true;
  }
}
