import { assertEquals } from "@std/assert";
import { addLinkTypeName, LINKTYPE, linkTypeName } from "../../../sim/capture/link_types.ts";

Deno.test("linkTypeName() names what it knows and numbers the rest when asked for any link type", () => {
  assertEquals(linkTypeName(LINKTYPE.ETHERNET), "ETHERNET");
  assertEquals(linkTypeName(LINKTYPE.LINUX_SLL2), "LINUX_SLL2");
  assertEquals(linkTypeName(12), "RAW");
  assertEquals(linkTypeName(4711), "4711");
  for (const value of Object.values(LINKTYPE)) assertEquals(/^[A-Z]/.test(linkTypeName(value)), true, String(value));
});

Deno.test("addLinkTypeName() keeps each name once when two numbers share it", () => {
  const names: string[] = [];
  for (const linkType of [12, 1, 101, 1]) addLinkTypeName(names, linkType);
  assertEquals(names, ["RAW", "ETHERNET"]);
});
