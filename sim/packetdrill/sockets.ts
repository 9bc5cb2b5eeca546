/**
 * POSIX sockets on the stack, in virtual time: what `read`, `accept`, `shutdown` … answer, and when they would block.
 *
 * Source: POSIX.1-2024 XSH 2.10 (sockets) and the pages of each call; tcp(7) and tcp(4) where systems go further.
 */
import { SCRIPT_CALL_BYTES_MAX, SCRIPT_SOCKETS_MAX } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { TcpError, TcpState } from "../../core/stack/tcp/tcp_state.ts";
import type { DatagramPort, NetPort, StreamConnection, StreamListener } from "./net_port.ts";

/** What a call gives back: a number, an error's name, or nothing yet because it waits. */
export type Outcome =
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "failed"; readonly errno: string }
  | { readonly kind: "blocked" };

/** A call that has done its work. */
export function done(value: number): Outcome {
  return { kind: "done", value };
}

/** A call that failed. */
export function failed(errno: string): Outcome {
  return { kind: "failed", errno };
}

/** A call that waits. */
export const BLOCKED: Outcome = { kind: "blocked" };

const ERROR_NAMES: Readonly<Record<TcpError, string>> = {
  [TcpError.None]: "",
  [TcpError.Refused]: "ECONNREFUSED",
  [TcpError.Reset]: "ECONNRESET",
  [TcpError.TimedOut]: "ETIMEDOUT",
  [TcpError.Unreachable]: "EHOSTUNREACH",
  [TcpError.UserTimeout]: "ETIMEDOUT",
  [TcpError.Aborted]: "ECONNABORTED",
};

/** The byte that stands at an offset of every stream of a script, either way, so that no byte can take another's place unseen. */
export function streamByte(offset: number): number {
  return (Math.imul(offset ^ (offset >>> 8), 31) + (offset >>> 13)) & 255;
}

/** One file descriptor. */
export class ScriptSocket {
  readonly isStream: boolean;
  nonBlocking = false;
  port = 0;
  isBound = false;
  connection: StreamConnection | undefined;
  listener: StreamListener | undefined;
  datagram: DatagramPort | undefined;
  /** What a later connect or listen uses. */
  readonly options: TcpOptions;
  /** Socket options as they were set, for `getsockopt`. */
  readonly values = new Map<string, number>();
  lingerSeconds = -1;
  /** Time that opening may take; 0: no bound of its own. Units: µs. Source: TCP_KEEPINIT of tcp(4). */
  openTimeoutUs = 0;
  isReadShut = false;
  isWriteShut = false;
  isConnecting = false;
  sentBytes = 0;
  receivedBytes = 0;
  /** Bytes taken of a blocking write that waits for room. */
  writtenSoFar = 0;
  #isErrorTaken = false;

  constructor(isStream: boolean, options: TcpOptions) {
    this.isStream = isStream;
    this.options = options;
  }

  /** The error that waits to be told, as its name; told once. */
  takeError(): string {
    const datagram = this.datagram?.takeError() ?? TcpError.None;
    if (datagram !== TcpError.None) return ERROR_NAMES[datagram];
    const error = this.connection?.error ?? TcpError.None;
    if (error === TcpError.None || this.#isErrorTaken) return "";
    this.#isErrorTaken = true;
    return ERROR_NAMES[error];
  }

  /** True when an error waits or has been told. */
  get hasFailed(): boolean {
    return (this.connection?.error ?? TcpError.None) !== TcpError.None;
  }
}

function isOpening(connection: StreamConnection): boolean {
  return connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived;
}

/** All descriptors of one script. */
export class Sockets {
  readonly #port: NetPort;
  readonly #open = new Map<number, ScriptSocket>();
  readonly #scratch = new Uint8Array(65_536);
  /** False when what the script sends does not follow its sequence numbers any more (urgent data, a port pair used twice). */
  isVerifying = true;
  /** Set when a byte that was read is not the one that was sent. */
  corrupted: string | undefined;

  constructor(port: NetPort) {
    this.#port = port;
  }

  /** The socket of a descriptor. */
  get(fd: number): ScriptSocket | undefined {
    return this.#open.get(fd);
  }

  /** Every socket there is. */
  all(): Iterable<ScriptSocket> {
    return this.#open.values();
  }

  /** Descriptors are the script's own names: it gets the one that it expects, if that is free. */
  #add(socket: ScriptSocket, wanted: number): Outcome {
    if (this.#open.size >= SCRIPT_SOCKETS_MAX) return failed("EMFILE");
    let fd = 3;
    if (wanted >= 0 && !this.#open.has(wanted)) fd = wanted;
    else while (this.#open.has(fd)) fd++;
    this.#open.set(fd, socket);
    return done(fd);
  }

  /** `socket()`. `wanted`: the descriptor that the script expects, −1 none. */
  socket(isStream: boolean, options: TcpOptions, wanted: number): Outcome {
    return this.#add(new ScriptSocket(isStream, options), wanted);
  }

  /** `bind()` to the local address. */
  bind(fd: number, port: number): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    if (socket.isBound || socket.connection !== undefined) return failed("EINVAL");
    if (!socket.isStream) {
      socket.datagram = this.#port.datagram(port);
      if (socket.datagram === undefined) return failed("EADDRINUSE");
    }
    socket.isBound = true;
    socket.port = port;
    return done(0);
  }

  /** `listen()`. */
  listen(fd: number, backlog: number, now: Micros): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    if (!socket.isStream) return failed("EOPNOTSUPP");
    if (socket.connection !== undefined) return failed("EINVAL");
    if (socket.listener !== undefined) return done(0);
    if (!socket.isBound) socket.port = this.#port.ephemeralPort();
    socket.isBound = true;
    socket.listener = this.#port.listen(socket.port, backlog, socket.options, now);
    return socket.listener === undefined ? failed("EADDRINUSE") : done(0);
  }

  /** `accept()`. `wanted`: the descriptor that the script expects, −1 none. */
  accept(fd: number, flags: number, wanted: number): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    if (socket.listener === undefined) return failed("EINVAL");
    const connection = socket.listener.accept();
    if (connection === undefined) return socket.nonBlocking ? failed("EAGAIN") : BLOCKED;
    const child = new ScriptSocket(true, { ...socket.options });
    for (const [name, value] of socket.values) child.values.set(name, value);
    child.connection = connection;
    child.port = connection.localPort;
    child.isBound = true;
    child.nonBlocking = flags !== 0;
    return this.#add(child, wanted);
  }

  /** `connect()`; called again while it waits. */
  connect(fd: number, port: number, now: Micros, isRetry: boolean): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    if (!socket.isStream) return socket.isBound ? done(0) : this.bind(fd, this.#port.ephemeralPort());
    if (socket.listener !== undefined) return failed("EISCONN");
    if (socket.connection === undefined) {
      if (!socket.isBound) socket.port = this.#port.ephemeralPort();
      socket.isBound = true;
      socket.connection = this.#port.connect(socket.port, port, socket.options, socket.openTimeoutUs, now);
      if (socket.connection === undefined) return failed("EADDRINUSE");
      socket.isConnecting = true;
      return socket.nonBlocking ? failed("EINPROGRESS") : BLOCKED;
    }
    const error = socket.takeError();
    if (error !== "") return failed(error);
    if (isOpening(socket.connection)) return socket.nonBlocking || !isRetry ? failed("EALREADY") : BLOCKED;
    if (socket.connection.state === TcpState.Closed) return failed("ECONNABORTED");
    if (!socket.isConnecting) return failed("EISCONN");
    socket.isConnecting = false;
    return done(0);
  }

  /** `read()` and its kin. `peek` leaves the bytes where they are, `all` waits for as many as were asked for. */
  receive(fd: number, length: number, peek: boolean, dontWait: boolean, now: Micros): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    const wait = socket.nonBlocking || dontWait ? failed("EAGAIN") : BLOCKED;
    if (socket.datagram !== undefined) {
      const error = socket.takeError();
      if (error !== "") return failed(error);
      const got = socket.datagram.receive();
      return got < 0 ? wait : done(Math.min(got, length));
    }
    const connection = socket.connection;
    if (connection === undefined) return failed("ENOTCONN");
    if (connection.readableBytes > 0) {
      const wanted = Math.min(length, connection.readableBytes, SCRIPT_CALL_BYTES_MAX);
      return done(peek ? wanted : this.#take(socket, connection, wanted, now));
    }
    const error = socket.takeError();
    if (error !== "") return failed(error);
    if (socket.isReadShut || connection.isPeerClosed || socket.hasFailed) return done(0);
    if (connection.state === TcpState.Closed || connection.state === TcpState.TimeWait) return done(0);
    return length === 0 ? done(0) : wait;
  }

  #take(socket: ScriptSocket, connection: StreamConnection, wanted: number, now: Micros): number {
    let got = 0;
    while (got < wanted) {
      const count = connection.receive(this.#scratch, 0, Math.min(wanted - got, this.#scratch.length), now);
      if (count <= 0) break;
      for (let i = 0; i < count && this.isVerifying; i++) {
        if (this.#scratch[i] === streamByte(socket.receivedBytes + i)) continue;
        this.corrupted ??= `byte ${socket.receivedBytes + i} of the stream that was read is not the one that was sent`;
      }
      socket.receivedBytes += count;
      got += count;
    }
    return got;
  }

  /** `write()` and its kin; `isRetry` when it waits for room for the rest. */
  send(fd: number, length: number, dontWait: boolean, now: Micros): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    const error = socket.takeError();
    if (error !== "") return failed(error);
    if (socket.datagram !== undefined) {
      return socket.datagram.send(length, now) ? done(length) : failed("EDESTADDRREQ");
    }
    const connection = socket.connection;
    if (connection === undefined) return failed(socket.isStream ? "ENOTCONN" : "EDESTADDRREQ");
    const canWait = !socket.nonBlocking && !dontWait;
    if (socket.isWriteShut || socket.hasFailed || connection.state === TcpState.Closed) return failed("EPIPE");
    if (isOpening(connection)) return canWait ? BLOCKED : failed("EAGAIN");
    const sent = this.#give(socket, connection, length - socket.writtenSoFar, now);
    if (sent < 0 && socket.writtenSoFar === 0) return failed("EPIPE");
    socket.writtenSoFar += Math.max(sent, 0);
    if (socket.writtenSoFar < length && canWait && sent >= 0) return BLOCKED;
    const total = socket.writtenSoFar;
    socket.writtenSoFar = 0;
    return total === 0 && length > 0 ? failed("EAGAIN") : done(total);
  }

  /** Offers all bytes at once, as a system call does: what is sent must not depend on how the bytes are handed over. */
  #give(socket: ScriptSocket, connection: StreamConnection, length: number, now: Micros): number {
    const bytes = new Uint8Array(Math.min(length, connection.writableBytes, SCRIPT_CALL_BYTES_MAX));
    for (let i = 0; i < bytes.length; i++) bytes[i] = streamByte(socket.sentBytes + i);
    if (bytes.length === 0) return 0;
    const sent = connection.send(bytes, 0, bytes.length, now);
    socket.sentBytes += Math.max(sent, 0);
    return sent;
  }

  /** `shutdown()`. */
  shutdown(fd: number, how: number, now: Micros): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    const connection = socket.connection;
    if (socket.listener !== undefined) {
      socket.listener.close(now);
      return done(0);
    }
    if (connection === undefined || connection.state === TcpState.Closed || connection.state === TcpState.TimeWait) {
      return failed("ENOTCONN");
    }
    if (how !== 1) socket.isReadShut = true;
    if (how !== 0 && !socket.isWriteShut) {
      socket.isWriteShut = true;
      connection.shutdownSend(now);
    }
    return done(0);
  }

  /** `close()`. */
  close(fd: number, now: Micros): Outcome {
    const socket = this.#open.get(fd);
    if (socket === undefined) return failed("EBADF");
    this.#open.delete(fd);
    socket.listener?.close(now);
    socket.datagram?.close();
    const connection = socket.connection;
    if (connection === undefined) return done(0);
    if (socket.lingerSeconds === 0) connection.abort(now);
    else connection.close(now);
    return done(0);
  }

  /** Bits of `poll()` that are set now. */
  poll(fd: number): number {
    const socket = this.#open.get(fd);
    if (socket === undefined) return 32;
    if (socket.listener !== undefined) return socket.listener.acceptableCount > 0 ? 1 : 0;
    if (socket.datagram !== undefined) return 4 | (socket.datagram.queuedCount > 0 ? 1 : 0);
    const connection = socket.connection;
    if (connection === undefined) return 4 | 16;
    const { state, isPeerClosed } = connection;
    const isDone = state === TcpState.Closed || state === TcpState.TimeWait;
    let bits = 0;
    if (connection.readableBytes > 0 || isPeerClosed || isDone || socket.isReadShut) bits |= 1;
    if (isPeerClosed || isDone || socket.isReadShut) bits |= 0x2000;
    if (!isOpening(connection) && (connection.writableBytes > 0 || isDone || socket.isWriteShut)) bits |= 4;
    if (isDone || (isPeerClosed && socket.isWriteShut)) bits |= 16;
    if (socket.hasFailed) bits |= 8 | 1 | 4;
    return bits;
  }
}
