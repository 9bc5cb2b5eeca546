/** System calls of a script → sockets, and what they answer held against what the script says. */
import type { Micros } from "../../core/base/micros.ts";
import { MILLISECOND_US } from "../../core/base/micros.ts";
import type { NetPort } from "./net_port.ts";
import { UnsupportedError } from "./script_error.ts";
import type { CallSpec, Expression } from "./script.ts";
import type { Settings } from "./settings.ts";
import { getOption, setOption } from "./socket_options.ts";
import { BLOCKED, done, failed, type Outcome, type ScriptSocket, type Sockets } from "./sockets.ts";
import { ERRNO, errnoName, numberOf, SYMBOLS, wordOf } from "./symbols.ts";

/** What calls work on. */
export interface CallContext {
  readonly sockets: Sockets;
  readonly port: NetPort;
  readonly settings: Settings;
  readonly line: number;
  readonly now: Micros;
  /** When the call began. */
  readonly since: Micros;
  /** True when the call was already tried and waits. */
  readonly isRetry: boolean;
  /** What the script expects as a result; −1 when it is no number. */
  readonly wanted: number;
}

/** An outcome, and what differs beside the returned number. */
export interface CallOutcome {
  readonly outcome: Outcome;
  readonly difference?: string;
}

type Handler = (context: CallContext, args: readonly Expression[]) => CallOutcome;

function plain(outcome: Outcome): CallOutcome {
  return { outcome };
}

function number(context: CallContext, args: readonly Expression[], index: number): number {
  return numberOf(args[index], context.line);
}

function socketCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const { sockets, settings, line } = context;
  const type = number(context, args, 1);
  const protocol = args[2]?.kind === "any" ? 0 : number(context, args, 2);
  const isStream = (type & 15) === SYMBOLS.SOCK_STREAM;
  if ((type & 15) > 2 || (protocol !== 0 && protocol !== 6 && protocol !== 17)) {
    throw new UnsupportedError(line, "a socket of this type");
  }
  if (protocol !== 0 && isStream !== (protocol === SYMBOLS.IPPROTO_TCP)) return plain(failed("EPROTONOSUPPORT"));
  const outcome = sockets.socket(isStream, { ...settings.tcp }, context.wanted);
  const socket = outcome.kind === "done" ? sockets.get(outcome.value) : undefined;
  if (socket !== undefined) socket.nonBlocking = (type & SYMBOLS.SOCK_NONBLOCK!) !== 0;
  return plain(outcome);
}

/** The port in `{sa_family = AF_INET, sin_port = htons(8080), …}`, or the one that `...` stands for. */
function portOf(context: CallContext, expression: Expression | undefined, otherwise: number): number {
  if (expression?.kind !== "record") return otherwise;
  const port = expression.fields.get("sin_port") ?? expression.fields.get("sin6_port");
  return port === undefined ? otherwise : numberOf(port, context.line);
}

function acceptCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const flags = args.length > 3 ? number(context, args, 3) : 0;
  return plain(context.sockets.accept(number(context, args, 0), flags & SYMBOLS.SOCK_NONBLOCK!, context.wanted));
}

function connectCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const port = portOf(context, args[1], context.settings.connectPort);
  return plain(context.sockets.connect(number(context, args, 0), port, context.now, context.isRetry));
}

function receiveCall(context: CallContext, args: readonly Expression[], hasFlags: boolean): CallOutcome {
  if (args[1]?.kind === "word" && args[1].name === "NULL") return plain(failed("EFAULT"));
  const flags = hasFlags ? number(context, args, 3) : 0;
  const known = SYMBOLS.MSG_PEEK! | SYMBOLS.MSG_DONTWAIT!;
  if ((flags & ~known) !== 0) throw new UnsupportedError(context.line, "this flag of recv");
  const length = number(context, args, 2);
  const peek = (flags & SYMBOLS.MSG_PEEK!) !== 0;
  const dontWait = (flags & SYMBOLS.MSG_DONTWAIT!) !== 0;
  return plain(context.sockets.receive(number(context, args, 0), length, peek, dontWait, context.now));
}

function sendCall(context: CallContext, fd: number, length: number, flags: number): CallOutcome {
  const known = SYMBOLS.MSG_DONTWAIT! | SYMBOLS.MSG_NOSIGNAL!;
  if ((flags & ~known) !== 0) throw new UnsupportedError(context.line, "this flag of send");
  return plain(context.sockets.send(fd, length, (flags & SYMBOLS.MSG_DONTWAIT!) !== 0, context.now));
}

function isNull(expression: Expression | undefined): boolean {
  return wordOf(expression) === "NULL";
}

function writeCall(context: CallContext, args: readonly Expression[], hasFlags: boolean): CallOutcome {
  const length = number(context, args, 2);
  if (isNull(args[1]) && length > 0) return plain(failed("EFAULT"));
  return sendCall(context, number(context, args, 0), length, hasFlags ? number(context, args, 3) : 0);
}

/** `sendto()` on a socket that knows its peer; to another address it would need a second flow. */
function sendToCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const socket = context.sockets.get(number(context, args, 0));
  if (socket !== undefined && !socket.isStream && socket.datagram === undefined) {
    context.sockets.connect(
      number(context, args, 0),
      portOf(context, args[4], context.settings.connectPort),
      context.now,
      false,
    );
  }
  return writeCall(context, args, true);
}

/** The sum of `{..., 100}` entries. */
function vectorLength(context: CallContext, expression: Expression | undefined): number {
  if (expression?.kind !== "list") throw new UnsupportedError(context.line, "an I/O vector of this form");
  let total = 0;
  for (const item of expression.items) {
    const length = item.kind === "record" ? item.fields.get("1") ?? item.fields.get("iov_len") : undefined;
    total += numberOf(length, context.line);
  }
  return total;
}

function messageLength(context: CallContext, expression: Expression | undefined): number {
  if (expression?.kind !== "record") throw new UnsupportedError(context.line, "a message of this form");
  if (expression.fields.has("msg_control")) throw new UnsupportedError(context.line, "control messages");
  return vectorLength(context, expression.fields.get("msg_iov"));
}

function fcntlCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const socket = context.sockets.get(number(context, args, 0));
  if (socket === undefined) return plain(failed("EBADF"));
  const nonBlocking = SYMBOLS.O_NONBLOCK!;
  if (wordOf(args[1]) === "F_GETFL") return plain(done(SYMBOLS.O_RDWR! | (socket.nonBlocking ? nonBlocking : 0)));
  if (wordOf(args[1]) !== "F_SETFL") throw new UnsupportedError(context.line, "this command of fcntl");
  socket.nonBlocking = (number(context, args, 2) & nonBlocking) !== 0;
  return plain(done(0));
}

function ioctlCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const socket = context.sockets.get(number(context, args, 0));
  if (socket === undefined) return plain(failed("EBADF"));
  if (number(context, args, 1) !== SYMBOLS.FIONREAD) throw new UnsupportedError(context.line, "this request of ioctl");
  if (socket.listener !== undefined) return plain(failed("EINVAL"));
  const seen = socket.connection?.readableBytes ?? 0;
  return { outcome: done(0), ...differs("the count", args[2], seen, context.line) };
}

function differs(what: string, expected: Expression | undefined, seen: number, line: number): { difference?: string } {
  if (expected === undefined || expected.kind === "any") return {};
  if (expected.kind === "list" && (expected.items.length === 0 || expected.items[0]!.kind === "any")) return {};
  const wanted = numberOf(expected, line);
  return wanted === seen ? {} : { difference: `${what}: expected ${wanted}, seen ${seen}` };
}

function optionName(context: CallContext, args: readonly Expression[]): string {
  const name = wordOf(args[2]);
  if (name === undefined) throw new UnsupportedError(context.line, "a socket option without a name");
  return name;
}

/** `SO_LINGER`'s `{onoff=1, linger=0}`. */
function setLinger(context: CallContext, socket: ScriptSocket, value: Expression | undefined): CallOutcome {
  if (value?.kind !== "record") throw new UnsupportedError(context.line, "SO_LINGER of this form");
  const isOn = numberOf(value.fields.get("onoff"), context.line) !== 0;
  socket.lingerSeconds = isOn ? numberOf(value.fields.get("linger"), context.line) : -1;
  return plain(done(0));
}

function setOptionCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const socket = context.sockets.get(number(context, args, 0));
  if (socket === undefined) return plain(failed("EBADF"));
  const name = optionName(context, args);
  if (name === "SO_LINGER") return setLinger(context, socket, args[3]);
  if (isNull(args[3])) return plain(failed("EFAULT"));
  const value = number(context, args, 3);
  const outcome = setOption(socket, name, value, context.settings, context.port, context.now);
  if (outcome === undefined) throw new UnsupportedError(context.line, name);
  return plain(outcome);
}

function getOptionCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const socket = context.sockets.get(number(context, args, 0));
  if (socket === undefined) return plain(failed("EBADF"));
  const name = optionName(context, args);
  if (name === "SO_ERROR") {
    const error = socket.takeError();
    const wanted = args[3]?.kind === "list" ? args[3].items[0] : undefined;
    const number = error === "" ? 0 : ERRNO[error] ?? -1;
    if (wanted === undefined || wanted.kind === "any") return plain(done(0));
    const expected = numberOf(wanted, context.line);
    if (expected === number) return plain(done(0));
    const told = expected === 0 ? "0" : errnoName(expected);
    return { outcome: done(0), difference: `SO_ERROR: expected ${told}, seen ${error === "" ? "0" : error}` };
  }
  if (args[3]?.kind !== "list") throw new UnsupportedError(context.line, `${name} of this form`);
  const value = getOption(socket, name, context.settings);
  if (value === undefined) throw new UnsupportedError(context.line, name);
  return { outcome: done(0), ...differs(name, args[3], value, context.line) };
}

/** `poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 100)`. */
function pollCall(context: CallContext, args: readonly Expression[]): CallOutcome {
  const { line, now, since } = context;
  if (args[0]?.kind !== "list") throw new UnsupportedError(line, "poll of this form");
  const timeoutMs = number(context, args, 2);
  let ready = 0;
  let difference = "";
  for (const item of args[0].items) {
    if (item.kind !== "record") throw new UnsupportedError(line, "poll of this form");
    const fd = numberOf(item.fields.get("fd"), line);
    const wanted = numberOf(item.fields.get("events"), line) | 8 | 16 | 32;
    const seen = context.sockets.poll(fd) & wanted;
    if (seen !== 0) ready++;
    const expected = item.fields.get("revents");
    if (expected !== undefined && numberOf(expected, line) !== seen) {
      difference = `revents of ${fd}: expected ${numberOf(expected, line)}, seen ${seen}`;
    }
  }
  const isOver = timeoutMs >= 0 && now >= since + timeoutMs * MILLISECOND_US;
  if (ready === 0 && !isOver) return plain(BLOCKED);
  return difference === "" ? plain(done(ready)) : { outcome: done(ready), difference };
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  socket: socketCall,
  bind: (context, args) => {
    const port = portOf(context, args[1], context.settings.bindPort);
    return plain(context.sockets.bind(number(context, args, 0), port));
  },
  listen: (context, args) =>
    plain(context.sockets.listen(number(context, args, 0), number(context, args, 1), context.now)),
  accept: acceptCall,
  accept4: acceptCall,
  connect: connectCall,
  read: (context, args) => receiveCall(context, args, false),
  recv: (context, args) => receiveCall(context, args, true),
  recvfrom: (context, args) => receiveCall(context, args, true),
  readv: (context, args) => {
    const length = vectorLength(context, args[1]);
    return plain(context.sockets.receive(number(context, args, 0), length, false, false, context.now));
  },
  recvmsg: (context, args) => {
    if (number(context, args, 2) !== 0) throw new UnsupportedError(context.line, "this flag of recvmsg");
    const length = messageLength(context, args[1]);
    return plain(context.sockets.receive(number(context, args, 0), length, false, false, context.now));
  },
  write: (context, args) => writeCall(context, args, false),
  send: (context, args) => writeCall(context, args, true),
  sendto: sendToCall,
  writev: (context, args) => sendCall(context, number(context, args, 0), vectorLength(context, args[1]), 0),
  sendmsg: (context, args) =>
    sendCall(context, number(context, args, 0), messageLength(context, args[1]), number(context, args, 2)),
  shutdown: (context, args) =>
    plain(context.sockets.shutdown(number(context, args, 0), number(context, args, 1), context.now)),
  close: (context, args) => plain(context.sockets.close(number(context, args, 0), context.now)),
  fcntl: fcntlCall,
  ioctl: ioctlCall,
  getsockopt: getOptionCall,
  setsockopt: setOptionCall,
  poll: pollCall,
};

/** True when calls of this name can be run. */
export function isKnownCall(name: string): boolean {
  return Object.hasOwn(HANDLERS, name);
}

/** Runs a call once. Errors: `UnsupportedError` for a call, flag or option that is none of ours. */
export function runCall(context: CallContext, call: CallSpec): CallOutcome {
  if (!isKnownCall(call.name)) throw new UnsupportedError(context.line, `${call.name}()`);
  return HANDLERS[call.name]!(context, call.args);
}
