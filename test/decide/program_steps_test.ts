import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { PROGRAM_STEPS_MAX } from "../../core/base/limits.ts";
import { createProgram, programText } from "../../core/decide/packet_program.ts";
import { pathText, plainSteps, readSteps, STEP_KEYS } from "../../core/decide/program_steps.ts";

Deno.test("readSteps() reads times, rates, sizes and odds in every way of writing", () => {
  const cases: [unknown, unknown][] = [
    [{ delay: 20 }, { delayUs: 20_000 }],
    [{ delay: "20ms", jitter: "1.5 s" }, { delayUs: 20_000, jitterUs: 1_500_000 }],
    [{ delay: "500us" }, { delayUs: 500 }],
    [{ delay: "7µs" }, { delayUs: 7 }],
    [{ reorder: 3 }, { reorderDistance: 3 }],
    [{ reorder: "30ms" }, { reorderUs: 30_000 }],
    [{ probability: 0.25 }, { oddsPpm: 250_000 }],
    [{ probability: "2.5%" }, { oddsPpm: 25_000 }],
    [{ duplicate: 3, ceiling: "8mbit", adaptive: true }, {
      duplicate: 3,
      ceilingBytesPerSecond: 1_000_000,
      adaptive: true,
    }],
    [{ throttle: "10mbit/s" }, { throttle: { bytesPerSecond: 1_250_000, burstBytes: 12_500, queueBytes: 250_000 } }],
    [{ throttle: 1_000 }, { throttle: { bytesPerSecond: 1_000, burstBytes: 3_000, queueBytes: 32_768 } }],
    [{ throttle: { rate: "1MB", burst: "2KiB", queue: 5 } }, {
      throttle: { bytesPerSecond: 1_000_000, burstBytes: 2_048, queueBytes: 5 },
    }],
    [{ drop: true, corrupt: false, when: "tcp" }, { drop: true, corrupt: false, when: "tcp" }],
    [{ drop: undefined }, {}],
  ];
  for (const [given, fields] of cases) {
    assertEquals(readSteps(given), [fields] as never);
    assertEquals(readSteps([given, given]), [fields, fields] as never);
  }
});

Deno.test("readSteps() says where and what is wrong", () => {
  const cases: [unknown, string, string][] = [
    [5, "", "expected a step, found 5"],
    [null, "", "expected a step, found null"],
    [[null], "[0]", "expected a step, found null"],
    [{ delay: -1 }, "delay", "found -1"],
    [{ delay: "20" }, "delay", 'or a number of milliseconds, found "20"'],
    [{ delay: "11s" }, "delay", "expected a time from 0 to 10 s"],
    [{ delay: NaN }, "delay", "found NaN"],
    [{ jitter: {} }, "jitter", "found an object"],
    [{ probability: 1.1 }, "probability", "expected a probability from 0 to 1"],
    [{ probability: "101%" }, "probability", 'found "101%"'],
    [{ duplicate: 0 }, "duplicate", "expected a whole number from 1 to 10, found 0"],
    [{ duplicate: "2" }, "duplicate", 'found "2"'],
    [{ reorder: 65 }, "reorder", "expected a whole number from 0 to 64"],
    [{ throttle: { rate: "1 parsec" } }, "throttle.rate", 'found "1 parsec"'],
    [{ throttle: { burst: 5 } }, "throttle", "a throttle needs its rate"],
    [{ throttle: { rate: 5, queue: "1GiB" } }, "throttle.queue", "expected a size up to 32 MiB"],
    [{ throttle: 0 }, "throttle", "expected a rate"],
    [{ throttle: { rat: 5 } }, "throttle.rat", 'there is no "rat" in a throttle; there are rate, burst, queue'],
    [[{}, { dorp: true }], "[1].dorp", 'there is no "dorp" in a step; there are when, probability'],
    [{ drop: "yes" }, "drop", 'expected true or false, found "yes"'],
    [{ when: 5 }, "when", "expected a WinDivert filter, found 5"],
    [{ when: "x".repeat(10_000) }, "when", "a text of 10000 characters"],
    [{ adaptive: true }, "", "ceiling and adaptive belong to duplicate"],
    [new Array(PROGRAM_STEPS_MAX + 1).fill({}), "", `at most ${PROGRAM_STEPS_MAX} steps`],
  ];
  for (const [given, path, message] of cases) {
    const fault = readSteps(given);
    assert(!Array.isArray(fault), JSON.stringify(given));
    assertEquals(pathText(fault.path), path, fault.message);
    assert(fault.message.includes(message), fault.message);
  }
});

Deno.test("readSteps() gives one outcome for anything, and reads its own writing", () => {
  const part = fc.oneof(fc.anything(), fc.integer({ min: -2, max: 12 }), fc.boolean(), fc.constant("5ms"), fc.double());
  const step = fc.dictionary(fc.constantFrom(...STEP_KEYS), part, { maxKeys: 4 });
  fc.assert(
    fc.property(fc.oneof(step, fc.array(step, { maxLength: 4 }), fc.anything()), (given) => {
      const read = readSteps(given);
      if (!Array.isArray(read)) return read.message.length > 0 && read.message.length < 300;
      assertEquals(readSteps(plainSteps(read)), read);
      return true;
    }),
    { seed: 11, numRuns: 5_000 },
  );
});

Deno.test("createProgram() names the place in a filter that does not compile", () => {
  const made = createProgram("x", [{ drop: true }, { when: "tcp and (udp", drop: true }]);
  assert("message" in made);
  assertEquals([made.path, made.message.endsWith("expected a WinDivert filter")], [[1, "when"], true]);
  assert(made.offset > 0);
});

Deno.test("programText() tells people what a program does", () => {
  const text = (steps: unknown, name = "") => {
    const read = readSteps(steps);
    assert(Array.isArray(read));
    const made = createProgram(name, read);
    assert(!("message" in made));
    return programText(made);
  };
  assertEquals(text({ duplicate: 2, delay: 20, when: "udp" }), "each packet delayed 20 ms, sent 2 times where udp");
  assertEquals(
    text([{ probability: 0.1, drop: true }, { throttle: 1000 }]),
    "each packet dropped with a probability of 0.1, then each packet throttled to 1000 bytes/s",
  );
  assertEquals([text({}), text({}, "twice")], ["a program that does nothing", "program twice"]);
});
