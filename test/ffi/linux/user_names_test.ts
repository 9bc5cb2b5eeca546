/** /etc/passwd as a list of names. */
import { assertEquals } from "@std/assert";
import { USER_LIST_FRESH_US } from "../../../core/base/limits.ts";
import { parsePasswd, UserNames } from "../../../ffi/linux/user_names.ts";

Deno.test("parsePasswd() keeps the first name of a number when lines are of all kinds", () => {
  const text =
    "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0\n# a comment\n+::::::\nbroken\n:x:5:5\nana:x:1000:1000:Ana,,,:/home/ana:\n";
  assertEquals([...parsePasswd(text)], [[0, "root"], [1000, "ana"]]);
  assertEquals(parsePasswd("").size, 0);
});

Deno.test("nameOf() reads the list again when a user is new, and not often", () => {
  let text: string | undefined = "ana:x:1000:1000\n";
  let reads = 0;
  let now = 0;
  const users = new UserNames(() => {
    reads++;
    return text;
  }, () => now);
  assertEquals([users.nameOf(1000), users.nameOf(1001), reads], ["ana", "", 1]);
  text = "ana:x:1000:1000\nbo:x:1001:1001\n";
  now = USER_LIST_FRESH_US;
  assertEquals([users.nameOf(1001), reads], ["bo", 2]);
  text = undefined;
  now *= 3;
  assertEquals([users.nameOf(7), reads], ["", 3]);
});
