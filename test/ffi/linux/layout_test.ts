/** Sizes, offsets and numbers against what a C compiler says, where there is one. */
import { assertEquals } from "@std/assert";
import * as layout from "../../../ffi/linux/layout.ts";

const HEADERS = [
  "stdio.h",
  "stddef.h",
  "fcntl.h",
  "poll.h",
  "sched.h",
  "sys/uio.h",
  "sys/socket.h",
  "sys/ioctl.h",
  "net/if.h",
  "netinet/in.h",
  "linux/if_tun.h",
  "linux/virtio_net.h",
  "linux/netlink.h",
  "linux/rtnetlink.h",
  "linux/fib_rules.h",
  "sys/stat.h",
  "netinet/tcp.h",
  "linux/sock_diag.h",
  "linux/inet_diag.h",
  "linux/netfilter.h",
  "linux/netfilter/nfnetlink.h",
  "linux/netfilter/nfnetlink_queue.h",
];

const CONSTANTS =
  ("O_RDONLY O_RDWR O_NONBLOCK O_CLOEXEC POLLIN POLLERR POLLNVAL CLONE_NEWNET TUNSETIFF TUNGETFEATURES TUNSETOFFLOAD " +
    "TUNSETVNETHDRSZ IFF_TUN IFF_NO_PI IFF_VNET_HDR IFF_TUN_EXCL TUN_F_CSUM TUN_F_TSO4 TUN_F_TSO6 AF_UNSPEC AF_INET AF_INET6 AF_NETLINK SOCK_RAW " +
    "NETLINK_ROUTE NLM_F_REQUEST NLM_F_ACK NLM_F_EXCL NLM_F_CREATE NLMSG_ERROR RTM_NEWLINK RTM_NEWADDR RTM_NEWROUTE RTM_DELROUTE " +
    "RTM_GETROUTE RTM_NEWRULE RTM_DELRULE IFF_UP IFLA_MTU IFLA_TXQLEN IFA_ADDRESS IFA_LOCAL IFA_F_NODAD RTA_DST RTA_OIF RTA_PREFSRC RTA_TABLE RT_TABLE_MAIN " +
    "RT_SCOPE_UNIVERSE RT_SCOPE_LINK RTPROT_STATIC RTN_UNICAST FRA_SRC FRA_PRIORITY FRA_TABLE FR_ACT_TO_TBL " +
    "NLM_F_DUMP NLMSG_DONE O_DIRECTORY AT_FDCWD STATX_UID NETLINK_SOCK_DIAG SOCK_DIAG_BY_FAMILY IPPROTO_TCP IPPROTO_UDP TCP_LISTEN MSG_DONTWAIT RTN_LOCAL")
    .split(
      " ",
    );

const OTHER_NAMES: Readonly<Record<string, string>> = {
  HEADER_NEEDS_CHECKSUM: "VIRTIO_NET_HDR_F_NEEDS_CSUM",
  GSO_NONE: "VIRTIO_NET_HDR_GSO_NONE",
  GSO_TCPV4: "VIRTIO_NET_HDR_GSO_TCPV4",
  GSO_TCPV6: "VIRTIO_NET_HDR_GSO_TCPV6",
  GSO_ECN: "VIRTIO_NET_HDR_GSO_ECN",
  IFNAMSIZ: "IFNAMSIZ",
};

const OFFSETS: readonly (readonly [struct: string, field: string, offset: number])[] = [
  ["struct virtio_net_hdr", "gso_type", 1],
  ["struct virtio_net_hdr", "hdr_len", 2],
  ["struct virtio_net_hdr", "gso_size", 4],
  ["struct virtio_net_hdr", "csum_start", 6],
  ["struct virtio_net_hdr", "csum_offset", 8],
  ["struct ifreq", "ifr_flags", 16],
  ["struct iovec", "iov_len", 8],
  ["struct sockaddr_in", "sin_port", 2],
  ["struct sockaddr_in", "sin_addr", 4],
  ["struct sockaddr_in6", "sin6_addr", 8],
  ["struct pollfd", "events", 4],
  ["struct pollfd", "revents", 6],
  ["struct nlmsghdr", "nlmsg_type", 4],
  ["struct nlmsghdr", "nlmsg_seq", 8],
  ["struct ifinfomsg", "ifi_index", 4],
  ["struct ifinfomsg", "ifi_flags", 8],
  ["struct ifinfomsg", "ifi_change", 12],
  ["struct ifaddrmsg", "ifa_prefixlen", 1],
  ["struct ifaddrmsg", "ifa_flags", 2],
  ["struct ifaddrmsg", "ifa_index", 4],
  ["struct rtmsg", "rtm_dst_len", 1],
  ["struct rtmsg", "rtm_protocol", 5],
  ["struct rtmsg", "rtm_scope", 6],
  ["struct rtmsg", "rtm_type", 7],
  ["struct fib_rule_hdr", "src_len", 2],
  ["struct fib_rule_hdr", "action", 7],
  ["struct statx", "stx_uid", layout.STATX_UID_OFFSET],
  ["struct inet_diag_req_v2", "idiag_states", 4],
  ["struct inet_diag_req_v2", "id", 8],
  ["struct inet_diag_sockid", "idiag_dport", 2],
  ["struct inet_diag_sockid", "idiag_src", 4],
  ["struct inet_diag_sockid", "idiag_dst", 20],
  ["struct inet_diag_sockid", "idiag_cookie", 40],
  ["struct inet_diag_msg", "idiag_state", 1],
  ["struct inet_diag_msg", "id", 4],
  ["struct inet_diag_msg", "idiag_uid", 64],
  ["struct inet_diag_msg", "idiag_inode", 68],
  ["struct mmsghdr", "msg_hdr.msg_iov", layout.MMSGHDR_IOV_OFFSET],
  ["struct mmsghdr", "msg_hdr.msg_iovlen", layout.MMSGHDR_IOVLEN_OFFSET],
  ["struct mmsghdr", "msg_len", layout.MMSGHDR_LEN_OFFSET],
  ["struct nfgenmsg", "res_id", 2],
  ["struct nfqnl_msg_packet_hdr", "hook", 6],
  ["struct nfqnl_msg_verdict_hdr", "id", 4],
  ["struct nfqnl_msg_config_params", "copy_mode", 4],
];

function program(expressions: readonly string[]): string {
  const includes = HEADERS.map((header) => `#include <${header}>`).join("\n");
  const prints = expressions.map((expression) => `printf("%lld\\n", (long long)(${expression}));`).join("\n");
  return `#define _GNU_SOURCE\n${includes}\nint main(void) {\n${prints}\nreturn 0;\n}\n`;
}

/** The values of C expressions; undefined when nothing can be compiled here. Errors: the compiler's own, when only the expressions are wrong. */
async function evaluate(expressions: readonly string[]): Promise<number[] | undefined> {
  const folder = await Deno.makeTempDir();
  const compile = async (text: string) => {
    await Deno.writeTextFile(`${folder}/a.c`, text);
    return await new Deno.Command("cc", { args: ["-o", `${folder}/a`, `${folder}/a.c`] }).output();
  };
  try {
    const works = await compile(program([])).then(({ success }) => success, () => false);
    if (!works) return undefined;
    const built = await compile(program(expressions));
    if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
    const { stdout } = await new Deno.Command(`${folder}/a`).output();
    return new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("layout has the C compiler's sizes, offsets and numbers when there is a compiler", async () => {
  const numbers = layout as unknown as Record<string, number>;
  const wanted: [string, number][] = [
    ...Object.entries(layout.Size).map(([name, size]): [string, number] => [`sizeof(struct ${name})`, size]),
    ...OFFSETS.map(([struct, field, offset]): [string, number] => [`offsetof(${struct}, ${field})`, offset]),
    ...CONSTANTS.map((name): [string, number] => [name, numbers[name]!]),
    ...Object.entries(OTHER_NAMES).map(([ours, theirs]): [string, number] => [theirs, numbers[ours]!]),
  ];
  const found = Deno.build.os === "linux" ? await evaluate(wanted.map(([expression]) => expression)) : undefined;
  if (found === undefined) return console.log("skipped: no C compiler with the kernel's headers here");
  assertEquals(wanted.map(([expression], i) => [expression, found[i]]), wanted);
});
