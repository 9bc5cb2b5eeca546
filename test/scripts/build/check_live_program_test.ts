import { assertEquals } from "@std/assert";
import { checkDoctorAnswer } from "../../../scripts/build/check_live_program.ts";

function answer(change: Record<string, unknown>): string {
  return JSON.stringify({
    schema: "weir.doctor/1",
    findings: [{}],
    adapters: { tun: true, nfqueue: false },
    ...change,
  });
}

const ANSWERS: readonly { name: string; code: number; json: string; problems: string[] }[] = [
  { name: "an adapter is ready and the status is 0", code: 0, json: answer({}), problems: [] },
  { name: "none is ready and the status is 1", code: 1, json: answer({ adapters: { tun: false } }), problems: [] },
  { name: "none is ready, status 0", code: 0, json: answer({ adapters: {} }), problems: ["weir doctor ends with 0"] },
  { name: "an adapter is ready, status 1", code: 1, json: answer({}), problems: ["weir doctor ends with 1"] },
  { name: "it crashes", code: 2, json: "", problems: ["weir doctor does not answer with JSON, exit status 2"] },
  { name: "it finds nothing", code: 0, json: answer({ findings: [] }), problems: ["weir doctor finds nothing out"] },
  {
    name: "the schema is another",
    code: 0,
    json: answer({ schema: "weir.doctor/2" }),
    problems: ["weir doctor answers with the schema weir.doctor/2"],
  },
];

for (const { name, code, json, problems } of ANSWERS) {
  Deno.test(`checkDoctorAnswer() finds ${problems.length} problems when ${name}`, () => {
    assertEquals(checkDoctorAnswer(code, json), problems);
  });
}
