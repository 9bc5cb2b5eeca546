import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../core/cli/arguments.ts";
import { packetdrillCommand } from "../../core/cli/packetdrill.ts";
import type { PacketdrillRun } from "../../core/cli/packetdrill_result.ts";
import { KeptIo } from "../support/io.ts";

function judge(source: string): PacketdrillRun {
  if (source.startsWith("good")) return { passed: true, ignored: ["sockstat"] };
  return { passed: false, line: 3, message: "expected \x1b[31m\nactual", ignored: [] };
}

async function folder(): Promise<string> {
  const path = await Deno.makeTempDir();
  await Deno.mkdir(`${path}/deep`);
  await Deno.writeTextFile(`${path}/b.pkt`, "good");
  await Deno.writeTextFile(`${path}/deep/a.pkt`, "bad");
  await Deno.writeTextFile(`${path}/note.txt`, "no script");
  return path;
}

Deno.test("packetdrillCommand() runs a folder's scripts in order and tells which failed", async () => {
  const path = await folder();
  const io = new KeptIo();
  assertEquals(await packetdrillCommand([path], io, judge), 1);
  assertEquals(
    io.output,
    [
      `failed ${path}/deep/a.pkt:3: expected \\x1b[31m`,
      "actual",
      "ignored shell lines, which have no meaning here:",
      "  1 × sockstat",
      "1 passed, 1 failed",
      "",
    ].join("\n"),
  );
  await Deno.remove(path, { recursive: true });
});

Deno.test("packetdrillCommand() prints weir.packetdrill/1 and nothing else with --json", async () => {
  const path = await folder();
  const io = new KeptIo();
  assertEquals(await packetdrillCommand(["--json", path], io, judge), 1);
  assertEquals(JSON.parse(io.output), {
    schema: "weir.packetdrill/1",
    scripts: [
      { file: `${path}/b.pkt`, passed: true },
      { file: `${path}/deep/a.pkt`, passed: false, line: 3, message: "expected \x1b[31m\nactual" },
    ],
    passed: 1,
    failed: 1,
  });
  assertEquals(await packetdrillCommand([`${path}/b.pkt`], new KeptIo(), judge), 0);
  await Deno.remove(path, { recursive: true });
});

Deno.test("packetdrillCommand() refuses what it cannot run", async () => {
  const path = await Deno.makeTempDir();
  for (const args of [[], ["/nowhere/x.pkt"], [path], ["--bogus", path]]) {
    await assertRejects(() => packetdrillCommand(args, new KeptIo(), judge), UsageError);
  }
  await Deno.remove(path);
});
