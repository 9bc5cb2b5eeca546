/** Mutated configurations and filters: each is taken, or refused in the one way that is documented. */
import type { Prng } from "../../core/base/prng.ts";
import { loadConfig } from "../../core/config/load.ts";
import { compileFilter, FilterSyntaxError, formatFilter } from "../../core/filter/mod.ts";
import { MemoryFiles } from "../config/memory_files.ts";
import { HANDMADE, HANDMADE_FILES, SUBSCRIPTION } from "../config/realistic.ts";
import { damageFilter, randomAddress, randomBytes, randomFilter, randomPacket } from "../filter/generate.ts";
import { FUZZ_CONFIG } from "./capture_fuzz.ts";
import { mutateBytes, pick } from "./mutate.ts";

const CONFIGS = [HANDMADE, SUBSCRIPTION, FUZZ_CONFIG];
const CONFIG_PATH = "/etc/weir/config.yaml";

/** A damaged configuration, as the text its bytes make; mostly a few sections of one, which are quicker to read. */
export function drawConfig(prng: Prng): string {
  const whole = pick(prng, CONFIGS);
  const sections = whole.split(/\n(?=[^\s-])/);
  const text = prng.chance(1, 10) ? whole : sections.filter(() => prng.chance(1, 3)).join("\n");
  const encoder = new TextEncoder();
  return new TextDecoder().decode(
    mutateBytes(prng, encoder.encode(text), encoder.encode(pick(prng, CONFIGS)), 1 << 16),
  );
}

/** Loads a configuration. Errors: when there is neither a configuration nor a mistake, or a mistake has no place. */
export async function loadChecked(text: string): Promise<string> {
  const { config, issues } = await loadConfig(CONFIG_PATH, new MemoryFiles({ ...HANDMADE_FILES, [CONFIG_PATH]: text }));
  const errors = issues.filter((issue) => issue.severity === "error");
  if ((config === undefined) !== (errors.length > 0)) throw new Error("neither a configuration nor a mistake");
  for (const { file, line, column, message } of issues) {
    const placed = file !== "" && Number.isSafeInteger(line) && Number.isSafeInteger(column) && line > 0 && column > 0;
    if (!placed || message === "" || message.includes("\n")) {
      throw new Error(`a bad mistake: ${JSON.stringify(message)}`);
    }
  }
  return config === undefined ? "refused" : "taken";
}

/** A filter for a layer: as it should be, or damaged. */
export function drawFilter(prng: Prng, layer: number): string {
  const text = randomFilter(prng, layer, prng.between(1, 5));
  return prng.chance(1, 4) ? text : damageFilter(prng, text);
}

/** Compiles a filter for a layer and tries it on packets. Errors: anything but a `FilterSyntaxError` with a position. */
export function matchChecked(prng: Prng, text: string, layer: 0 | 1 | 2 | 3 | 4): string {
  try {
    formatFilter(text, layer);
    const filter = compileFilter(text, layer);
    for (let i = 0; i < 20; i++) {
      const bytes = prng.chance(3, 4) ? randomPacket(prng) : randomBytes(prng, prng.below(120));
      const packet = prng.chance(1, 2) ? mutateBytes(prng, bytes, bytes, 2_000) : bytes;
      const verdict = filter.matches(packet, randomAddress(prng, layer, packet));
      if (verdict !== true && verdict !== false) throw new Error(`the verdict is ${verdict}`);
    }
    return "taken";
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    if (!Number.isSafeInteger(error.position) || error.position < 0) {
      throw new Error(`the position is ${error.position}`);
    }
    return "refused";
  }
}
