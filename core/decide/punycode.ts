/**
 * Domain names as DNS carries them: lower case, labels outside ASCII in Punycode.
 *
 * Read first: RFC 3492 section 6.3 (encoding), section 5 (parameters of Punycode).
 * Like Go's `idna.ToASCII` nothing else is mapped or refused: a rule must be able to name what DNS lets through.
 */

const BASE = 36;
const T_MIN = 1;
const T_MAX = 26;
const SKEW = 38;
const DAMP = 700;
const INITIAL_BIAS = 72;
const INITIAL_N = 128;

function adapt(delta: number, pointCount: number, first: boolean): number {
  let left = first ? Math.floor(delta / DAMP) : delta >> 1;
  left += Math.floor(left / pointCount);
  let k = 0;
  while (left > ((BASE - T_MIN) * T_MAX) >> 1) {
    left = Math.floor(left / (BASE - T_MIN));
    k += BASE;
  }
  return k + Math.floor(((BASE - T_MIN + 1) * left) / (left + SKEW));
}

function digit(value: number): string {
  return String.fromCharCode(value < 26 ? value + 0x61 : value - 26 + 0x30);
}

/** The Punycode of one label, without the prefix `xn--`. Source: RFC 3492 section 6.3. */
export function encodePunycode(label: string): string {
  const points = Array.from(label, (character) => character.codePointAt(0)!);
  let output = points.filter((point) => point < INITIAL_N).map((point) => String.fromCharCode(point)).join("");
  const basicCount = output.length;
  let handled = basicCount;
  if (basicCount > 0) output += "-";
  let n = INITIAL_N;
  let delta = 0;
  let bias = INITIAL_BIAS;
  while (handled < points.length) {
    let next = Infinity;
    for (const point of points) if (point >= n && point < next) next = point;
    delta += (next - n) * (handled + 1);
    n = next;
    for (const point of points) {
      if (point < n) delta++;
      if (point !== n) continue;
      let q = delta;
      for (let k = BASE;; k += BASE) {
        const t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        if (q < t) break;
        output += digit(t + ((q - t) % (BASE - t)));
        q = Math.floor((q - t) / (BASE - t));
      }
      output += digit(q);
      bias = adapt(delta, handled + 1, handled === basicCount);
      delta = 0;
      handled++;
    }
    delta++;
    n++;
  }
  return output;
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** A name in lower case with every label in ASCII; labels with `*`, `?` or `+` stay as they are, so that patterns keep their meaning. */
export function toAsciiName(name: string): string {
  const lower = name.toLowerCase();
  if (isAscii(lower)) return lower;
  return lower.split(/[.\u3002\uff0e\uff61]/).map((label) =>
    isAscii(label) || /[*?+]/.test(label) ? label : `xn--${encodePunycode(label)}`
  ).join(".");
}
