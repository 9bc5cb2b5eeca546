import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Prng } from "../../core/base/prng.ts";
import { DomainSet } from "../../core/decide/domain_set.ts";
import { DomainTable } from "../../core/decide/domain_table.ts";
import { HostScan } from "../../core/decide/host_scan.ts";
import { DomainTrie } from "../../core/decide/domain_trie.ts";
import { encodePunycode, toAsciiName } from "../../core/decide/punycode.ts";
import { randomName, randomPatternName } from "./random_rules.ts";

/** Entries, names they cover, names they do not. Source: the facts of mihomo's trie tests. */
const CASES: readonly (readonly [readonly string[], readonly string[], readonly string[]])[] = [
  [["example.com", "google.com", "localhost"], ["example.com", "localhost"], ["", "www.google.com", "com"]],
  [["*.example.com"], ["sub.example.com"], ["example.com", "a.b.example.com"]],
  [["sub.*.example.com"], ["sub.foo.example.com"], ["foo.sub.example.com", "sub.example.com"]],
  [["*.dev"], ["foo.dev"], ["foo.example.dev", "dev"]],
  [[".org", ".example.net"], ["test.org", "a.test.org", "test.example.net"], ["org", "example.net"]],
  [[".apple.*"], ["test.apple.com"], ["apple.com", "test.apple.com.cn"]],
  [["+.foo.com"], ["foo.com", "test.foo.com", "a.b.foo.com"], ["xfoo.com", "com"]],
  [["+.stun.*.*"], ["global.stun.website.com", "stun.website.com"], ["stun.com"]],
  [["www.baidu.*", "stun.*.*"], ["www.baidu.com", "stun.ab.cd"], ["baidu.com", "stun.ab"]],
  [["+.*"], ["com", "example.com", "a.b.c"], [""]],
  [["+"], ["com", "example.com"], [""]],
  [["例子.com", "+.测试"], ["xn--fsqu00a.com", "a.xn--0zwm56d"], ["fsqu00a.com"]],
  [["WWW.Example.COM"], ["www.example.com"], ["example.com"]],
  [[".a.com"], ["b.a.com"], ["a.com", "b..a.com", ".a.com", "b.a.com.", " b.a.com"]],
];

Deno.test("DomainSet and DomainTrie cover the same names when entries have wildcards", () => {
  for (const [entries, covered, others] of CASES) {
    const set = new DomainSet();
    const trie = new DomainTrie<true>();
    for (const entry of entries) assertEquals([set.add(entry), trie.add(entry, true)], [true, true], entry);
    for (const name of covered) assertEquals([set.has(name), trie.find(name)], [true, true], `${entries} ${name}`);
    for (const name of others) assertEquals([set.has(name), trie.find(name)], [false, undefined], `${entries} ${name}`);
  }
});

Deno.test("DomainSet.add() and DomainTrie.add() refuse what is no name", () => {
  for (const name of ["", ".", "..dev", "a..b", "a.", "+.", " a.com", "a.com ", "*..b"]) {
    assertEquals(
      [new DomainSet().add(name), new DomainTrie<true>().add(name, true)],
      [false, false],
      JSON.stringify(name),
    );
  }
  assertEquals([new DomainSet().add("a/b"), new DomainSet().add("Mijia Cloud")], [false, true]);
});

Deno.test("DomainTrie.find() prefers a written label to * and * to a leading dot", () => {
  const trie = new DomainTrie<number>();
  [".dev", "example.dev", "*.example.dev", "test.example.dev"].forEach((name, i) => trie.add(name, i + 1));
  const found = ["test.dev", "foo.bar.dev", "example.dev", "foo.example.dev", "test.example.dev"];
  assertEquals(found.map((name) => trie.find(name)), [1, 1, 2, 3, 4]);
});

Deno.test("DomainSet agrees with DomainTrie when names are random", () => {
  const prng = new Prng(41);
  for (let round = 0; round < 300; round++) {
    const set = new DomainSet();
    const trie = new DomainTrie<true>();
    for (let i = prng.below(30); i >= 0; i--) {
      const name = randomPatternName(prng);
      assertEquals(set.add(name), trie.add(name, true), name);
    }
    set.trim();
    for (let i = 0; i < 50; i++) {
      const host = randomName(prng);
      assertEquals(set.has(host), trie.find(host) === true, host);
    }
  }
});

Deno.test("DomainTable.find() finds every suffix that was inserted, and nothing else, when it has grown", () => {
  const table = new DomainTable();
  const prng = new Prng(5);
  const numbers = new Map<string, number>();
  for (let i = 0; i < 5_000; i++) {
    const name = `${prng.below(3_000)}.${randomName(prng)}`;
    const number = table.insert(`xx${name}y`, 2, 2 + name.length);
    assertEquals(number, numbers.get(name) ?? number);
    numbers.set(name, number);
  }
  table.trim();
  assertEquals(table.size, numbers.size);
  assertEquals([...table.numbers()], [...numbers.values()]);
  const scan = new HostScan();
  for (let i = 0; i < 5_000; i++) {
    const host = `a.${prng.below(3_000)}.${randomName(prng)}`;
    scan.load(host);
    assertEquals(scan.count, host.split(".").length);
    for (let k = 0; k < scan.count; k++) {
      const suffix = host.split(".").slice(scan.count - 1 - k).join(".");
      assertEquals(table.find(scan, k), numbers.get(suffix) ?? -1, suffix);
    }
  }
});

/** The hash of host_scan.ts, to make names whose hashes are all the same. */
function hashOf(text: string, start = 0x811c9dc5 | 0): number {
  let hash = start;
  for (let i = text.length - 1; i >= 0; i--) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** From the last to the first: pairs of texts that lead to the same hash, when they are read before what came so far. */
const COLLIDING = [
  "0pa6e 0lzy7",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
  "0pa3f 0lzt8",
];

Deno.test("DomainTable stays quick and right when a list is made of names with the same hash", () => {
  let names = [""];
  for (const pair of COLLIDING) names = pair.split(" ").flatMap((block) => names.map((name) => block + name));
  assertEquals(new Set(names.map((name) => hashOf(name))).size, 1);
  const set = new DomainSet();
  for (const name of names) assertEquals(set.add(name), true);
  for (const name of names) assertEquals(set.add(name), true);
  assertEquals(set.table.size, 4_096);
  set.trim();
  for (const name of names) assertEquals(set.has(name), true);
  assertEquals([set.has(`x${names[0]}`), set.has(names[0]!.slice(1))], [false, false]);
});

Deno.test("DomainSet.has() answers when the host is anything", () => {
  const set = new DomainSet();
  ["+.a.com", "*.b", "c"].forEach((name) => set.add(name));
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "binary" }), fc.integer({ min: 0, max: 3_000 }).map((n) => `${".a".repeat(n)}.a.com`)),
      (host) => {
        assertEquals(typeof set.has(host), "boolean");
      },
    ),
    { seed: 2, numRuns: 500 },
  );
});

Deno.test("encodePunycode() gives the samples of RFC 3492 section 7.1", () => {
  assertEquals(encodePunycode("ليهمابتكلموشعربي؟"), "egbpdaj6bu4bxfgehfvwxn");
  assertEquals(encodePunycode("他们为什么不说中文"), "ihqwcrb4cv8a8dqg056pqjye");
  assertEquals(encodePunycode("Pročprostěnemluvíčesky"), "Proprostnemluvesky-uyb24dma41a");
  assertEquals(encodePunycode("3年b組金八先生"), "3b-ww4c5e180e575a65lsy2b");
});

Deno.test("toAsciiName() agrees with the URL standard's host parser when labels are letters", () => {
  const label = fc.string({
    unit: fc.constantFrom("a", "z", "0", "é", "ü", "例", "子", "ж", "😀"),
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(label, (text) => assertEquals(toAsciiName(`${text}.com`), new URL(`http://${text}.com`).hostname)),
    { seed: 4, numRuns: 3_000 },
  );
});
