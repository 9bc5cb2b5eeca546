import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { POLICY_DNS_ADDRESSES_MAX, POLICY_DNS_SERVERS_MAX } from "../../core/base/limits.ts";
import { readDnsAnswer } from "../../core/policy/dns_answer.ts";

Deno.test("readDnsAnswer() takes what onDns may say", () => {
  const cases: [unknown, ReturnType<typeof readDnsAnswer>][] = [
    [undefined, undefined],
    [{}, undefined],
    [{ answer: undefined }, undefined],
    ["REFUSE", { rcode: "refused" }],
    [{ rcode: "nxdomain" }, { rcode: "nxdomain" }],
    [{ answer: "1.2.3.4" }, { answer: ["1.2.3.4"], ttl: 10 }],
    [{ answer: ["1.2.3.4", "2001:db8::1"], ttl: 0 }, { answer: ["1.2.3.4", "2001:db8::1"], ttl: 0 }],
    [{ answer: [] }, { answer: [], ttl: 10 }],
    [{ rewrite: "Other.Name." }, { rewrite: "other.name" }],
    [{ upstream: "tls://1.1.1.1" }, { upstream: ["tls://1.1.1.1"] }],
    [{ upstream: ["1.1.1.1", "https://dns.example/dns-query#office"] }, {
      upstream: ["1.1.1.1", "https://dns.example/dns-query#office"],
    }],
  ];
  for (const [given, expected] of cases) assertEquals(readDnsAnswer(given), expected);
});

Deno.test("readDnsAnswer() says what is wrong with everything else", () => {
  const what = 'expected "REFUSE", { answer }, { rcode }, { rewrite }, { upstream } or undefined, found ';
  const cases: [unknown, string][] = [
    [null, `${what}null`],
    ["1.2.3.4", `${what}"1.2.3.4"`],
    [["1.2.3.4"], `${what}a list`],
    [() => {}, `${what}a function`],
    [{ ip: "1.2.3.4" }, 'there is no "ip" in an answer to a question; there are answer, ttl, rcode, rewrite, upstream'],
    [{ answer: "example.org" }, 'answer holds IP addresses, found "example.org"'],
    [{ answer: [5] }, "answer[0] is a text, found 5"],
    [{ answer: 5 }, "answer is a text or a list of texts, found 5"],
    [{ answer: Array(POLICY_DNS_ADDRESSES_MAX + 1).fill("1.1.1.1") }, "answer is a list of 65, 64 are allowed"],
    [{ answer: "1.2.3.4", ttl: -1 }, "ttl is a whole number of seconds up to 86400, found -1"],
    [{ answer: "1.2.3.4", ttl: 1.5 }, "ttl is a whole number of seconds up to 86400, found 1.5"],
    [{ answer: "1.2.3.4", rewrite: "a" }, "an answer has one of them, not answer and rewrite"],
    [{ ttl: 5 }, "a ttl goes with an answer only"],
    [{ rcode: "REFUSED" }, 'rcode is success, refused, nxdomain, servfail, found "REFUSED"'],
    [{ rewrite: "" }, 'there is no name like ""'],
    [{ rewrite: "a..b" }, 'there is no name like "a..b"'],
    [{ rewrite: "a b" }, 'there is no name like "a b"'],
    [{ rewrite: `${"a.".repeat(130)}b` }, "there is no name like a text of 261 characters"],
    [{ upstream: [] }, "upstream names no server"],
    [{ upstream: "1.1.1.1 8.8.8.8" }, 'no name server is written "1.1.1.1 8.8.8.8"'],
    [{ upstream: Array(POLICY_DNS_SERVERS_MAX + 1).fill("1.1.1.1") }, "upstream is a list of 17, 16 are allowed"],
  ];
  for (const [given, message] of cases) assertEquals(readDnsAnswer(given), message);
});

Deno.test("readDnsAnswer() gives one outcome for anything, and reads its own outcome as the same", () => {
  const part = fc.oneof(
    fc.anything(),
    fc.constantFrom("1.2.3.4", "::1", "refused", "other.name", "tls://1.1.1.1", 5, ["1.2.3.4"], ["tls://1.1.1.1"]),
  );
  const keys = fc.subarray(["answer", "ttl", "rcode", "rewrite", "upstream"]);
  const shaped = keys.chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, part]))));
  fc.assert(
    fc.property(fc.oneof(fc.anything(), shaped), (given) => {
      const read = readDnsAnswer(given);
      if (typeof read === "object") assertEquals(readDnsAnswer(read), read);
      else assertEquals(read === undefined || read.length > 0, true);
    }),
    { seed: 5, numRuns: 2_000 },
  );
});
