import { assert, assertEquals } from "@std/assert";
import { POLICY_PROGRAMS_MAX } from "../../core/base/limits.ts";
import { PolicyPrograms } from "../../core/host/policy_programs.ts";

Deno.test("PolicyPrograms.find() makes each program once, up to a bound", () => {
  const programs = new PolicyPrograms();
  const first = programs.find([{ duplicate: 2 }]);
  assert(programs.find([{ duplicate: 2 }]) === first);
  for (let n = 1; n < POLICY_PROGRAMS_MAX; n++) assert("steps" in programs.find([{ delay: n }]));
  const more = programs.find([{ drop: true }]);
  assert("message" in more && more.message.includes("give them names under weir.programs"));
  assert(programs.find([{ duplicate: 2 }]) === first, "those that there are stay");
});

Deno.test("PolicyPrograms.find() says what is wrong, and where", () => {
  const programs = new PolicyPrograms();
  assertEquals(programs.find([{ when: "tcp" }, { duplicate: 0 }]), {
    message: "program[1].duplicate: expected a whole number from 1 to 10, found 0",
  });
  const filter = programs.find([{ when: "udp and" }]);
  assert("message" in filter && filter.message.startsWith("program[0].when: "), JSON.stringify(filter));
});
