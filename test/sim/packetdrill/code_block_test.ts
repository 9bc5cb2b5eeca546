import { assertEquals, assertThrows } from "@std/assert";
import { runCode } from "../../../sim/packetdrill/code_block.ts";
import { UnsupportedError } from "../../../sim/packetdrill/script_error.ts";

const VALUES: Readonly<Record<string, number>> = {
  tcpi_snd_cwnd: 10,
  tcpi_options: 6,
  TCPI_OPT_SACK: 2,
  tcpi_unacked: 0,
};

function run(text: string): string | undefined {
  return runCode(text, 1, (name) => VALUES[name]);
}

Deno.test("runCode() answers with the first assertion that does not hold", () => {
  const holds = [
    " assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd ",
    "assert tcpi_snd_cwnd == 10, 'cwnd=%d' % tcpi_snd_cwnd",
    "assert (tcpi_options & TCPI_OPT_SACK) != 0, tcpi_options",
    "assert tcpi_unacked == 0 and tcpi_snd_cwnd > 9 or 1 == 2",
    "assert not tcpi_unacked",
    "assert tcpi_snd_cwnd * 2 - 1 == 19  # a comment",
    "assert 1 << 4 | 1 == 17",
    "print(tcpi_snd_cwnd)\nassert tcpi_snd_cwnd >= 10; assert 7 % 4 == 3",
    "assert -(-3) + 1 / 2 == 3.5",
    "",
  ];
  for (const text of holds) assertEquals(run(text), undefined, text);
  assertEquals(run("assert tcpi_snd_cwnd == 10\nassert tcpi_unacked == 3, tcpi_unacked"), "tcpi_unacked == 3");
  assertEquals(run("assert tcpi_snd_cwnd <= 9 or tcpi_unacked"), "tcpi_snd_cwnd <= 9 or tcpi_unacked");
});

Deno.test("runCode() refuses what it does not know and never runs it", () => {
  const refused = [
    "import os",
    "assert tcpi_bogus == 1",
    "assert __import__('os').system('true')",
    "assert 1 < 2 < 3",
    "assert (1 == 1",
    "assert",
    "assert 1 == 1 if 1 else 0",
    `assert ${"(".repeat(1000)}1`,
    "for x in y: pass",
  ];
  for (const text of refused) assertThrows(() => run(text), UnsupportedError, undefined, text);
});
