/**
 * Names with wildcards, looked up label by label from the right: `a.b` exact, `*.b` exactly one label, `.b` subdomains only,
 * `+.b` both `b` and its subdomains, `a.*.b`.
 *
 * Source: mihomo component/trie/domain.go. The most exact entry wins: a written label before `*`, `*` before a leading dot.
 */
import { DOMAIN_CHARS_MAX } from "../base/limits.ts";
import { toAsciiName } from "./punycode.ts";

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  value: T | undefined;
}

function newNode<T>(): Node<T> {
  return { children: new Map(), value: undefined };
}

/** The labels of a name, or undefined when it is none: empty, far too long, a final dot, an empty label after the first, spaces at its ends. */
export function splitName(name: string): string[] | undefined {
  if (name === "" || name.length > DOMAIN_CHARS_MAX || name.endsWith(".") || name.trim() !== name) return undefined;
  const labels = toAsciiName(name).split(".");
  return labels.includes("", 1) || (labels.length === 1 && labels[0] === "") ? undefined : labels;
}

/** A table from names with wildcards to values. */
export class DomainTrie<T> {
  readonly #root: Node<T> = newNode();
  #size = 0;

  /** How many names were added. */
  get size(): number {
    return this.#size;
  }

  /** Adds a name; a later one replaces an equal earlier one. False when it is not a name. */
  add(name: string, value: T): boolean {
    const labels = splitName(name);
    if (labels === undefined) return false;
    if (labels[0] === "+") {
      this.#put(labels.slice(1), value);
      this.#put(["", ...labels.slice(1)], value);
    } else this.#put(labels, value);
    this.#size++;
    return true;
  }

  /** The value of the most exact name that covers `host`, or undefined. */
  find(host: string): T | undefined {
    const labels = splitName(host);
    if (labels === undefined || labels[0] === "") return undefined;
    return this.#search(this.#root, labels, labels.length);
  }

  #put(labels: readonly string[], value: T): void {
    let node = this.#root;
    for (let i = labels.length - 1; i >= 0; i--) {
      let child = node.children.get(labels[i]!);
      if (child === undefined) node.children.set(labels[i]!, child = newNode());
      node = child;
    }
    node.value = value;
  }

  #search(node: Node<T>, labels: readonly string[], left: number): T | undefined {
    if (left === 0) return node.value;
    const exact = node.children.get(labels[left - 1]!);
    const byLabel = exact === undefined ? undefined : this.#search(exact, labels, left - 1);
    if (byLabel !== undefined) return byLabel;
    const star = node.children.get("*");
    const byStar = star === undefined ? undefined : this.#search(star, labels, left - 1);
    return byStar ?? node.children.get("")?.value;
  }
}
