import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import type { Duplex } from "../../core/host/duplex.ts";
import { HttpStream } from "../../core/host/http_exchange.ts";

/** A server that has written its answer before it was asked; it comes in pieces of that size. */
function answering(answer: Uint8Array, pieceBytes: number): { stream: Duplex; sent: () => string } {
  let at = 0;
  let sent = "";
  const stream: Duplex = {
    read: (into) => {
      if (at >= answer.length) return Promise.resolve(null);
      const piece = answer.subarray(at, at + Math.min(pieceBytes, into.length));
      into.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
    write: (bytes) => {
      sent += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
    closeWrite: () => Promise.resolve(),
    close: () => {},
    abort: () => {},
  };
  return { stream, sent: () => sent };
}

const GET = { method: "GET", authority: "a.test", path: "/x?y", headers: [["Accept", "*/*"]] } as const;

function fetchFrom(text: string, bytesMax = 1_000, method: "GET" | "HEAD" = "GET", pieceBytes = 7) {
  const { stream } = answering(new TextEncoder().encode(text), pieceBytes);
  return new HttpStream(stream).request({ ...GET, method }, bytesMax);
}

Deno.test("request() writes what it is given, and a body behind its length", async () => {
  const { stream, sent } = answering(new TextEncoder().encode("HTTP/1.1 204 No Content\r\n\r\n"), 100);
  await new HttpStream(stream).request({ ...GET, method: "POST", body: new TextEncoder().encode("body") }, 10);
  assertEquals(sent(), "POST /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nContent-Length: 4\r\n\r\nbody");
});

const GOOD: readonly (readonly [string, string, number, string, boolean])[] = [
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true],
  ["no length", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    200,
    "hello",
    true,
  ],
  [
    "chunks and a trailer",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    200,
    "hello",
    true,
  ],
  ["bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello", true],
  [
    "an answer before the answer",
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    404,
    "",
    true,
  ],
  ["a connection that ends", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 200, "ok", false],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false],
];
for (const [what, text, status, body, isReusable] of GOOD) {
  Deno.test(`request() reads an answer with ${what}, however it is cut`, async () => {
    for (let pieceBytes = 1; pieceBytes < 20; pieceBytes++) {
      const answer = await fetchFrom(text, 1_000, "GET", pieceBytes);
      assertEquals([answer.status, new TextDecoder().decode(answer.body), answer.isReusable], [
        status,
        body,
        isReusable,
      ]);
    }
  });
}

Deno.test("request() expects no body of HEAD", async () => {
  const answer = await fetchFrom("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 10, "HEAD");
  assertEquals([answer.status, answer.body.length, answer.isReusable], [200, 0, true]);
});

const BAD: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["another protocol", "SSH-2.0-OpenSSH\r\n"],
  ["half a head", "HTTP/1.1 200 OK\r\nContent-Le"],
  ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"],
  ["half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel"],
  ["chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"],
  ["a chunk of no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
  ["a chunk longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"],
  ["a body too long", `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(2_000)}`],
  ["a length too long", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"],
  ["a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
  ["chunks too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"],
  ["headers too long", `HTTP/1.1 200 OK\r\n${"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1_000)}\r\n`],
];
for (const [what, text] of BAD) {
  Deno.test(`request() refuses ${what}`, async () => {
    await assertRejects(() => fetchFrom(text), Error);
  });
}

Deno.test("request() ends, with an answer within its bounds or an error, whatever a server says", async () => {
  const pieces = fc.constantFrom(
    "HTTP/1.1 200 OK\r\n",
    "Content-Length: 3\r\n",
    "\r\n",
    "Transfer-Encoding: chunked\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.oneof(pieces, fc.string({ maxLength: 9 })), { maxLength: 12 }).map((all) =>
      new TextEncoder().encode(all.join(""))
    ),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 1, max: 50 }), async (answer, pieceBytes) => {
      const { stream } = answering(answer, pieceBytes);
      const got = await new HttpStream(stream).request(GET, 100).catch((error: Error) => error.message);
      assert(typeof got === "string" ? got !== "" : got.body.length <= 100);
    }),
    { seed: 3, numRuns: 500 },
  );
});
