/** The section `weir.programs`: packet programs by name, with every mistake at its place. */
import { createProgram, type PacketProgram } from "../decide/packet_program.ts";
import { pathText, readSteps } from "../decide/program_steps.ts";
import { expected, type Reader, within } from "./schema.ts";
import { isNothing, kindName, placeOf, placeOfKey, placeWithin, shorten, type Value } from "./yaml_tree.ts";

/** Anything that JSON can say; a plain scalar that reads as a number or a flag is one. */
function plainOf(value: Value): unknown {
  if (value.kind === "list") return value.items.map(plainOf);
  if (value.kind === "table") {
    return Object.fromEntries(Array.from(value.entries, ([key, entry]) => [key, plainOf(entry.value)]));
  }
  if (isNothing(value)) return null;
  if (value.style !== "plain") return value.text;
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value.text)) return Number(value.text);
  if (/^(?:true|yes|on)$/i.test(value.text)) return true;
  if (/^(?:false|no|off)$/i.test(value.text)) return false;
  return value.text;
}

/** The value that a path leads to, as far as it leads. */
function follow(value: Value, path: readonly (string | number)[]): Value {
  let found = value;
  for (const step of path) {
    const next = typeof step === "number" && found.kind === "list"
      ? found.items[step]
      : typeof step === "string" && found.kind === "table"
      ? found.entries.get(step)?.value
      : undefined;
    if (next === undefined) return found;
    found = next;
  }
  return found;
}

/** One program: a list of steps, or one step. */
const program = (name: string): Reader<PacketProgram> => (value, at) => {
  if (value.kind === "scalar") return expected("a step or a list of steps", value, at, kindName(value));
  const steps = readSteps(plainOf(value));
  const made = Array.isArray(steps) ? createProgram(name, steps) : steps;
  if (!("message" in made)) return made;
  const path = value.kind === "table" && made.path[0] === 0 ? made.path.slice(1) : made.path;
  const where = pathText(path);
  const full = where === "" ? at.name : `${at.name}${where.startsWith("[") ? "" : "."}${where}`;
  const node = follow(value, path);
  const place = "offset" in made && typeof made.offset === "number" && node.kind === "scalar"
    ? placeWithin(node, made.offset)
    : placeOf(node);
  at.issues.error(place, `Cannot read ${shorten(full)}: ${made.message}`);
  return undefined;
};

/** A name that a rule line can hold. */
const NO_NAME = /[,=()\p{Cc}]|^\s|\s$|^$/u;

/** Reads the section: names and their programs. Those that are wrong are reported and left out. */
export const programsSection: Reader<ReadonlyMap<string, PacketProgram>> = (value, at) => {
  if (value.kind !== "table") return expected("a table of names and their steps", value, at, kindName(value));
  const programs = new Map<string, PacketProgram>();
  for (const [name, entry] of value.entries) {
    if (NO_NAME.test(name)) {
      const place = placeOfKey(value, entry);
      at.issues.error(place, `Cannot read ${at.name}: found "${shorten(name)}", expected a name that a rule can hold`);
      continue;
    }
    const read = program(name)(entry.value, within(at, name));
    if (read !== undefined) programs.set(name, read);
  }
  return programs;
};
