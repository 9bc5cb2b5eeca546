import { assertEquals } from "@std/assert";
import { formatIssue, loadConfig } from "../../core/config/load.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import { Deliberation, Stage } from "../../core/decide/deliberation.ts";
import { LinearDecider } from "../../core/decide/linear.ts";
import { MemoryFiles } from "./memory_files.ts";

const PROGRAMS = `weir:
  programs:
    twice: { duplicate: 2 }
    bad-radio:
      - { when: "outbound and udp", probability: 5%, drop: true }
      - { delay: 20ms, jitter: 5, throttle: { rate: 10mbit, queue: 64KiB } }
      - { reorder: 3, probability: .5 }
    nothing: []
`;

async function issuesOf(text: string): Promise<string[]> {
  const { issues } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": text }));
  return issues.map((issue) => formatIssue(issue).replace("c.yaml:", ""));
}

Deno.test("loadConfig() reads packet programs, in one step or several", async () => {
  const { config, issues } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": PROGRAMS }));
  assertEquals(issues, []);
  const programs = config!.decide.programs!;
  assertEquals([...programs.keys()], ["twice", "bad-radio", "nothing"]);
  const steps = programs.get("bad-radio")!.steps.map(({ filter, ...fields }) => ({
    filtered: filter !== undefined,
    fields,
  }));
  assertEquals(steps, [
    { filtered: true, fields: { when: "outbound and udp", oddsPpm: 50_000, drop: true } },
    {
      filtered: false,
      fields: {
        delayUs: 20_000,
        jitterUs: 5_000,
        throttle: { bytesPerSecond: 1_250_000, burstBytes: 12_500, queueBytes: 65_536 },
      },
    },
    { filtered: false, fields: { reorderDistance: 3, oddsPpm: 500_000 } },
  ]);
});

Deno.test("loadConfig() reports each mistake in a packet program at its place", async () => {
  assertEquals(
    await issuesOf(`weir:
  programs:
    a: { delay: fast }
    b: [{ duplicate: 2 }, { drop: maybe }]
    c: { when: "tcp adn udp", drop: true }
    d: twice
    "e,f": { drop: true }
    g: { duplicat: 2 }
    h: { throttle: { rate: 10mbit, burst: [] } }
`),
    [
      '3:17: error: Cannot read weir.programs.a.delay: expected a time from 0 to 10 s like "20ms", or a number of milliseconds, found "fast"',
      '4:35: error: Cannot read weir.programs.b[1].drop: expected true or false, found "maybe"',
      "5:21: error: Cannot read weir.programs.c.when: Filter expression contains a bad token, expected a WinDivert filter",
      "6:8: error: Cannot read weir.programs.d: found a single value, expected a step or a list of steps",
      '7:5: error: Cannot read weir.programs: found "e,f", expected a name that a rule can hold',
      '8:20: error: Cannot read weir.programs.g.duplicat: there is no "duplicat" in a step; there are when, probability, duplicate, ceiling, adaptive, drop, delay, jitter, reorder, throttle, corrupt',
      '9:43: error: Cannot read weir.programs.h.throttle.burst: expected a size up to 32 MiB like "64KiB", or a number of bytes, found a list',
    ],
  );
});

Deno.test("loadConfig() takes program= as a fourth field, and reports names that there are not", async () => {
  const rules = (...lines: string[]) => `${PROGRAMS}rules:\n${lines.map((line) => `  - ${line}\n`).join("")}`;
  assertEquals(
    await issuesOf(rules(
      "DOMAIN-SUFFIX,example.org,DIRECT,program=twice",
      "IP-CIDR,10.0.0.0/8,DIRECT,no-resolve,program=bad-radio",
      "MATCH,DIRECT,program=twice",
    )),
    [],
  );
  assertEquals(
    await issuesOf(
      rules("DOMAIN,a.org,DIRECT,program=twise", "DOMAIN,b.org,DIRECT,program=", "MATCH,DIRECT,program=no"),
    ),
    [
      '10:33: error: Cannot read rules[0]: found "twise", expected the name of a packet program under weir.programs; did you mean "twice"?',
      "11:25: error: Cannot read rules[1]: missing name of a packet program, expected program=NAME",
      '12:26: error: Cannot read rules[2]: found "no", expected the name of a packet program under weir.programs',
    ],
  );
  assertEquals(await issuesOf(rules("AND,((NETWORK,udp),(DST-PORT,53)),DIRECT,program=twice")), [
    "10:46: warning: rules[0]: Clash does not take a program in a AND rule; weir does",
  ]);
});

Deno.test("deciders give the program of the rule that hit, also inside sub-rules", async () => {
  const text = `${PROGRAMS}sub-rules:
  list: ["DST-PORT,7,DIRECT,program=bad-radio", "MATCH,DIRECT"]
rules:
  - DOMAIN-SUFFIX,example.org,DIRECT,program=twice
  - SUB-RULE,(NETWORK,udp),list
  - MATCH,DIRECT,program=nothing
`;
  const { config } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": text }));
  const program = (host: string, network: "tcp" | "udp", destinationPort: number) => {
    const names = [config!.decider, new LinearDecider(config!.decide)].map((decider) => {
      const deliberation = new Deliberation(false);
      const facts = Object.assign(emptyFacts(network), { host, destinationPort });
      assertEquals(deliberation.advance(facts, decider), Stage.Decided);
      return deliberation.verdict.effects?.program.name;
    });
    assertEquals(names[0], names[1]);
    return names[0];
  };
  assertEquals(program("a.example.org", "udp", 7), "twice");
  assertEquals(program("b.test", "udp", 7), "bad-radio");
  assertEquals(program("b.test", "udp", 8), undefined);
  assertEquals(program("b.test", "tcp", 8), "nothing");
});
