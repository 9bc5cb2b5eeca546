/**
 * A packetdrill script → its events.
 *
 * Source: google/packetdrill syntax.md, `script`, `event`, `event_time`; FreeBSD dialect as in parse_packet.ts.
 */
import { SCRIPT_TIME_US_MAX } from "../../core/base/limits.ts";
import { Lexer } from "./lexer.ts";
import { readCall } from "./parse_call.ts";
import { readPacket } from "./parse_packet.ts";
import type { Action, EventTime, Script, ScriptEvent } from "./script.ts";
import { TokenReader } from "./token_reader.ts";

const MICROS_PER_SECOND = 1_000_000;

function readTime(reader: TokenReader): number {
  if (!reader.isKind("float") && !reader.isKind("integer")) reader.fail("expected a time in seconds");
  const atUs = Math.round(Number(reader.peek().text) * MICROS_PER_SECOND);
  if (atUs > SCRIPT_TIME_US_MAX) reader.fail(`the time is beyond ${SCRIPT_TIME_US_MAX / MICROS_PER_SECOND} seconds`);
  reader.next();
  return atUs;
}

function readEventTime(reader: TokenReader): EventTime {
  if (reader.take("*")) return { kind: "any" };
  const isRelative = reader.take("+");
  const atUs = readTime(reader);
  if (!reader.take("~")) return { kind: isRelative ? "relative" : "absolute", atUs };
  if (isRelative) reader.expect("+", "before the end of a relative time range");
  const endUs = readTime(reader);
  if (endUs < atUs) reader.fail("the time range is backwards");
  return { kind: isRelative ? "relativeRange" : "absoluteRange", atUs, endUs };
}

function readAction(reader: TokenReader): Action {
  if (reader.take("<")) return { kind: "in", packet: readPacket(reader, false) };
  if (reader.take(">")) return { kind: "out", packet: readPacket(reader, true) };
  if (reader.isKind("command")) return { kind: "command", text: reader.next().text };
  if (reader.isKind("code")) return { kind: "code", text: reader.next().text };
  if (!reader.isKind("ellipsis") && !(reader.isKind("word") && reader.is("(", 1))) {
    reader.fail("expected a packet (< or >), a call, `a command` or %{ code }%");
  }
  if (!reader.isKind("ellipsis")) return { kind: "call", call: readCall(reader, undefined) };
  reader.next();
  const endUs = readTime(reader);
  return { kind: "call", call: readCall(reader, endUs) };
}

function readEvent(reader: TokenReader, source: string): ScriptEvent {
  const start = reader.peek();
  const time = readEventTime(reader);
  const action = readAction(reader);
  const isRange = time.kind === "any" || time.kind === "absoluteRange" || time.kind === "relativeRange";
  if (isRange && action.kind !== "out") reader.fail("only outbound packets may have * or a range as their time");
  const text = source.slice(start.from, reader.last().to).replaceAll(/\s+/g, " ").trim();
  return { line: start.line, time, action, text };
}

/**
 * Reads a script. `defines` are the names that `#ifdef` finds.
 * Errors: `ScriptSyntaxError` with line and column; `UnsupportedError` for what is packetdrill but not ours.
 */
export function parseScript(source: string, defines: ReadonlySet<string>): Script {
  const reader = new TokenReader(new Lexer(source, defines).tokens());
  const options = new Map<string, { value: string; line: number }>();
  while (reader.isKind("option")) {
    const { text, value, line } = reader.next();
    options.set(text, { value: value ?? "", line });
  }
  const initCommand = reader.isKind("command") ? reader.next().text : undefined;
  const events: ScriptEvent[] = [];
  let cleanupCommand: string | undefined;
  while (!reader.isKind("end")) {
    if (reader.isKind("command") && reader.isKind("end", 1)) cleanupCommand = reader.next().text;
    else events.push(readEvent(reader, source));
  }
  return { options, initCommand, events, cleanupCommand };
}
