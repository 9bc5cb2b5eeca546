import { assert, assertEquals } from "@std/assert";
import type { DialResult } from "../../core/host/dial.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import { carryOutCheck, isExpectedStatus } from "../../core/host/health_checks.ts";
import type { Outbounds } from "../../core/host/outbounds.ts";
import type { Destination } from "../../core/outbound/tunnel.ts";

const STATUSES: readonly (readonly [status: number, expected: string, isExpected: boolean])[] = [
  [204, "", true],
  [302, "", true],
  [404, "", false],
  [503, "*", true],
  [204, "204", true],
  [200, "204", false],
  [200, "200/302-308", true],
  [308, "200/302-308", true],
  [309, "200/302-308", false],
  [200, "nonsense", false],
];

for (const [status, expected, isExpected] of STATUSES) {
  Deno.test(`isExpectedStatus() is ${isExpected} when ${status} comes and "${expected}" is wanted`, () => {
    assertEquals(isExpectedStatus(status, expected), isExpected);
  });
}

/** A stream whose server answers with `answer`, or never when it is empty. */
class Answering implements Duplex {
  sent = "";
  end: "" | "closed" | "aborted" = "";
  #answer: Uint8Array;
  #hung = Promise.withResolvers<null>();

  constructor(answer: string) {
    this.#answer = new TextEncoder().encode(answer);
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#answer.length === 0) return await this.#hung.promise;
    const written = Math.min(into.length, this.#answer.length);
    into.set(this.#answer.subarray(0, written));
    this.#answer = this.#answer.subarray(written);
    return written;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.sent += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    if (this.end === "") this.end = "closed";
    this.#hung.resolve(null);
  }

  abort(): void {
    this.end = "aborted";
    this.#hung.resolve(null);
  }
}

interface Asked {
  readonly chain: readonly string[];
  readonly destination: Destination;
}

/** Ways out that answer with `result`; what they were asked comes into `asked`. */
function waysOut(result: DialResult, asked: Asked[] = []): Outbounds {
  const connect = (chain: readonly string[], destination: Destination) => {
    asked.push({ chain, destination });
    return Promise.resolve(result);
  };
  return { connect } as unknown as Outbounds;
}

function check(url: string, timeoutMs = 60_000) {
  return { id: 1, chain: ["inner", "outer"], url, expectedStatus: "204", timeoutMs };
}

/** A clock that is 25 ms further with each look. */
function clock(): () => number {
  let now = 1_000;
  return () => now += 25;
}

Deno.test("carryOutCheck() asks for the head through the chain, and says how long it took", async () => {
  const stream = new Answering("HTTP/1.1 204 No Content\r\n\r\n");
  const asked: Asked[] = [];
  const delay = await carryOutCheck(check("http://check.example/generate?a=1"), waysOut({ stream }, asked), clock());
  assertEquals(delay, 25);
  assertEquals(asked, [{
    chain: ["inner", "outer"],
    destination: { address: undefined, host: "check.example", port: 80 },
  }]);
  assert(stream.sent.startsWith("HEAD /generate?a=1 HTTP/1.1\r\nHost: check.example\r\n"), stream.sent);
  assertEquals(stream.end, "closed");
});

Deno.test("carryOutCheck() knows addresses and ports in what is fetched", async () => {
  const asked: Asked[] = [];
  const stream = new Answering("HTTP/1.1 204 No Content\r\n\r\n");
  await carryOutCheck(check("http://[2001:db8::1]:8080/"), waysOut({ stream }, asked), clock());
  const { address, host, port } = asked[0]!.destination;
  assertEquals([address?.version, host, port], [6, "", 8080]);
});

const BAD: Readonly<Record<string, string>> = {
  "another status comes": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
  "the answer is nonsense": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
};

for (const [name, answer] of Object.entries(BAD)) {
  Deno.test(`carryOutCheck() gives nothing when ${name}`, async () => {
    const stream = new Answering(answer);
    assertEquals(await carryOutCheck(check("http://check.example/"), waysOut({ stream }), clock()), undefined);
    assertEquals(stream.end, "closed");
  });
}

Deno.test("carryOutCheck() gives nothing when the proxy cannot be reached", async () => {
  const failure = { failure: "refused", message: "nobody listens" } as const;
  assertEquals(await carryOutCheck(check("http://check.example/"), waysOut(failure), clock()), undefined);
});

Deno.test("carryOutCheck() gives up when no answer comes in time, and resets the stream", async () => {
  const stream = new Answering("");
  assertEquals(await carryOutCheck(check("http://check.example/", 1), waysOut({ stream }), clock()), undefined);
  assertEquals(stream.end, "aborted");
});
