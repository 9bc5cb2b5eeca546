/** Linux error numbers with the words that people read. Source: the kernel's asm-generic/errno-base.h and errno.h. */

/** The numbers that weir tells apart. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EBADFD: 77,
  EOPNOTSUPP: 95,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ENOBUFS: 105,
} as const;

/** What a number means. Shape: indexed by it; others have no words here. */
export const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "the operation is not permitted (is this root?)",
  2: "there is no such file or object",
  3: "there is no such entry",
  4: "the call was interrupted",
  5: "the device is down or broken (EIO)",
  6: "there is no such device",
  9: "the descriptor is closed",
  11: "nothing is there now",
  12: "the kernel has no memory left",
  13: "permission is denied",
  16: "it is in use by another program",
  17: "it is there already",
  19: "there is no such device",
  22: "the kernel does not accept the values (EINVAL)",
  77: "the device is gone",
  95: "the kernel does not know this operation",
  99: "the address is not one of this machine",
  101: "the network is unreachable",
  105: "the kernel has no buffer left",
};
