/** Runs weir's command line inside the test's own process. */
import { main } from "../../main.ts";
import { KeptIo } from "./io.ts";

/** The demo's capture, configuration and policy. */
export const DEMO = "test/captures/demo.pcapng";
export const DEMO_CONFIG = "scripts/policies/demo.yaml";
export const DEMO_POLICY = "scripts/policies/demo.ts";

/** Runs one command. */
export async function runWeir(...args: string[]): Promise<{ status: number; output: string; errors: string }> {
  const io = new KeptIo();
  const status = await main(args, io);
  return { status, output: io.output, errors: io.errors };
}

/** Hands `work` a temporary file with the given content. */
export async function withFile(
  content: string | Uint8Array,
  suffix: string,
  work: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix });
  try {
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await work(path);
  } finally {
    await Deno.remove(path);
  }
}
