/**
 * Structs and numbers of the Linux kernel as bytes. All fields are in the machine's own order, which is little-endian on every target of Deno.
 *
 * Read first: linux/if_tun.h, linux/virtio_net.h, linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h, linux/fib_rules.h.
 *
 * ```
 * struct virtio_net_hdr: flags u8 │ gso_type u8 │ hdr_len u16 │ gso_size u16 │ csum_start u16 │ csum_offset u16
 * struct nlmsghdr:       length u32 │ type u16 │ flags u16 │ sequence u32 │ port u32
 * struct rtattr:         length u16 │ type u16 │ value … padded to 4
 * struct pollfd:         fd i32 │ events i16 │ revents i16
 * struct iovec:          base u64 │ length u64
 * ```
 */

/** Sizes. Units: bytes. Tested against a C compiler's `sizeof`. */
export const Size = {
  ifreq: 40,
  virtio_net_hdr: 10,
  iovec: 16,
  pollfd: 8,
  nlmsghdr: 16,
  nlmsgerr: 20,
  ifinfomsg: 16,
  ifaddrmsg: 8,
  rtmsg: 12,
  fib_rule_hdr: 12,
  rtattr: 4,
  sockaddr_in: 16,
  sockaddr_in6: 28,
} as const;

/** Longest name of a network device, its NUL included. Units: bytes. */
export const IFNAMSIZ = 16;

/** Flags of open(2), eventfd(2), socket(2): equal numbers on x86_64 and aarch64. */
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

/** poll(2). */
export const POLLIN = 1;
export const POLLERR = 8;
export const POLLNVAL = 32;

/** setns(2). */
export const CLONE_NEWNET = 0x40000000;

/** Requests of ioctl(2) on a TUN device. Source: linux/if_tun.h. */
export const TUNSETIFF = 0x400454ca;
export const TUNGETFEATURES = 0x800454cf;
export const TUNSETOFFLOAD = 0x400454d0;
export const TUNSETVNETHDRSZ = 0x400454d8;

/** Flags of a TUN device. */
export const IFF_TUN = 0x0001;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;

/** What we take from the kernel unfinished. Source: linux/if_tun.h; USO is there since Linux 6.2. */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

/** `virtio_net_hdr.flags`. */
export const HEADER_NEEDS_CHECKSUM = 1;

/** `virtio_net_hdr.gso_type`. Source: virtio 1.3 section 5.1.6. */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** Sockets. */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = O_CLOEXEC;
export const NETLINK_ROUTE = 0;

/** Netlink messages. Source: linux/netlink.h, linux/rtnetlink.h. */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLMSG_ERROR = 2;
export const RTM_NEWLINK = 16;
export const RTM_NEWADDR = 20;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;

/** Attributes and values in them. */
export const IFF_UP = 1;
export const IFLA_MTU = 4;
export const IFLA_TXQLEN = 13;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_F_NODAD = 2;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_PREFSRC = 7;
export const RTA_TABLE = 15;
export const RT_TABLE_MAIN = 254;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RTPROT_STATIC = 4;
export const RTN_UNICAST = 1;
export const FRA_SRC = 2;
export const FRA_PRIORITY = 6;
export const FRA_TABLE = 15;
export const FR_ACT_TO_TBL = 1;
