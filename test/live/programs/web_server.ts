/**
 * A web server for live tests. Its bytes depend on the path alone, so that everybody can tell what they should be.
 *
 * `GET /bytes/LENGTH/SEED` sends so many bytes; `POST /sum` answers with the SHA-256 of what it got; `GET /silent` never answers;
 * `GET /stall/LENGTH` sends so many bytes and then nothing more; `GET /gate/LENGTH/SEED/COUNT` answers once so many ask at the same time.
 */
import { createHash } from "node:crypto";
import { randomBytes } from "./bytes.ts";

async function sumOf(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const hash = createHash("sha256");
  if (body !== null) { for await (const part of body) hash.update(part); }
  return hash.digest("hex");
}

const waiting: (() => void)[] = [];

/** Waits until `count` wait here. */
async function passGate(count: number): Promise<void> {
  const passed = new Promise<void>((resolve) => waiting.push(resolve));
  if (waiting.length === count) waiting.splice(0).forEach((pass) => pass());
  await passed;
}

function handle(request: Request): Response | Promise<Response> {
  const [, deed, length, seed, count] = new URL(request.url).pathname.split("/");
  switch (deed) {
    case "bytes":
      return new Response(randomBytes(Number(length), Number(seed)));
    case "gate":
      return passGate(Number(count)).then(() => new Response(randomBytes(Number(length), Number(seed))));
    case "sum":
      return sumOf(request.body).then((sum) => new Response(sum));
    case "silent":
      return new Promise(() => {});
    case "stall":
      return new Response(
        new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(Number(length))) }),
      );
    default:
      return new Response("?", { status: 404 });
  }
}

const port = Number(Deno.args[0]);
Deno.serve({ hostname: "::", port, onListen: () => console.log("web server listens") }, handle);
