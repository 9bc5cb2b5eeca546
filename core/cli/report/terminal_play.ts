/** What came of playing flows against the stack: a line under each flow, and all of them in one. */
import type { ReplayFlow, ReplayPlay } from "../replay_result.ts";
import { playText } from "./flow_text.ts";
import { countOf, formatBytes, formatCount } from "./format.ts";
import type { Paint, Tint } from "./paint.ts";
import { wrap } from "./width.ts";

const INDENT = "    ";

const OUTCOMES: readonly (readonly [outcome: ReplayPlay["outcome"], words: string])[] = [
  ["equal", "equal"],
  ["different", "different"],
  ["partial", "in part"],
  ["unplayed", "not played"],
];

const TINTS: { readonly [outcome in ReplayPlay["outcome"]]: Tint } = {
  equal: "dim",
  different: "red",
  partial: "yellow",
  unplayed: "yellow",
};

/** The line under a played flow. */
export function playLines(play: ReplayPlay, room: number, paint: Paint): string[] {
  return wrap(playText(play), room - INDENT.length).map((line) => `${INDENT}${paint(line, TINTS[play.outcome])}`);
}

/** All plays together; nothing when none was asked for. */
export function playSummaryLines(flows: readonly ReplayFlow[], room: number, paint: Paint): string[] {
  const plays = flows.flatMap(({ play }) => play === undefined ? [] : [play]);
  if (plays.length === 0) return [];
  const sum = (of: (play: ReplayPlay) => number) => plays.reduce((total, play) => total + of(play), 0);
  const counts = OUTCOMES.map(([outcome, words]) => {
    const count = plays.filter((play) => play.outcome === outcome).length;
    return count === 0 ? "" : `${formatCount(count)} ${words}`;
  }).filter((text) => text !== "").join(", ");
  const bytes = `${formatBytes(sum((play) => play.bytesToServer))} up, ${
    formatBytes(sum((play) => play.bytesToClient))
  } down compared`;
  const again = countOf(sum((play) => play.clientRetransmissions + play.stackRetransmissions), "retransmission");
  const resets = countOf(sum((play) => play.resets), "reset");
  const text = `${countOf(plays.length, "flow")} for the stack: ${counts}; ${bytes}, ${again}, ${resets}`;
  const tint: Tint = plays.some(({ outcome }) => outcome === "different") ? "red" : "bold";
  return wrap(text, room).map((line) => paint(line, tint));
}
