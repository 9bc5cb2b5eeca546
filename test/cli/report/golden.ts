/** Whole outputs kept beside the tests. `WEIR_UPDATE_GOLDEN=1` writes them anew; look at the difference before committing it. */
import { assertEquals } from "@std/assert";

/** Compares a text with the file `golden/<name>` beside the test. */
export async function assertGolden(testUrl: string, name: string, actual: string): Promise<void> {
  const file = new URL(`golden/${name}`, testUrl);
  if (Deno.env.get("WEIR_UPDATE_GOLDEN") === "1") {
    await Deno.mkdir(new URL(".", file), { recursive: true });
    await Deno.writeTextFile(file, actual);
  }
  assertEquals(actual, (await Deno.readTextFile(file)).replaceAll("\r\n", "\n"));
}
