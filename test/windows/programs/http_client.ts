/** Runs under Wine, under whatever name deno.exe has there: gets URL and prints "got LENGTH SHA-256", or "failed" with the error. */
import { createHash } from "node:crypto";

const [url] = Deno.args;
try {
  const bytes = new Uint8Array(await (await fetch(url!)).arrayBuffer());
  console.log(`got ${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`);
} catch (error) {
  console.log(`failed ${error instanceof Error ? error.message : error}`);
}
