/** What tests of `weir run` over WinDivert begin with. */
import type { Running } from "../live/lab.ts";
import type { WindowsLab } from "./lab.ts";
import { WEB_PORT, writeForWindows } from "./windows_test_case.ts";

/** The rule that needs a name makes weir answer each connection of that port itself, and carry it by a connection of its own. */
function configOf(lab: WindowsLab, mode: string): string {
  return `weir: { divert: { enable: true, mode: ${mode} } }
sniffer: { enable: true, sniff: { HTTP: { ports: [${WEB_PORT}] } } }
rules:
  - PROCESS-NAME,game.exe,REJECT
  - PROCESS-PATH,${lab.home.programs}\\chat.exe,REJECT
  - DOMAIN,blocked.example,REJECT
  - MATCH,DIRECT
`;
}

/** Starts weir.exe with that mode. */
export async function startDivert(lab: WindowsLab, mode: string, level = "debug"): Promise<Running> {
  const config = await writeForWindows(lab, "divert.yaml", configOf(lab, mode));
  const library = `--iphlpapi=${lab.home.programs}\\weir-iphlpapi.dll`;
  const weir = lab.startWeir(["run", library, `--config=${config}`, `--log=${level}`]);
  await weir.wrote("windivert is up");
  return weir;
}

/** Rules and chains that iptables has in the host's namespace. */
export async function tablesOf(lab: WindowsLab): Promise<string> {
  const both = ["iptables-save", "ip6tables-save"].map((program) => lab.exec(lab.host, [program, "-t", "mangle"]));
  return (await Promise.all(both)).map(({ stdout }) => stdout.match(/^-[AN] .*$/gm)?.join("\n") ?? "").join("");
}
