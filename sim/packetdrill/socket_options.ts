/** `getsockopt` and `setsockopt` of the options that POSIX systems have in common. */
import { type Micros, MILLISECOND_US, SECOND_US } from "../../core/base/micros.ts";
import { TcpInfo } from "../../core/stack/tcp/info.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import type { LiveOption, NetPort } from "./net_port.ts";
import type { Settings } from "./settings.ts";
import { done, failed, type Outcome, type ScriptSocket } from "./sockets.ts";

/** Options that are remembered and given back, and change nothing that a script could see here. */
const REMEMBERED = new Set([
  "SO_REUSEADDR",
  "SO_REUSEPORT",
  "SO_BROADCAST",
  "SO_OOBINLINE",
  "SO_RCVLOWAT",
  "SO_SNDLOWAT",
  "SO_RCVTIMEO",
  "SO_SNDTIMEO",
  "SO_MARK",
  "SO_PRIORITY",
  "IP_FREEBIND",
  "IP_RECVTOS",
  "IPV6_V6ONLY",
  "IPV6_RECVTCLASS",
]);

/** Smallest MSS that may be asked for. Source: tcp(4) of FreeBSD (minmss), RFC 879. */
const MAXSEG_MIN = 48;

type Setter = (socket: ScriptSocket, value: number, settings: Settings) => LiveOption | undefined;

/** What each option changes, and which part of a living connection has to know. */
const SETTERS: Readonly<Record<string, Setter>> = {
  TCP_NODELAY: (socket, value) => {
    socket.options.nagle = value === 0;
    return "nagle";
  },
  TCP_CORK: () => "cork",
  TCP_NOPUSH: () => "cork",
  SO_KEEPALIVE: () => "keepAlive",
  TCP_KEEPIDLE: () => "keepAlive",
  TCP_KEEPINTVL: (socket, value) => {
    socket.options.keepAliveIntervalUs = value * SECOND_US;
    return "keepAlive";
  },
  TCP_KEEPCNT: (socket, value) => {
    socket.options.keepAliveProbes = value;
    return "keepAlive";
  },
  TCP_KEEPINIT: (socket, value) => {
    socket.openTimeoutUs = value * SECOND_US;
    return undefined;
  },
  TCP_USER_TIMEOUT: (socket, value) => {
    socket.options.userTimeoutUs = value * MILLISECOND_US;
    return "userTimeout";
  },
  TCP_MAXSEG: (socket, value) => {
    socket.options.mss = Math.min(socket.options.mss, value);
    return undefined;
  },
  TCP_SYNCNT: (socket, value) => {
    socket.options.synRetries = value;
    return undefined;
  },
  SO_RCVBUF: (socket, value) => {
    socket.options.receiveBufferBytes = value;
    socket.options.receiveBufferBytesMax = value;
    return "receiveBuffer";
  },
  SO_SNDBUF: (socket, value, settings) => {
    // Linux doubles the number and counts memory instead of bytes: about two thirds of it hold payload. Source: socket(7), tcp(7).
    const bytes = settings.profile === "linux" ? Math.floor(value * 4 / 3) : value;
    socket.options.sendBufferBytes = bytes;
    socket.options.sendBufferBytesMax = bytes;
    return "sendBuffer";
  },
  IP_TOS: () => "tos",
  IPV6_TCLASS: () => "tos",
  IP_TTL: () => "ttl",
  IPV6_UNICAST_HOPS: () => "ttl",
};

function keepAliveOf(socket: ScriptSocket, settings: Settings): void {
  const isOn = (socket.values.get("SO_KEEPALIVE") ?? 0) !== 0;
  const idleSeconds = socket.values.get("TCP_KEEPIDLE");
  const idleUs = idleSeconds === undefined ? settings.keepIdleUs : idleSeconds * SECOND_US;
  socket.options.keepAliveUs = isOn ? idleUs : 0;
}

/** `setsockopt()`. Shape: undefined when the option is none of ours. */
export function setOption(
  socket: ScriptSocket,
  name: string,
  value: number,
  settings: Settings,
  port: NetPort,
  now: Micros,
): Outcome | undefined {
  if (name === "TCP_MAXSEG" && (value < MAXSEG_MIN || value > 65_535)) return failed("EINVAL");
  if (/^TCP_KEEP/.test(name) && value < 1) return failed("EINVAL");
  const setter = SETTERS[name];
  if (setter === undefined && !REMEMBERED.has(name)) return undefined;
  socket.values.set(name, value);
  const what = setter?.(socket, value, settings);
  if (what === "keepAlive") keepAliveOf(socket, settings);
  socket.listener?.configure(socket.options);
  if (what !== undefined && socket.connection !== undefined && socket.connection.state !== TcpState.Closed) {
    if (what === "tos" || what === "ttl" || what === "cork") socket.values.set(what, value);
    if (!port.adjust(socket.connection, socket.options, what, now)) return undefined;
  } else if (what === "tos" || what === "ttl" || what === "cork") return undefined;
  return done(0);
}

function infoOf(socket: ScriptSocket): TcpInfo | undefined {
  if (socket.connection === undefined) return undefined;
  const info = new TcpInfo();
  socket.connection.info(info);
  return info;
}

function bufferBytes(socket: ScriptSocket, settings: Settings, receive: boolean): number {
  const asked = socket.values.get(receive ? "SO_RCVBUF" : "SO_SNDBUF");
  if (asked !== undefined && settings.profile === "linux") return asked * 2;
  const info = infoOf(socket);
  const live = receive ? info?.receiveBufferBytes : info?.sendBufferBytes;
  const bytes = live !== undefined && live > 0
    ? live
    : receive
    ? socket.options.receiveBufferBytes
    : socket.options.sendBufferBytes;
  // Linux doubles what it was asked for, and says so. Source: socket(7).
  return settings.profile === "linux" ? bytes * 2 : bytes;
}

/** What `getsockopt()` tells of an option that has one number; undefined when it is none of ours. */
export function getOption(socket: ScriptSocket, name: string, settings: Settings): number | undefined {
  const info = infoOf(socket);
  switch (name) {
    case "SO_RCVBUF":
      return bufferBytes(socket, settings, true);
    case "SO_SNDBUF":
      return bufferBytes(socket, settings, false);
    case "SO_ACCEPTCONN":
      return socket.listener === undefined ? 0 : 1;
    case "SO_TYPE":
      return socket.isStream ? 1 : 2;
    case "TCP_MAXSEG":
      return info !== undefined && info.sendMss > 0 ? info.sendMss : socket.options.mss;
    case "TCP_NODELAY":
      return socket.options.nagle ? 0 : 1;
    case "TCP_KEEPIDLE":
      return socket.values.get(name) ?? settings.keepIdleUs / SECOND_US;
    case "TCP_KEEPINTVL":
      return socket.options.keepAliveIntervalUs / SECOND_US;
    case "TCP_KEEPCNT":
      return socket.options.keepAliveProbes;
    case "TCP_KEEPINIT":
      return socket.values.get(name) ?? settings.keepInitUs / SECOND_US;
    case "TCP_USER_TIMEOUT":
      return socket.options.userTimeoutUs / MILLISECOND_US;
    case "TCP_SYNCNT":
      return socket.options.synRetries;
    default:
      return SETTERS[name] === undefined && !REMEMBERED.has(name) ? undefined : socket.values.get(name) ?? 0;
  }
}
