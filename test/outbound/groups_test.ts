import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../core/base/ip_address.ts";
import { type Micros, micros, MILLISECOND_US, SECOND_US } from "../../core/base/micros.ts";
import type { FlowFacts } from "../../core/classify/facts.ts";
import { type GroupPlan, Groups, jumpHash, ownerOf } from "../../core/outbound/groups.ts";

function planOf(plan: Partial<GroupPlan>): GroupPlan {
  return {
    name: "auto",
    type: "url-test",
    members: ["a", "b", "c"],
    url: "http://test.example/204",
    expectedStatus: "*",
    intervalS: 60,
    timeoutMs: 1_000,
    toleranceMs: 50,
    lazy: false,
    strategy: "consistent-hashing",
    maxFailedTimes: 3,
    ...plan,
  };
}

function flow(host: string, source = "10.0.0.1"): FlowFacts {
  return { host, sourceIp: parseIp(source), destinationIp: undefined } as unknown as FlowFacts;
}

/** Groups in virtual time: each proxy answers with its delay, or not at all. */
class World {
  readonly groups: Groups;
  readonly delays: Map<string, number | undefined>;
  now: Micros = micros(0);
  checkCount = 0;

  constructor(plans: readonly GroupPlan[], delays: Record<string, number | undefined>) {
    this.groups = new Groups(plans, this.now);
    this.delays = new Map(Object.entries(delays));
  }

  /** Lets time go by; checks are answered after their delays, dead proxies' after the timeout. */
  pass(us: number): void {
    const end = this.now + us;
    const answers: { at: number; id: number; delay: number | undefined }[] = [];
    for (;;) {
      const due = this.groups.poll(this.now);
      for (const { id, chain, timeoutMs } of this.groups.checks.splice(0)) {
        this.checkCount++;
        const delay = this.delays.get(chain[0]!);
        const isLate = delay === undefined || delay >= timeoutMs;
        answers.push({
          at: this.now + (isLate ? timeoutMs : delay) * MILLISECOND_US,
          id,
          delay: isLate ? undefined : delay,
        });
      }
      answers.sort((left, right) => left.at - right.at);
      const next = Math.min(due, answers[0]?.at ?? Infinity);
      if (next > end) break;
      this.now = micros(next);
      while (answers.length > 0 && answers[0]!.at <= this.now) {
        const { id, delay } = answers.shift()!;
        this.groups.checked(id, delay);
      }
    }
    this.now = micros(end);
    this.groups.poll(this.now);
  }

  chosen(name = "auto", facts = flow("example.org")): string {
    return this.groups.chainFor(name, facts)[0]!;
  }
}

Deno.test("url-test takes the best of three, keeps it within the tolerance, and replaces it when it is dead", () => {
  const world = new World([planOf({})], { a: 200, b: 50, c: 10 });
  assertEquals(world.chosen(), "a", "nothing is known yet: the first one");
  world.pass(SECOND_US);
  assertEquals(world.chosen(), "c");
  world.delays.set("c", 55); // slower than b by 5 ms, within the tolerance of 50
  world.pass(60 * SECOND_US);
  assertEquals(world.chosen(), "c");
  world.delays.set("c", 120); // slower than b by 70 ms
  world.pass(60 * SECOND_US);
  assertEquals(world.chosen(), "b");
  world.delays.set("b", undefined);
  world.pass(62 * SECOND_US);
  assertEquals(world.chosen(), "c");
  world.delays.set("b", 5);
  world.pass(60 * SECOND_US);
  assertEquals(world.chosen(), "b", "it is back, and better by more than the tolerance");
});

Deno.test("dialFailed() tries a group out at once when a proxy refused, or failed too often", () => {
  const world = new World([planOf({ intervalS: 3_600 })], { a: 10, b: 50, c: 200 });
  world.pass(SECOND_US);
  assertEquals(world.chosen(), "a");
  world.delays.set("a", undefined);
  world.groups.dialFailed(["a", "auto"], false, world.now);
  world.groups.dialFailed(["a", "auto"], false, world.now);
  assertEquals(world.groups.checks.length, 0);
  world.groups.dialFailed(["a", "auto"], false, world.now);
  assertEquals(world.groups.checks.length, 3);
  world.pass(2 * SECOND_US);
  assertEquals(world.chosen(), "b");
  const other = new World([planOf({ intervalS: 3_600 })], { a: 10, b: 50, c: 200 });
  other.pass(SECOND_US);
  other.groups.dialFailed(["a", "auto"], true, other.now);
  assertEquals(other.groups.checks.length, 3);
});

Deno.test("fallback takes the first that is alive", () => {
  const world = new World([planOf({ type: "fallback" })], { a: 900, b: 10, c: 10 });
  world.pass(2 * SECOND_US);
  assertEquals(world.chosen(), "a");
  world.delays.set("a", undefined);
  world.pass(62 * SECOND_US);
  assertEquals(world.chosen(), "b");
  world.delays.set("a", 900);
  world.pass(62 * SECOND_US);
  assertEquals(world.chosen(), "a");
});

Deno.test("a lazy group is tried out at the start, and later only when it was used", () => {
  const world = new World([planOf({ lazy: true })], { a: 1, b: 2, c: 3 });
  world.pass(SECOND_US);
  assertEquals(world.checkCount, 3);
  world.pass(180 * SECOND_US);
  assertEquals(world.checkCount, 3);
  world.chosen();
  world.pass(61 * SECOND_US);
  assertEquals(world.checkCount, 6);
});

Deno.test("load-balance by round-robin takes turns among those that are alive", () => {
  const world = new World([planOf({ type: "load-balance", strategy: "round-robin" })], { a: 1, b: undefined, c: 1 });
  world.pass(5 * SECOND_US);
  assertEquals([1, 2, 3, 4].map(() => world.chosen()).sort(), ["a", "a", "c", "c"]);
});

Deno.test("load-balance by hash keeps one owner's names with one proxy, and spreads the others", () => {
  const world = new World([planOf({ type: "load-balance" })], { a: 1, b: 1, c: 1 });
  world.pass(SECOND_US);
  const of = (host: string) => world.chosen("auto", flow(host));
  assertEquals(new Set(["www.example.org", "cdn.example.org", "example.org"].map(of)).size, 1);
  const counts = new Map<string, number>();
  for (let i = 0; i < 3_000; i++) counts.set(of(`site${i}.net`), (counts.get(of(`site${i}.net`)) ?? 0) + 1);
  for (const member of ["a", "b", "c"]) assert((counts.get(member) ?? 0) > 700, `${member}: ${counts.get(member)}`);
});

Deno.test("load-balance with sticky sessions stays with a proxy while it is alive and the session is fresh", () => {
  const world = new World([planOf({ type: "load-balance", strategy: "sticky-sessions" })], { a: 1, b: 1, c: 1 });
  world.pass(SECOND_US);
  const first = world.chosen();
  for (let i = 0; i < 20; i++) assertEquals(world.chosen(), first);
  world.delays.set(first, undefined);
  world.pass(62 * SECOND_US);
  assert(world.chosen() !== first);
});

Deno.test("select() settles a group; a dead choice of url-test is passed over until it lives again", () => {
  const world = new World([planOf({}), planOf({ name: "hand", type: "select" })], { a: 10, b: 50, c: 200 });
  world.pass(2 * SECOND_US);
  assert(world.groups.select("hand", "b"));
  assertEquals(world.chosen("hand"), "b");
  assert(!world.groups.select("hand", "nobody"));
  assert(world.groups.select("auto", "c"));
  assertEquals(world.chosen(), "c");
  world.delays.set("c", undefined);
  world.pass(62 * SECOND_US);
  assertEquals(world.chosen(), "a");
  world.delays.set("c", 200);
  world.pass(62 * SECOND_US);
  assertEquals(world.groups.members("auto")!.map(({ isAlive }) => isAlive), [true, true, true]);
});

Deno.test("chainFor() goes through groups in groups, and a relay through all of its members", () => {
  const world = new World(
    [
      planOf({ name: "inner", members: ["a", "b"] }),
      planOf({ name: "outer", type: "select", members: ["inner", "c"] }),
      planOf({ name: "hops", type: "relay", members: ["first", "inner"] }),
    ],
    { a: 50, b: 200 },
  );
  world.pass(SECOND_US);
  assertEquals(world.groups.chainFor("outer", flow("x.example")), ["a", "inner", "outer"]);
  assertEquals(world.groups.chainFor("hops", flow("x.example")), ["a", "inner", "first", "hops"]);
  assertEquals(world.groups.chainFor("proxy", flow("x.example")), ["proxy"]);
});

Deno.test("jumpHash() moves only the keys that must move when a bucket is added", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 50 }), (key, buckets) => {
      const [before, after] = [jumpHash(key, buckets), jumpHash(key, buckets + 1)];
      assert(before >= 0 && before < buckets);
      assert(after === before || after === buckets);
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("ownerOf() takes the part of a name that one owner has", () => {
  assertEquals(["a.b.example.org", "example.org", "www.bbc.co.uk", "host"].map(ownerOf), [
    "example.org",
    "example.org",
    "bbc.co.uk",
    "host",
  ]);
});
