import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, type IpAddress, parseIp } from "../../core/base/ip_address.ts";
import { DNS_EXCHANGE_US } from "../../core/base/limits.ts";
import { micros, SECOND_US } from "../../core/base/micros.ts";
import type { NameServer } from "../../core/config/dns.ts";
import {
  addressAnswer,
  addressesOf,
  type DnsAnswer,
  emptyAnswer,
  type Question,
  Rcode,
  readQuery,
  writeAnswer,
} from "../../core/dns/message.ts";
import { type Exchange, type Resolution, Resolver, type ResolverPlan } from "../../core/dns/resolver.ts";

function serverOf(host: string, scheme: NameServer["scheme"] = "udp"): NameServer {
  return { scheme, host, port: 53, path: "", via: "", options: new Map() };
}

const MAIN = [serverOf("main-1"), serverOf("main-2")];
const FALLBACK = [serverOf("fallback")];
const A: Question = { name: "example.org", type: "A" };
const FOREIGN = parseIp("6.6.6.6")!;

const PLAN: ResolverPlan = {
  main: MAIN,
  fallback: [],
  policies: [],
  isFallbackName: (name) => name === "blocked.example",
  isForeign: (address: IpAddress) => address.w3 === FOREIGN.w3,
  ipv6: true,
  cacheCount: 16,
};

/** A resolver with a clock, and what it answered. */
class World {
  readonly resolver: Resolver;
  readonly resolutions: Resolution[] = [];
  now = micros(0);

  constructor(plan: Partial<ResolverPlan> = {}) {
    this.resolver = new Resolver({ ...PLAN, ...plan }, () => 7);
  }

  ask(question: Question = A): Exchange[] {
    this.resolver.resolve(question, this.now, (resolution) => this.resolutions.push(resolution));
    return this.take();
  }

  take(): Exchange[] {
    return this.resolver.exchanges.splice(0);
  }

  answer(exchange: Exchange | undefined, answer: DnsAnswer): void {
    const query = readQuery(exchange!.message)!;
    this.resolver.answered(exchange!.id, writeAnswer(query, answer, { bytesMax: 65535 }), this.now);
  }

  pass(us: number): void {
    this.now = micros(this.now + us);
    this.resolver.poll(this.now);
  }

  texts(): string[][] {
    return this.resolutions.map(({ answer }) => addressesOf(answer).map(formatIp));
  }
}

function answerOf(address: string, ttl = 60, name = "example.org"): DnsAnswer {
  return addressAnswer(name, [parseIp(address)!], ttl);
}

Deno.test("resolve() takes the first server that says something", () => {
  const world = new World();
  const [first, second] = world.ask();
  world.answer(first, emptyAnswer(Rcode.ServerFailure));
  world.answer(second, answerOf("1.2.3.4"));
  assertEquals(world.texts(), [["1.2.3.4"]]);
  assertEquals(world.resolver.lookupCount, 0);
});

Deno.test("resolve() asks once for all who ask the same", () => {
  const world = new World();
  const [first] = world.ask();
  assertEquals(world.ask(), []);
  world.answer(first, answerOf("1.2.3.4"));
  assertEquals(world.texts(), [["1.2.3.4"], ["1.2.3.4"]]);
});

Deno.test("resolve() prefers any answer to an empty one, and an empty one to none", () => {
  const world = new World();
  const [first, second] = world.ask();
  world.answer(first, emptyAnswer(Rcode.Success));
  assertEquals(world.resolutions.length, 0);
  world.answer(second, answerOf("1.2.3.4"));
  assertEquals(world.texts(), [["1.2.3.4"]]);
  const other = new World();
  for (const exchange of other.ask()) other.answer(exchange, emptyAnswer(Rcode.Success));
  assertEquals(other.resolutions[0]!.answer.rcode, Rcode.Success);
});

Deno.test("poll() asks again when nobody answers, and gives up at last", () => {
  const world = new World();
  let asked = world.ask().length;
  for (let turn = 0; turn < 10 && world.resolutions.length === 0; turn++) {
    world.pass(DNS_EXCHANGE_US);
    asked += world.take().length;
  }
  assertEquals(asked, 6);
  assertEquals(world.resolutions[0]!.answer.rcode, Rcode.ServerFailure);
  // The failure is remembered for a while, and no longer.
  assertEquals(world.ask(), []);
  world.pass(6 * SECOND_US);
  assertNotEquals(world.ask(), []);
});

Deno.test("resolve() believes answers for their time, then gives them stale once and asks anew", () => {
  const world = new World();
  world.answer(world.ask()[0], answerOf("1.2.3.4", 10));
  world.pass(9 * SECOND_US);
  assertEquals(world.ask(), []);
  assertEquals(world.resolutions.at(-1)!.ageSeconds, 9);
  world.pass(2 * SECOND_US);
  const again = world.ask();
  assert(world.resolutions.at(-1)!.isStale);
  world.answer(again[0], answerOf("5.6.7.8", 10));
  world.ask();
  assertEquals(world.texts().at(-1), ["5.6.7.8"]);
});

Deno.test("resolve() remembers that there is no such name as long as the zone says", () => {
  const world = new World();
  const soa = {
    name: "org",
    type: "SOA",
    class: "IN",
    ttl: 300,
    data: { mname: "a", rname: "b", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 20 },
  };
  world.answer(world.ask()[0], { rcode: Rcode.NameError, answers: [], authorities: [soa] });
  world.pass(19 * SECOND_US);
  assertEquals(world.ask(), []);
  assertEquals(world.resolutions.at(-1)!.answer.rcode, Rcode.NameError);
});

Deno.test("resolve() takes the fallback's answer where the usual one is not believed", () => {
  const world = new World({ fallback: FALLBACK });
  const exchanges = world.ask();
  const fallback = exchanges.find(({ server }) => server.host === "fallback");
  world.answer(exchanges[0], addressAnswer("example.org", [FOREIGN], 60));
  assertEquals(world.resolutions.length, 0);
  world.answer(fallback, answerOf("1.2.3.4"));
  assertEquals(world.texts(), [["1.2.3.4"]]);
});

Deno.test("resolve() does not wait for the fallback where the usual answer is believed", () => {
  const world = new World({ fallback: FALLBACK });
  world.answer(world.ask()[0], answerOf("1.2.3.4"));
  assertEquals(world.texts(), [["1.2.3.4"]]);
});

Deno.test("resolve() asks only the servers that the configuration wants for a name", () => {
  const policies = [{ matches: (name: string) => name.endsWith(".corp"), servers: [serverOf("corp")] }];
  const hostsOf = (exchanges: Exchange[]) => exchanges.map(({ server }) => server.host);
  const world = new World({ policies, fallback: FALLBACK });
  assertEquals(hostsOf(world.ask({ name: "intra.corp", type: "A" })), ["corp"]);
  assertEquals(hostsOf(world.ask({ name: "blocked.example", type: "A" })), ["fallback"]);
  assertEquals(hostsOf(world.ask({ name: "example.org", type: "TXT" })), ["main-1", "main-2"]);
});

Deno.test("resolve() answers from rcode:// servers without asking anybody", () => {
  const world = new World({ main: [serverOf("name_error", "rcode")] });
  assertEquals(world.ask(), []);
  assertEquals(world.resolutions[0]!.answer.rcode, Rcode.NameError);
});

Deno.test("resolve() says that there is no IPv6 address where that is wanted", () => {
  const world = new World({ ipv6: false });
  assertEquals(world.ask({ name: "example.org", type: "AAAA" }), []);
  assertEquals(world.resolutions[0]!.answer.answers.length, 0);
});

Deno.test("answered() ignores answers to other questions, forged and late ones", () => {
  const world = new World({ main: [serverOf("only")] });
  const [exchange] = world.ask();
  const other = writeAnswer(
    { ...readQuery(exchange!.message)!, question: { name: "evil.example", type: "A" } },
    answerOf("6.6.6.6", 60, "evil.example"),
    { bytesMax: 65535 },
  );
  world.resolver.answered(exchange!.id, other, world.now);
  assertEquals(world.resolutions.length, 0);
  const [again] = world.take();
  world.answer(again, answerOf("1.2.3.4"));
  world.answer(exchange, answerOf("6.6.6.6"));
  assertEquals(world.texts(), [["1.2.3.4"]]);
});

Deno.test("the resolver answers everybody exactly once, whatever servers do", () => {
  const step = fc.record({
    kind: fc.integer({ min: 0, max: 5 }),
    pick: fc.nat(),
    bytes: fc.uint8Array({ maxLength: 60 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new World({ fallback: FALLBACK });
      const open: Exchange[] = [];
      let asked = 0;
      for (const { kind, pick, bytes } of steps) {
        if (kind <= 1) {
          asked++;
          open.push(...world.ask({ name: `n${pick % 4}`, type: pick % 2 === 0 ? "A" : "TXT" }));
        } else if (kind === 2) world.pass(pick % (3 * SECOND_US));
        else if (open.length > 0) {
          const exchange = open[pick % open.length]!;
          if (kind === 3) world.resolver.answered(exchange.id, bytes, world.now);
          else if (kind === 4) world.resolver.answered(exchange.id, undefined, world.now);
          else world.answer(exchange, answerOf("1.2.3.4", pick % 100, exchange.question.name));
        }
        open.push(...world.take());
      }
      for (let turn = 0; turn < 12; turn++) {
        world.pass(DNS_EXCHANGE_US);
        world.take();
      }
      assertEquals(world.resolutions.length, asked);
      assertEquals(world.resolver.lookupCount, 0);
    }),
    { seed: 5, numRuns: 150 },
  );
});
