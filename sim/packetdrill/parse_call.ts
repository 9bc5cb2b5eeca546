/**
 * System calls in packetdrill notation: `read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)`.
 *
 * Source: google/packetdrill syntax.md, `syscall_spec` and `expression`. Every `{name = value, …}` is read alike, whatever struct it is.
 */
import type { CallSpec, Expression } from "./script.ts";
import type { TokenReader } from "./token_reader.ts";

/** The name of a field: `msg_iov(1)` counts what follows, which we can count ourselves. */
function readFieldName(reader: TokenReader): string {
  const name = reader.word("the name of a field");
  if (reader.take("(")) {
    if (!reader.isKind("ellipsis")) reader.integer("a count", 0xffff);
    else reader.next();
    reader.expect(")", "after the count");
  }
  return name;
}

function isField(reader: TokenReader): boolean {
  if (!reader.isKind("word")) return false;
  return reader.is("=", 1) || (reader.is("(", 1) && reader.is("=", 4));
}

function readRecord(reader: TokenReader): Expression {
  const fields = new Map<string, Expression>();
  let unnamed = 0;
  while (!reader.take("}")) {
    const name = isField(reader) ? readFieldName(reader) : `${unnamed++}`;
    if (!/^[0-9]+$/.test(name)) reader.expect("=", "after the name of a field");
    if (fields.has(name)) reader.fail(`the field ${name} is already given`);
    fields.set(name, readExpression(reader));
    if (!reader.take(",") && !reader.is("}")) reader.fail("expected , or } in a struct");
  }
  return { kind: "record", fields };
}

function readList(reader: TokenReader): Expression {
  const items: Expression[] = [];
  while (!reader.take("]")) {
    items.push(readExpression(reader));
    if (!reader.take(",") && !reader.is("]")) reader.fail("expected , or ] in a list");
  }
  return { kind: "list", items };
}

function readOperand(reader: TokenReader): Expression {
  if (reader.isKind("ellipsis")) {
    reader.next();
    return { kind: "any" };
  }
  if (reader.isKind("string")) {
    const text = reader.next().text;
    if (reader.isKind("ellipsis")) reader.next();
    return { kind: "string", text };
  }
  if (reader.take("[")) return reader.nested(() => readList(reader));
  if (reader.take("{")) return reader.nested(() => readRecord(reader));
  if (reader.isKind("word")) {
    const name = reader.next().text;
    if (!reader.take("(")) return { kind: "word", name };
    const argument = reader.nested(() => readExpression(reader));
    reader.expect(")", `after the argument of ${name}`);
    return { kind: "call", name, argument };
  }
  const value = reader.integer("a value", Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER);
  return { kind: "integer", value };
}

/** Reads a value of any kind. */
export function readExpression(reader: TokenReader): Expression {
  let left = readOperand(reader);
  while (reader.take("|")) left = { kind: "or", left, right: readOperand(reader) };
  return left;
}

/** Skips `(Operation now in progress)`, `(flags O_RDWR|O_NONBLOCK)`. */
function skipNote(reader: TokenReader): void {
  if (!reader.take("(")) return;
  for (let depth = 1; depth > 0;) {
    if (reader.isKind("end")) reader.fail("expected ) at the end of the note");
    const { text, kind } = reader.next();
    if (kind === "punctuation" && text === "(") depth++;
    if (kind === "punctuation" && text === ")") depth--;
  }
}

/** Reads a call from its name on. */
export function readCall(reader: TokenReader, endUs: number | undefined): CallSpec {
  const name = reader.word("the name of a call");
  reader.expect("(", `after ${name}`);
  const args: Expression[] = [];
  while (!reader.take(")")) {
    args.push(readExpression(reader));
    if (!reader.take(",") && !reader.is(")")) reader.fail(`expected , or ) in the arguments of ${name}`);
  }
  reader.expect("=", `and a result after ${name}(…)`);
  const result = readExpression(reader);
  const errno = reader.isKind("word") ? reader.next().text : undefined;
  skipNote(reader);
  return { name, args, endUs, result, errno };
}
