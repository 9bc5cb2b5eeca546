/**
 * Symbolic constants of calls, and the names of errors.
 *
 * The numbers matter only where a script compares a name with a number; they are those of POSIX systems at large, `O_NONBLOCK` Linux's.
 */
import { UnsupportedError } from "./script_error.ts";
import type { Expression } from "./script.ts";

/** Constants by name. Source: POSIX.1-2024 headers, tcp(7), ip(7), socket(7). */
export const SYMBOLS: Readonly<Record<string, number>> = {
  AF_INET: 2,
  AF_INET6: 10,
  PF_INET: 2,
  PF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_NONBLOCK: 0x800,
  IPPROTO_IP: 0,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_IPV6: 41,
  SOL_IP: 0,
  SOL_TCP: 6,
  SOL_UDP: 17,
  SOL_IPV6: 41,
  SOL_SOCKET: 1,
  O_RDONLY: 0,
  O_RDWR: 2,
  O_NONBLOCK: 0x800,
  F_GETFL: 3,
  F_SETFL: 4,
  SHUT_RD: 0,
  SHUT_WR: 1,
  SHUT_RDWR: 2,
  MSG_PEEK: 2,
  MSG_DONTWAIT: 0x40,
  MSG_WAITALL: 0x100,
  MSG_NOSIGNAL: 0x4000,
  MSG_MORE: 0x8000,
  MSG_TRUNC: 0x20,
  MSG_EOR: 0x80,
  POLLIN: 1,
  POLLPRI: 2,
  POLLOUT: 4,
  POLLERR: 8,
  POLLHUP: 16,
  POLLNVAL: 32,
  POLLRDHUP: 0x2000,
  FIONREAD: 0x541b,
  SIOCINQ: 0x541b,
  SIOCOUTQ: 0x5411,
  NULL: 0,
  IPTOS_LOWDELAY: 0x10,
  IPTOS_THROUGHPUT: 8,
  IPTOS_RELIABILITY: 4,
  ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [`IPTOS_DSCP_CS${n}`, n << 5])),
};

/** Numbers of errors, for scripts that compare `SO_ERROR` with a name. Source: errno(3) of Linux. */
export const ERRNO: Readonly<Record<string, number>> = {
  EINTR: 4,
  EBADF: 9,
  EAGAIN: 11,
  EWOULDBLOCK: 11,
  EFAULT: 14,
  EINVAL: 22,
  EPIPE: 32,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
};

/** An error's name. */
export function errnoName(number: number): string {
  return Object.entries(ERRNO).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}

/** True when both names mean the same error. */
export function sameErrno(a: string | undefined, b: string | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && ERRNO[a] !== undefined && ERRNO[a] === ERRNO[b]);
}

/** The number that an expression stands for. Errors: `UnsupportedError` when it is none, or a name we do not know. */
export function numberOf(expression: Expression | undefined, line: number): number {
  switch (expression?.kind) {
    case "integer":
      return expression.value;
    case "word": {
      const value = SYMBOLS[expression.name] ?? ERRNO[expression.name];
      if (value === undefined) throw new UnsupportedError(line, expression.name);
      return value;
    }
    case "or":
      return numberOf(expression.left, line) | numberOf(expression.right, line);
    case "list":
      if (expression.items.length === 1) return numberOf(expression.items[0], line);
      break;
    case "call":
      if (expression.name === "htons" || expression.name === "htonl") return numberOf(expression.argument, line);
      break;
  }
  throw new UnsupportedError(line, "an argument of this form");
}

/** The name that an expression is, or undefined. */
export function wordOf(expression: Expression | undefined): string | undefined {
  return expression?.kind === "word" ? expression.name : undefined;
}
