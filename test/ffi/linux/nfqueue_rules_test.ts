/** Chains that come and go, on tables that are only text. */
import { assertEquals, assertThrows } from "@std/assert";
import { parsePrefix } from "../../../core/base/ip_address.ts";
import { narrow } from "../../../ffi/linux/nfqueue_narrowing.ts";
import {
  addRules,
  chainRules,
  type QueueRules,
  removeChains,
  type RunTables,
} from "../../../ffi/linux/nfqueue_rules.ts";

/** Both tables as lists of what `-S` would print. */
class Tables {
  readonly lines: Record<4 | 6, string[]> = { 4: ["-P INPUT ACCEPT", "-A OUTPUT -j MARKED"], 6: [] };
  /** The call that fails, counted from 0. */
  failsAt = -1;
  #calls = 0;

  readonly run: RunTables = (version, args) => {
    const lines = this.lines[version];
    const [verb, chain, ...rest] = args as [string, string];
    if (verb === "-S") return { ok: true, out: lines.join("\n"), error: "" };
    if (this.#calls++ === this.failsAt) return { ok: false, out: "", error: "no such target\n" };
    const rule = [chain, ...rest].join(" ");
    const keep = (isKept: (line: string) => boolean) => {
      this.lines[version] = lines.filter(isKept);
    };
    if (verb === "-N") lines.push(`-N ${chain}`);
    else if (verb === "-A") lines.push(`-A ${rule}`);
    else if (verb === "-D") keep((line) => line !== `-A ${rule}`);
    else if (verb === "-F") keep((line) => !line.startsWith(`-A ${chain} `));
    else if (verb === "-X") {
      if (lines.some((line) => line.endsWith(` -j ${chain}`) || line.startsWith(`-A ${chain} `))) {
        throw new Error("in use");
      }
      keep((line) => line !== `-N ${chain}`);
    }
    return { ok: true, out: "", error: "" };
  };
}

function rulesFor(filter: string, excludes: string[] = []): QueueRules {
  return {
    queue: 7170,
    mark: 0x7e17,
    alternatives: narrow(filter),
    excludes: excludes.map((text) => parsePrefix(text)!),
  };
}

Deno.test("addRules() hands everything over but our own packets and the loopback's way in, and takes it back", () => {
  const tables = new Tables();
  const before = structuredClone(tables.lines);
  const remove = addRules(rulesFor("true", ["10.0.0.0/8", "fd00::/8"]), [4, 6], tables.run);
  assertEquals(tables.lines[4].slice(2), [
    "-N weir-out-7170",
    "-A weir-out-7170 -m mark --mark 0x7e17 -j RETURN",
    "-A weir-out-7170 -d 10.0.0.0/8 -j RETURN",
    "-A weir-out-7170 -j NFQUEUE --queue-num 7170 --queue-bypass",
    "-A OUTPUT -j weir-out-7170",
    "-N weir-in-7170",
    "-A weir-in-7170 -m mark --mark 0x7e17 -j RETURN",
    "-A weir-in-7170 -s 10.0.0.0/8 -j RETURN",
    "-A weir-in-7170 -j NFQUEUE --queue-num 7170 --queue-bypass",
    "-A INPUT ! -i lo -j weir-in-7170",
  ]);
  assertEquals(tables.lines[6].includes("-A weir-out-7170 -d fd00::/8 -j RETURN"), true);
  remove();
  assertEquals(tables.lines, before);
});

Deno.test("addRules() leaves nothing behind when any call fails", () => {
  for (let failsAt = 0; failsAt < 16; failsAt++) {
    const tables = new Tables();
    const before = structuredClone(tables.lines);
    tables.failsAt = failsAt;
    assertThrows(() => addRules(rulesFor("true"), [4, 6], tables.run), Error, "no such target");
    assertEquals(tables.lines, before);
  }
});

Deno.test("chainRules() makes no chain when a filter cannot match there", () => {
  assertEquals(chainRules(rulesFor("outbound"), 4, false), []);
  assertEquals(chainRules(rulesFor("ip"), 6, true), []);
  assertEquals(chainRules(rulesFor("false"), 4, true), []);
});

Deno.test("removeChains() takes away only what it is asked for", () => {
  const tables = new Tables();
  addRules(rulesFor("true"), [4], tables.run);
  const left = structuredClone(tables.lines);
  addRules({ ...rulesFor("tcp"), queue: 7171 }, [4], tables.run);
  tables.lines[4].push("-N weir-other", "-N weir-out-x");
  removeChains(4, tables.run, (queue) => queue === 7171);
  assertEquals(tables.lines[4], [...left[4], "-N weir-other", "-N weir-out-x"]);
});
