/** What is wrong with a filter, in the words of WinDivert's own `WinDivertHelperCompileFilter`. */

/** The messages of the real library, so that its documentation and users' experience apply. Source: WinDivert 2.2 error strings. */
export const FILTER_MESSAGES = {
  outOfMemory: "Out of memory",
  tooDeep: "Filter expression too deep",
  tooLong: "Filter expression too long",
  badToken: "Filter expression contains a bad token",
  badTokenForLayer: "Filter expression contains a bad token for layer",
  parse: "Filter expression parse error",
  indexOutOfBounds: "Filter expression array index is out-of-bounds",
  badObject: "Filter object is invalid",
} as const;

/** Raised for a filter that WinDivert would refuse. `position` is a character offset, with the same quirks as WinDivert's. */
export class FilterSyntaxError extends Error {
  override name = "FilterSyntaxError";
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}
