import { assert, assertEquals } from "@std/assert";
import { dropWords, hasDropWords } from "../../../core/cli/report/drop_words.ts";
import { DROP_REASON_NAMES, DropReason } from "../../../core/parse/drop_reason.ts";

Deno.test("dropWords() has a sentence for every drop reason there is", () => {
  const missing = DROP_REASON_NAMES.filter((name, reason) => reason !== DropReason.None && !hasDropWords(name));
  assertEquals(missing, []);
  assert(DROP_REASON_NAMES.length > 1);
});

Deno.test("dropWords() takes an unknown reason apart", () => {
  assertEquals(dropWords("someNewReason"), "some new reason");
  assertEquals(dropWords("constructor"), "constructor");
});
