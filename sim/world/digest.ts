/** A running digest of whatever happens in a world: two runs are the same when their digests are. */

/** Two 32-bit FNV-1a lanes with different starts and steps. Not for secrets. */
export class Digest {
  readonly #lanes = new Int32Array([0x811c9dc5 | 0, 0x2b3d5f71]);

  /** Mixes in a number; its low 32 bits count. */
  add(value: number): void {
    const lanes = this.#lanes;
    lanes[0] = Math.imul(lanes[0]! ^ value, 0x01000193);
    lanes[0] = lanes[0]! ^ (lanes[0]! >>> 15);
    lanes[1] = Math.imul(lanes[1]! ^ (value + 0x9e3779b9), 0x85ebca6b);
    lanes[1] = lanes[1]! ^ (lanes[1]! >>> 13);
  }

  /** Mixes in a time, of which more than 32 bits count. */
  addTime(at: number): void {
    this.add(at % 0x1_0000_0000);
    this.add(Math.floor(at / 0x1_0000_0000));
  }

  /** Mixes in a text. */
  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
    this.add(text.length);
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    const [a, b] = this.#lanes;
    return (a! >>> 0).toString(16).padStart(8, "0") + (b! >>> 0).toString(16).padStart(8, "0");
  }
}
