/** One packetdrill script, from its text to what became of it. */
import type { PacketdrillRun } from "../../core/cli/packetdrill_result.ts";
import type { Host } from "./host.ts";
import { parseScript } from "./parser.ts";
import { Player } from "./player.ts";
import { MismatchError, ScriptSyntaxError, UnsupportedError } from "./script_error.ts";
import { definesOf, profileOf, type Settings, settingsOf } from "./settings.ts";

/** Makes the host that a script plays against. */
export type MakeHost = (settings: Settings) => Host;

/** Runs a script. Whatever is wrong with it, or with the stack's answers, is in the result; only our own mistakes throw. */
export function runScript(source: string, makeHost: MakeHost): PacketdrillRun {
  const profile = profileOf(source);
  let settings: Settings | undefined;
  try {
    const script = parseScript(source, definesOf(profile));
    settings = settingsOf(script, profile);
    new Player(script, settings, makeHost(settings)).run();
    return { passed: true, ignored: settings.ignored };
  } catch (error) {
    const ignored = settings?.ignored ?? [];
    if (error instanceof ScriptSyntaxError) {
      const message = `column ${error.column}: ${error.message}`;
      return { passed: false, line: error.line, message, ignored };
    }
    if (error instanceof UnsupportedError) {
      return { passed: false, line: error.line, message: error.message, unsupported: error.reason, ignored };
    }
    if (!(error instanceof MismatchError)) throw error;
    return { passed: false, line: error.line, message: error.message, ignored };
  }
}
