/**
 * Cuts a filter into tokens, with WinDivert's positions.
 *
 * Read first: WinDivert 2.2 documentation section 7. Some positions are odd (a word before a lone colon is reported one too early, the
 * character after a wrong sign is blamed instead of it); programs show them to users, so they are kept.
 */
import { FILTER_TOKEN_CHARS_MAX, FILTER_TOKENS_MAX } from "../base/limits.ts";
import { type Field, fieldByName, fieldFitsLayer } from "./fields.ts";
import { LAYER_FLOW, LAYER_NETWORK, LAYER_NETWORK_FORWARD, LAYER_REFLECT, LAYER_SOCKET } from "./layer.ts";
import { parseDecimal, parseHex, parseIpv4Literal, parseIpv6Literal } from "./number_text.ts";
import { RELATION, type Relation } from "./syntax_tree.ts";
import { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";

/** What a token is. `bytes` is the suffix of `packet[4b]`; `misplaced` a macro of another layer, which fits nowhere. */
export type TokenKind =
  | "field"
  | "number"
  | "relation"
  | "bytes"
  | "misplaced"
  | "("
  | ")"
  | "["
  | "]"
  | "-"
  | ":"
  | "?"
  | "not"
  | "and"
  | "or"
  | "end";

/** One token. `value` belongs to numbers, `field` to fields, `relation` to comparison signs. */
export interface Token {
  readonly kind: TokenKind;
  readonly position: number;
  readonly value?: bigint;
  readonly field?: Field;
  readonly relation?: Relation;
}

const PACKET_LAYERS = [LAYER_NETWORK, LAYER_NETWORK_FORWARD];

/** Macros that mean the same on every layer. */
const MACROS = new Map<string, bigint>([
  ["NETWORK", 0n],
  ["NETWORK_FORWARD", 1n],
  ["FLOW", 2n],
  ["SOCKET", 3n],
  ["REFLECT", 4n],
  ["TRUE", 1n],
  ["FALSE", 0n],
  ["TCP", 6n],
  ["UDP", 17n],
  ["ICMP", 1n],
  ["ICMPV6", 58n],
]);

/** Event macros: the number of the event, and the layers that have it. */
export const EVENTS: readonly (readonly [name: string, value: bigint, layers: readonly number[]])[] = [
  ["PACKET", 0n, PACKET_LAYERS],
  ["ESTABLISHED", 1n, [LAYER_FLOW]],
  ["DELETED", 2n, [LAYER_FLOW]],
  ["BIND", 3n, [LAYER_SOCKET]],
  ["CONNECT", 4n, [LAYER_SOCKET]],
  ["LISTEN", 5n, [LAYER_SOCKET]],
  ["ACCEPT", 6n, [LAYER_SOCKET]],
  ["CLOSE", 7n, [LAYER_SOCKET]],
  ["OPEN", 8n, [LAYER_REFLECT]],
  ["CLOSE", 9n, [LAYER_REFLECT]],
];

/** Signs, the longer before its own beginning. */
const SIGNS: readonly (readonly [text: string, kind: TokenKind, relation?: Relation])[] = [
  ["!=", "relation", RELATION.notEqual],
  ["!", "not"],
  ["==", "relation", RELATION.equal],
  ["=", "relation", RELATION.equal],
  ["<=", "relation", RELATION.atMost],
  ["<", "relation", RELATION.below],
  [">=", "relation", RELATION.atLeast],
  [">", "relation", RELATION.above],
  ["&&", "and"],
  ["||", "or"],
  ["(", "("],
  [")", ")"],
  ["[", "["],
  ["]", "]"],
  ["-", "-"],
  ["?", "?"],
];

const WORD = /[A-Za-z0-9.:_]/;
const WORDS = /[A-Za-z0-9.:_]*/y;
const SPACES = /[ \t\n\r\f\v]*/y;

/** WinDivert's position is an unsigned 32-bit number, so one before the beginning is the largest. */
function fail(message: string, position: number): never {
  throw new FilterSyntaxError(message, position >>> 0);
}

function eventToken(word: string, layer: number, position: number): Token | undefined {
  let known = false;
  for (const [name, value, layers] of EVENTS) {
    if (name !== word) continue;
    if (layers.includes(layer)) return { kind: "number", position, value };
    known = true;
  }
  return known ? { kind: "misplaced", position } : undefined;
}

function numberTokens(word: string, position: number): Token[] | undefined {
  const decimal = parseDecimal(word);
  if (decimal !== undefined) {
    const token: Token = { kind: "number", position, value: decimal.value };
    // The suffix is a token of its own to WinDivert, and one whose position is never set.
    return decimal.bytes ? [token, { kind: "bytes", position: 0 }] : [token];
  }
  const ipv4 = parseIpv4Literal(word);
  const value = parseHex(word) ?? (ipv4 === undefined ? parseIpv6Literal(word) : ipv4 | (0xffffn << 32n));
  return value === undefined ? undefined : [{ kind: "number", position, value }];
}

/** The tokens of one word; `blame` is where a mistake in it is reported. */
function wordTokens(word: string, layer: number, position: number, blame: number): Token[] {
  if (word === "and" || word === "or" || word === "not") return [{ kind: word, position }];
  const field = fieldByName(word);
  if (field !== undefined) {
    if (!fieldFitsLayer(field, layer)) fail(FILTER_MESSAGES.badTokenForLayer, blame);
    return [{ kind: "field", position, field }];
  }
  const macro = MACROS.get(word);
  if (macro !== undefined) return [{ kind: "number", position, value: macro }];
  const event = eventToken(word, layer, position);
  if (event !== undefined) return [event];
  if (word === "b") return []; // WinDivert reads a lone b and forgets it
  return numberTokens(word, position) ?? fail(FILTER_MESSAGES.badToken, blame);
}

/**
 * All tokens of a filter, the last one being `end`. A NUL character ends the filter, as it does in C.
 * Errors: `FilterSyntaxError` for a wrong word or sign, a field of another layer, or too many tokens.
 */
export function tokenize(source: string, layer: number): Token[] {
  const nul = source.indexOf("\0");
  const text = nul < 0 ? source : source.slice(0, nul);
  const tokens: Token[] = [];
  let at = 0;
  while (true) {
    if (tokens.length >= FILTER_TOKENS_MAX) fail(FILTER_MESSAGES.tooLong, at);
    SPACES.lastIndex = at;
    SPACES.test(text);
    at = SPACES.lastIndex;
    if (at >= text.length) {
      tokens.push({ kind: "end", position: at });
      return tokens;
    }
    const start = at;
    const first = text[at]!;
    if (first === ":" && text[at + 1] !== ":") {
      tokens.push({ kind: ":", position: at++ });
      continue;
    }
    const sign = SIGNS.find(([spelling]) => text.startsWith(spelling, start));
    if (sign !== undefined) {
      const [spelling, kind, relation] = sign;
      tokens.push(relation === undefined ? { kind, position: at } : { kind, position: at, relation });
      at += spelling.length;
      continue;
    }
    if (!WORD.test(first)) fail(FILTER_MESSAGES.badToken, at + 1);
    WORDS.lastIndex = at;
    WORDS.test(text);
    let word = text.slice(at, WORDS.lastIndex);
    if (word.length > FILTER_TOKEN_CHARS_MAX) fail(FILTER_MESSAGES.badToken, at);
    let blame = at;
    if (word.endsWith(":") && !word.endsWith("::")) {
      word = word.slice(0, -1); // the colon of a (…? …: …)
      blame = at - 1;
    }
    tokens.push(...wordTokens(word, layer, start, blame));
    at = start + word.length;
  }
}
