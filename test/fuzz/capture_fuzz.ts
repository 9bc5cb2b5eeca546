/** Mutated capture files through a whole replay: each ends with a result that keeps its schema, or with a `CaptureError` inside of it. */
import type { Prng } from "../../core/base/prng.ts";
import type { ReplayRequest } from "../../core/cli/replay.ts";
import type { ReplayResult } from "../../core/cli/replay_result.ts";
import { replay } from "../../sim/mod.ts";
import { checkReplayDocument } from "../support/replay_schema.ts";
import { mutateBytes, pick } from "./mutate.ts";

/** Files of this size and less are mutated: larger ones take their time without showing more. Units: bytes. */
export const FUZZ_FILE_BYTES_MAX = 60_000;

/** The mildest configuration that makes the engine wait for names and processes. */
export const FUZZ_CONFIG = `
proxies: [{ name: office, type: socks5, server: proxy.example, port: 1080, udp: true }]
rules:
  - DOMAIN-SUFFIX,com,office
  - DOMAIN-REGEX,^(www|cdn)\\d*\\.,REJECT
  - PROCESS-NAME,firefox,office
  - IP-CIDR,10.0.0.0/8,REJECT-DROP
  - MATCH,DIRECT
`;

/** A damaged capture: bytes changed anywhere, or near the start of one of its records. */
export function mutateCapture(prng: Prng, files: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = pick(prng, files);
  const from = prng.chance(1, 2) ? 0 : prng.below(whole.length + 1);
  const head = whole.subarray(0, from);
  const tail = mutateBytes(prng, whole.subarray(from), pick(prng, files), FUZZ_FILE_BYTES_MAX);
  const result = new Uint8Array(head.length + tail.length);
  result.set(head);
  result.set(tail, head.length);
  return result;
}

/** Draws how a file is replayed. */
export function drawRequest(prng: Prng, config: string): Omit<ReplayRequest, "captures"> {
  return {
    mode: prng.chance(1, 2) ? "tun" : "divert",
    verifyChecksums: prng.chance(1, 4),
    config: prng.chance(1, 2) ? config : undefined,
    explain: prng.chance(1, 4),
    output: prng.chance(1, 4) ? () => {} : undefined,
    seed: prng.uint32(),
  };
}

/** Replays a file. Errors: whatever is wrong with the result; a replay never rejects because of a capture. */
export async function replayChecked(
  path: string,
  request: Omit<ReplayRequest, "captures">,
): Promise<ReplayResult> {
  const result = await replay({ ...request, captures: [path] });
  const problems = checkReplayDocument(JSON.parse(JSON.stringify(result)));
  if (problems.length > 0) throw new Error(problems.slice(0, 5).join("; "));
  return result;
}
