/** Names of users, from /etc/passwd. Read first: passwd(5). */
import { USER_LIST_FRESH_US } from "../../core/base/limits.ts";

/** The list of users; it is read again, but not often, for a user that it does not have. */
export class UserNames {
  readonly #read: () => string | undefined;
  readonly #clock: () => number;
  #names: ReadonlyMap<number, string> = new Map();
  #readAt = -Infinity;

  /** `clock` in µs. */
  constructor(read: () => string | undefined, clock: () => number) {
    this.#read = read;
    this.#clock = clock;
  }

  /** The name of a user; "" when nobody knows it. */
  nameOf(uid: number): string {
    const known = this.#names.get(uid);
    if (known !== undefined) return known;
    const now = this.#clock();
    if (now - this.#readAt < USER_LIST_FRESH_US) return "";
    this.#readAt = now;
    this.#names = parsePasswd(this.#read() ?? "");
    return this.#names.get(uid) ?? "";
  }
}

/** Users by number; of two names for one number the first counts, as getpwuid(3) has it. */
export function parsePasswd(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , uid] = line.split(":");
    if (name === undefined || name === "" || uid === undefined || !/^\d+$/.test(uid)) continue;
    if (!names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}
