/**
 * Inputs that once broke something, kept for ever; the name of each says what. `scripts/fuzz.ts` puts new ones here.
 *
 * seeds/captures and seeds/packets: whole capture files; seeds/configs and seeds/filters: texts.
 */
import { assert } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { FUZZ_CONFIG, replayChecked } from "../fuzz/capture_fuzz.ts";
import { loadChecked, matchChecked } from "../fuzz/text_fuzz.ts";

function seedsIn(folder: string): string[] {
  const path = new URL(`./${folder}/`, import.meta.url).pathname;
  try {
    return Array.from(Deno.readDirSync(path), ({ name }) => path + name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

Deno.test("replay() gives a sound result for each capture in seeds/captures and seeds/packets, in every mode", async () => {
  const config = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(config, FUZZ_CONFIG);
  const seeds = [...seedsIn("captures"), ...seedsIn("packets")];
  assert(seeds.length > 0);
  for (const seed of seeds) {
    for (const mode of ["tun", "divert"] as const) {
      for (const verifyChecksums of [false, true]) {
        await replayChecked(seed, { mode, verifyChecksums });
        await replayChecked(seed, { mode, verifyChecksums, config, explain: true, output: () => {} });
      }
    }
  }
  await Deno.remove(config);
});

Deno.test("loadConfig() takes or refuses each text in seeds/configs", async () => {
  for (const seed of seedsIn("configs")) await loadChecked(Deno.readTextFileSync(seed));
});

Deno.test("compileFilter() takes or refuses each text in seeds/filters for every layer", () => {
  for (const seed of seedsIn("filters")) {
    for (const layer of [0, 1, 2, 3, 4] as const) matchChecked(new Prng(1), Deno.readTextFileSync(seed), layer);
  }
});
