/** What tests of `weir run` over WinDivert begin with. */
import type { Running } from "../live/lab.ts";
import type { WindowsLab } from "./lab.ts";
import { WEB_PORT, writeForWindows } from "./windows_test_case.ts";

/** What weir.exe is started with. */
export interface DivertCase {
  readonly mode: string;
  readonly rules: readonly string[];
  readonly level?: string;
  /** Lines of the configuration's proxies. */
  readonly proxies?: readonly string[];
}

/**
 * Rules by process and by name. The one that needs a name makes weir answer each connection of that port itself, and carry it by a connection of its
 * own.
 */
export function rulesOfAll(lab: WindowsLab): string[] {
  const chat = `PROCESS-PATH,${lab.home.programs}\\chat.exe,REJECT`;
  return ["PROCESS-NAME,game.exe,REJECT", chat, "DOMAIN,blocked.example,REJECT", "MATCH,DIRECT"];
}

/** Starts weir.exe over WinDivert. */
export async function startDivert(
  lab: WindowsLab,
  { mode, rules, level = "debug", proxies = [] }: DivertCase,
): Promise<Running> {
  const text = `weir: { divert: { enable: true, mode: ${mode} } }
sniffer: { enable: true, sniff: { HTTP: { ports: [${WEB_PORT}] } } }
proxies: [${proxies.join(", ")}]
rules:
${rules.map((rule) => `  - ${rule}\n`).join("")}`;
  const config = await writeForWindows(lab, "divert.yaml", text);
  const library = `--iphlpapi=${lab.home.programs}\\weir-iphlpapi.dll`;
  const weir = lab.startWeir(["run", library, `--config=${config}`, `--log=${level}`]);
  if (level !== "warning") await weir.wrote("windivert is up");
  for (let tries = 0; (await lab.state()).divert.handles === 0; tries++) {
    if (tries === 300) throw new Error(`weir does not divert: ${weir.text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return weir;
}

/** Rules and chains that iptables has in the host's namespace. */
export async function tablesOf(lab: WindowsLab): Promise<string> {
  const both = ["iptables-save", "ip6tables-save"].map((program) => lab.exec(lab.host, [program, "-t", "mangle"]));
  return (await Promise.all(both)).map(({ stdout }) => stdout.match(/^-[AN] .*$/gm)?.join("\n") ?? "").join("");
}
