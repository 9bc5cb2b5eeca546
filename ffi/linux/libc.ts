/**
 * The C library's calls that weir makes on Linux, and what went wrong when one fails.
 *
 * Read first: the manual pages of section 2 that each entry names, tun(4) being the kernel's Documentation/networking/tuntap.rst.
 */
import { Errno, ERRNO_NAMES } from "./errno.ts";

/** Every symbol with its C prototype. `ioctl` and `open` are variadic in C; both Linux calling conventions pass integers alike. */
export const LIBC_SYMBOLS = {
  /** `int open(const char *pathname, int flags);` */
  open: { parameters: ["buffer", "i32"], result: "i32" },
  /** `int close(int fd);` */
  close: { parameters: ["i32"], result: "i32" },
  /** `ssize_t write(int fd, const void *buf, size_t count);` */
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `ssize_t read(int fd, void *buf, size_t count);` */
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `ssize_t readlink(const char *pathname, char *buf, size_t bufsiz);` */
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  /** `ssize_t readlinkat(int dirfd, const char *pathname, char *buf, size_t bufsiz);` with `pathname` as a number. */
  readlinkAt: { name: "readlinkat", parameters: ["i32", "usize", "buffer", "usize"], result: "isize" },
  /** `ssize_t getdents64(int fd, void *dirp, size_t count);` In glibc since 2.30. */
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `int statx(int dirfd, const char *pathname, int flags, unsigned int mask, struct statx *statxbuf);` In glibc since 2.28. */
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  /**
   * `ssize_t readv(int fd, const struct iovec *iov, int iovcnt);` for packets: what it answers fits 32 bits. A call with a parameter or result of
   * 64 bits costs twice as much (measured: 300 ns against 150) and leaves garbage behind.
   */
  readv: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `ssize_t writev(int fd, const struct iovec *iov, int iovcnt);` for packets. */
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int ioctl(int fd, unsigned long request, void *argument);` */
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  /** `int ioctl(int fd, unsigned long request, unsigned long argument);` */
  ioctlValue: { name: "ioctl", parameters: ["i32", "usize", "usize"], result: "i32" },
  /** `int poll(struct pollfd *fds, nfds_t nfds, int timeout);` on a thread of its own: it may sleep. */
  pollAside: { name: "poll", parameters: ["buffer", "usize", "i32"], result: "i32", nonblocking: true },
  /** `int eventfd(unsigned int initval, int flags);` */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** `int socket(int domain, int type, int protocol);` */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `ssize_t send(int sockfd, const void *buf, size_t len, int flags);` */
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  /** `ssize_t recv(int sockfd, void *buf, size_t len, int flags);` */
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  /** `ssize_t sendto(int sockfd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen);` with `buf` as a number. */
  sendtoAt: { name: "sendto", parameters: ["i32", "usize", "usize", "i32", "buffer", "u32"], result: "isize" },
  /** `int recvmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout);` */
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  /** `int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen);` */
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  /** `int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen);` */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen);` */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);` */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen);` */
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int setns(int fd, int nstype);` Works on the calling thread only. */
  setns: { parameters: ["i32", "i32"], result: "i32" },
  /** `unsigned int if_nametoindex(const char *ifname);` */
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  /** `uid_t geteuid(void);` */
  geteuid: { parameters: [], result: "u32" },
  /** `int *__errno_location(void);` */
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions. */
export type LibcCalls = Deno.DynamicLibrary<typeof LIBC_SYMBOLS>["symbols"];

/** A call that the kernel refused. */
export class LinuxError extends Error {
  override name = "LinuxError";
  readonly errno: number;

  constructor(deed: string, errno: number) {
    super(`Cannot ${deed}: ${ERRNO_NAMES[errno] ?? `error ${errno}`}`);
    this.errno = errno;
  }
}

/**
 * A number where C has a size or an address. Deno's types ask for a BigInt there; its calls take a number below 2⁵³ as well, which is not allocated.
 */
export function usize(value: number): bigint {
  return value as unknown as bigint;
}

/** Text as C wants it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** The open library. */
export class Libc {
  readonly calls: LibcCalls;
  readonly #library: Deno.DynamicLibrary<typeof LIBC_SYMBOLS>;
  readonly #errno: Deno.UnsafePointerView;

  private constructor(library: Deno.DynamicLibrary<typeof LIBC_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
    // The place belongs to this thread and never moves; looked up once, it is read right after the call that failed.
    this.#errno = new Deno.UnsafePointerView(library.symbols.__errno_location()!);
  }

  /** Opens glibc, or musl. Errors: an Error when this is no Linux or neither is there. */
  static open(): Libc {
    if (Deno.build.os !== "linux") throw new Error(`Cannot open libc: this is ${Deno.build.os}, not Linux`);
    try {
      return new Libc(Deno.dlopen("libc.so.6", LIBC_SYMBOLS));
    } catch {
      return new Libc(Deno.dlopen("libc.so", LIBC_SYMBOLS));
    }
  }

  /** The error of the call that has just failed. */
  errno(): number {
    return this.#errno.getInt32();
  }

  /** Passes a result on unless it is negative. Errors: `LinuxError`, "Cannot <deed>: <reason>". */
  check(result: number | bigint, deed: string): number {
    if (result < 0) throw new LinuxError(deed, this.errno());
    return Number(result);
  }

  /** Opens a file. Errors: `LinuxError`. */
  openFile(path: string, flags: number): Descriptor {
    return new Descriptor(this, this.check(this.calls.open(cString(path), flags), `open ${path}`));
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** An open file descriptor, closed once. */
export class Descriptor {
  readonly #libc: Libc;
  #number: number;

  constructor(libc: Libc, number: number) {
    this.#libc = libc;
    this.#number = number;
  }

  /** The number that calls take; −1 once closed, which every call refuses. */
  get number(): number {
    return this.#number;
  }

  /** Closes it; a second time does nothing. */
  close(): void {
    if (this.#number < 0) return;
    // Linux has always given the number back, whatever close() answers. Source: close(2).
    this.#libc.calls.close(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Where a buffer lies. User addresses have 47 bits, so that they are whole numbers. */
export function addressOf(bytes: Uint8Array): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>)));
}

/** True for errors that mean "nothing now". */
export function isTransient(errno: number): boolean {
  return errno === Errno.EAGAIN || errno === Errno.EINTR;
}
