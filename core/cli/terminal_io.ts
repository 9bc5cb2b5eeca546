/** The process's own standard streams as a command's words. */
import type { CommandIo } from "./io.ts";

/** Columns when standard output is no terminal. Units: character cells. */
const COLUMNS_WITHOUT_TERMINAL = 120;

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return COLUMNS_WITHOUT_TERMINAL;
  }
}

/** Standard output and error of this process. Source: NO_COLOR (no-color.org) is honoured when it is set and not empty. */
export function terminalIo(): CommandIo {
  const isTerminal = Deno.stdout.isTerminal();
  return {
    out: (text) => writeAll(Deno.stdout, text),
    err: (text) => writeAll(Deno.stderr, text),
    color: isTerminal && !Deno.noColor,
    isTerminal: Deno.stderr.isTerminal(),
    columns: isTerminal ? terminalColumns() : COLUMNS_WITHOUT_TERMINAL,
  };
}
