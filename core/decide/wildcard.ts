/** Wildcards of the newer rule types: `*` stands for any characters, `?` for exactly one. Source: mihomo component/wildcard. */

/** True when the whole text fits the wildcard. Takes at most text × wildcard steps, whatever the wildcard. */
export function matchesWildcard(wildcard: string, text: string): boolean {
  let w = 0;
  let t = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (t < text.length) {
    const code = w < wildcard.length ? wildcard.charCodeAt(w) : -1;
    if (code === 0x2a) {
      starAt = w++;
      resumeAt = t;
    } else if (code === 0x3f || code === text.charCodeAt(t)) {
      w++;
      t++;
    } else if (starAt >= 0) {
      w = starAt + 1;
      t = ++resumeAt;
    } else {
      return false;
    }
  }
  while (w < wildcard.length && wildcard.charCodeAt(w) === 0x2a) w++;
  return w === wildcard.length;
}
