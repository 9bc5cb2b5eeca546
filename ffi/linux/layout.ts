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
  inet_diag_req_v2: 56,
  inet_diag_msg: 72,
  statx: 256,
  nfgenmsg: 4,
  nfqnl_msg_packet_hdr: 7,
  nfqnl_msg_verdict_hdr: 8,
  mmsghdr: 64,
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

/** `virtio_net_hdr.flags`: the checksum is to be filled in from the pseudo-header's sum; it was verified. Neither: nobody looked at it. */
export const HEADER_NEEDS_CHECKSUM = 1;
export const HEADER_DATA_VALID = 2;

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
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
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

/** Files. Source: fcntl(2), statx(2), getdents64(2). */
export const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
export const AT_FDCWD = -100;
export const STATX_UID = 0x8;
/** `struct linux_dirent64`: inode u64 │ offset i64 │ length u16 │ type u8 │ name … NUL. */
export const DIRENT_LENGTH_OFFSET = 16;
export const DIRENT_NAME_OFFSET = 19;
/** Offset of `stx_uid` in `struct statx`. */
export const STATX_UID_OFFSET = 20;

/**
 * Questions about sockets. Source: linux/sock_diag.h, linux/inet_diag.h, linux/in.h, net/tcp_states.h.
 *
 * ```
 * struct inet_diag_req_v2: family u8 │ protocol u8 │ ext u8 │ pad u8 │ states u32 │ inet_diag_sockid
 * struct inet_diag_sockid: sport be16 │ dport be16 │ src be32[4] │ dst be32[4] │ interface u32 │ cookie u32[2]    48 bytes
 * struct inet_diag_msg:    family u8 │ state u8 │ timer u8 │ retrans u8 │ inet_diag_sockid │ expires u32 │ rqueue u32 │ wqueue u32 │ uid u32 │ inode u32
 * ```
 */
export const NETLINK_SOCK_DIAG = 4;
export const SOCK_DIAG_BY_FAMILY = 20;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const TCP_LISTEN = 10;
export const MSG_DONTWAIT = 0x40;

/** Kinds of a route that RTM_GETROUTE answers with. */
export const RTN_LOCAL = 2;

/**
 * Packets that iptables hands over. Source: linux/netfilter/nfnetlink_queue.h, linux/netfilter/nfnetlink.h, linux/netfilter.h.
 *
 * ```
 * struct nfgenmsg:                 family u8 │ version u8 │ queue be16
 * struct nfqnl_msg_config_cmd:     command u8 │ pad u8 │ family be16
 * struct nfqnl_msg_config_params:  copy range be32 │ copy mode u8          5 bytes, packed
 * struct nfqnl_msg_packet_hdr:     packet id be32 │ protocol be16 │ hook u8 7 bytes, packed
 * struct nfqnl_msg_verdict_hdr:    verdict be32 │ packet id be32
 * ```
 */
export const NETLINK_NETFILTER = 12;
export const NFNL_SUBSYS_QUEUE = 3;
export const NFNETLINK_V0 = 0;
export const NFQNL_MSG_PACKET = 0;
export const NFQNL_MSG_VERDICT = 1;
export const NFQNL_MSG_CONFIG = 2;
export const NFQNL_MSG_VERDICT_BATCH = 3;
export const NFQA_CFG_CMD = 1;
export const NFQA_CFG_PARAMS = 2;
export const NFQA_CFG_QUEUE_MAXLEN = 3;
export const NFQNL_CFG_CMD_BIND = 1;
export const NFQNL_COPY_PACKET = 2;
export const NFQA_PACKET_HDR = 1;
export const NFQA_VERDICT_HDR = 2;
export const NFQA_MARK = 3;
export const NFQA_IFINDEX_INDEV = 5;
export const NFQA_IFINDEX_OUTDEV = 6;
export const NFQA_PAYLOAD = 10;
export const NFQA_CAP_LEN = 13;
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_LOCAL_OUT = 3;

/** Socket options and what they are for. Source: asm-generic/socket.h, linux/in.h, linux/in6.h, linux/netlink.h. */
export const SOL_SOCKET = 1;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;
export const IPPROTO_IP = 0;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_RAW = 255;
export const IP_HDRINCL = 3;
export const IPV6_HDRINCL = 36;
export const SOL_NETLINK = 270;
export const NETLINK_NO_ENOBUFS = 5;
/** `struct mmsghdr` on 64 bits: name u64 │ namelen u32 │ pad │ iov u64 │ iovlen u64 │ control u64 │ controllen u64 │ flags u32 │ pad │ len u32 │ pad. */
export const MMSGHDR_IOV_OFFSET = 16;
export const MMSGHDR_IOVLEN_OFFSET = 24;
export const MMSGHDR_LEN_OFFSET = 56;
