/** Bytes of real programs that are diverted through the stand-in WinDivert.dll and given back untouched. */
import { assert, assertEquals } from "@std/assert";
import { SERVER_V4, SERVER_V6 } from "./lab.ts";
import { download, startWebServer, upload, windowsTest } from "./windows_test_case.ts";

windowsTest(
  "diverted packets that are given back untouched reach their programs, and nothing is left after it",
  async (lab) => {
    await startWebServer(lab);
    const tables = async () => {
      const both = ["iptables-save", "ip6tables-save"].map((program) => lab.exec(lab.host, [program, "-t", "mangle"]));
      return (await Promise.all(both)).map(({ stdout }) => stdout.match(/^-A .*$/gm)?.join("\n") ?? "").join("\n");
    };
    const program = lab.startProgram("windivert_pass.ts", [`${lab.home.programs}\\WinDivert.dll`, "tcp or udp"]);
    await program.wrote("diverting");
    assert((await tables()).includes("NFQUEUE"));
    await download(lab, SERVER_V4, 20_000_000, 1);
    await upload(lab, SERVER_V4, 20_000_000, 2);
    await download(lab, `[${SERVER_V6}]`, 5_000_000, 3);
    await upload(lab, `[${SERVER_V6}]`, 5_000_000, 4);
    program.child.kill("SIGINT");
    const { code } = await program.child.status;
    await program.stop();
    const count = JSON.parse(/passed (.*)/.exec(program.text)![1]!);
    assertEquals([code, count.full], [0, 0]);
    assert(count.outbound > 10_000 && count.inbound > 10_000, program.text);
    assertEquals(await tables(), "\n");
    await download(lab, SERVER_V4, 1_000_000, 5);
  },
);
