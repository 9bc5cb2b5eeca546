/** Finds the name that a mistyped one probably meant. */

/** Candidates longer than this are not compared: nobody mistypes them by a letter or two. Units: UTF-16 code units. */
const COMPARED_LENGTH_MAX = 64;

/**
 * The number of single-letter insertions, deletions, substitutions and swaps of neighbours between two words.
 * Source: optimal string alignment distance (Damerau 1964, Wagner and Fischer 1974).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a.charCodeAt(i - 1) === b.charCodeAt(j - 2) &&
        a.charCodeAt(i - 2) === b.charCodeAt(j - 1);
      if (swapped) best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/**
 * The known name nearest to `name`, when it is near enough to be a slip: letter case and `_` for `-` cost nothing, else at most one edit
 * in every three letters; names of one or two letters are too short to guess at.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > COMPARED_LENGTH_MAX) return undefined;
  const plain = name.toLowerCase().replaceAll("_", "-");
  const limit = plain.length <= 2 ? 0 : Math.max(1, Math.floor(plain.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - plain.length) >= bestDistance || candidate === name) continue;
    const distance = editDistance(plain, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
