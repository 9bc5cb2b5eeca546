/*
 * What WinDivert's driver has of Linux: an NFQUEUE that iptables fills, and two ways on for packets that a program sends.
 *
 *    OUTPUT ── weir-lab-out ─┐                       ┌─ raw sockets with a mark that weir-lab-out lets pass
 *                            ├─ NFQUEUE ── handles ──┤
 *    INPUT ─── weir-lab-in ──┘                       └─ a TUN device that weir-lab-in lets pass
 *
 * The loopback is seen outbound only, as WinDivert has it, and without the connections of the stand-ins themselves. With --queue-bypass packets pass
 * when the helper is gone.
 */
#include "lab_divert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_NUMBER 77
#define QUEUE_NUMBER_TEXT "77"
#define QUEUE_LENGTH 16384
/* Ours, and what stands for packets that another driver has injected. */
#define MARK 0x77
#define MARK_TEXT "0x77"
#define IMPOSTOR_MARK 0x78
#define IN_DEVICE "labdivert0"
#define LOOPBACK_INDEX 1
#define MESSAGE_BYTES 0x11000
#define MESSAGES_MAX 64
#define VERDICTS_MAX 64
/* Of the lab's link. */
#define LINK_MTU 1500u

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

struct verdict {
	struct nlmsghdr message;
	struct nfgenmsg head;
	struct nlattr attribute;
	struct nfqnl_msg_verdict_hdr verdict;
};
_Static_assert(sizeof(struct verdict) == 32, "a verdict is one attribute");

static int queue = -1, in_device = -1, raw4 = -1, raw6 = -1;
static struct verdict verdicts[VERDICTS_MAX];
static unsigned verdict_count;
static void (*take_packet)(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id);
static void (*end_of_batch)(void);

static void begin_message(struct nlmsghdr *message, struct nfgenmsg *head, uint16_t type)
{
	memset(message, 0, sizeof *message);
	message->nlmsg_len = NLMSG_LENGTH(sizeof *head);
	message->nlmsg_type = (uint16_t)((NFNL_SUBSYS_QUEUE << 8) | type);
	message->nlmsg_flags = NLM_F_REQUEST;
	head->nfgen_family = AF_UNSPEC;
	head->version = NFNETLINK_V0;
	head->res_id = htons(QUEUE_NUMBER);
}

static void send_messages(const void *messages, size_t bytes)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (bytes > 0 && sendto(queue, messages, bytes, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		perror("lab_helper: nfqueue");
}

void nfqueue_flush(void)
{
	send_messages(verdicts, verdict_count * sizeof *verdicts);
	verdict_count = 0;
}

void nfqueue_judge(uint32_t queue_id, int is_dropped)
{
	struct verdict *verdict = &verdicts[verdict_count++];

	begin_message(&verdict->message, &verdict->head, NFQNL_MSG_VERDICT);
	verdict->message.nlmsg_len = sizeof *verdict;
	verdict->attribute.nla_len = sizeof verdict->attribute + sizeof verdict->verdict;
	verdict->attribute.nla_type = NFQA_VERDICT_HDR;
	verdict->verdict.verdict = htonl(is_dropped ? NF_DROP : NF_ACCEPT);
	verdict->verdict.id = htonl(queue_id);
	if (verdict_count == VERDICTS_MAX)
		nfqueue_flush();
}

void nfqueue_emit(const struct lab_divert_packet *head, const uint8_t *bytes)
{
	ssize_t sent;

	if (!head->is_outbound) {
		sent = write(in_device, bytes, head->bytes);
	} else if (bytes[0] >> 4 == 6) {
		struct sockaddr_in6 to = { .sin6_family = AF_INET6 };

		memcpy(&to.sin6_addr, bytes + 24, 16);
		/* Link-local addresses and groups mean something on one device only. */
		if (bytes[24] == 0xFF || (bytes[24] == 0xFE && (bytes[25] & 0xC0) == 0x80))
			to.sin6_scope_id = head->index;
		sent = sendto(raw6, bytes, head->bytes, 0, (struct sockaddr *)&to, sizeof to);
	} else {
		struct sockaddr_in to = { .sin_family = AF_INET };

		memcpy(&to.sin_addr, bytes + 16, 4);
		sent = sendto(raw4, bytes, head->bytes, 0, (struct sockaddr *)&to, sizeof to);
	}
	if (sent < 0)
		fprintf(stderr, "lab_helper: inject %s: %s\n", head->is_outbound ? "outbound" : "inbound", strerror(errno));
}

/* Neighbours and multicast groups of IPv6 are the link's own business, and bound to it: they are not offered. */
static int is_of_link(const uint8_t *bytes, uint32_t count)
{
	if (count < 41 || bytes[0] >> 4 != 6)
		return 0;
	return bytes[6] == 0 || (bytes[6] == 58 && bytes[40] >= 133 && bytes[40] <= 137);
}

/*
 * Linux cuts long datagrams after it has asked us, Windows before: so we do it. Each piece is a packet of its own then, the kernel's is dropped.
 */
static void take_in_pieces(const struct lab_divert_packet *whole, const uint8_t *bytes)
{
	static uint32_t next_id;
	int is_v6 = bytes[0] >> 4 == 6;
	uint32_t head_bytes = is_v6 ? 40 : (bytes[0] & 15u) * 4, extra = is_v6 ? 8 : 0;
	uint32_t step = (LINK_MTU - head_bytes - extra) & ~7u, payload = whole->bytes - head_bytes;
	uint8_t piece[LINK_MTU];

	next_id++;
	for (uint32_t at = 0; at < payload; at += step) {
		uint32_t count = payload - at < step ? payload - at : step;
		int has_more = at + count < payload;
		struct lab_divert_packet head = *whole;
		uint16_t length = htons((uint16_t)(count + extra + (is_v6 ? 0 : head_bytes)));

		head.bytes = head_bytes + extra + count;
		memcpy(piece, bytes, head_bytes);
		memcpy(piece + head_bytes + extra, bytes + head_bytes + at, count);
		if (is_v6) {
			uint16_t place = htons((uint16_t)(at | (uint32_t)has_more));

			memcpy(piece + 4, &length, sizeof length);
			piece[6] = IPPROTO_FRAGMENT;
			piece[40] = bytes[6];
			piece[41] = 0;
			memcpy(piece + 42, &place, sizeof place);
			memcpy(piece + 44, &next_id, sizeof next_id);
		} else {
			uint16_t place = htons((uint16_t)(at >> 3 | (has_more ? 0x2000u : 0)));

			/* Its checksum is computed when it goes on. */
			memcpy(piece + 2, &length, sizeof length);
			memcpy(piece + 6, &place, sizeof place);
		}
		take_packet(&head, piece, 0);
	}
}

static void take_queued(struct nlmsghdr *message)
{
	struct nlattr *attribute = (struct nlattr *)((char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	int left = (int)(message->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct nfgenmsg))));
	struct lab_divert_packet head = { 0 };
	const uint8_t *bytes = NULL;
	uint32_t queue_id = 0, number;

	while (left >= NLA_HDRLEN && attribute->nla_len >= NLA_HDRLEN && attribute->nla_len <= left) {
		void *value = (char *)attribute + NLA_HDRLEN;

		switch (attribute->nla_type & NLA_TYPE_MASK) {
		case NFQA_PACKET_HDR:
			queue_id = ntohl(((struct nfqnl_msg_packet_hdr *)value)->packet_id);
			head.is_outbound = ((struct nfqnl_msg_packet_hdr *)value)->hook == NF_INET_LOCAL_OUT;
			break;
		case NFQA_IFINDEX_INDEV:
		case NFQA_IFINDEX_OUTDEV:
			memcpy(&number, value, sizeof number);
			head.index = ntohl(number);
			head.is_loopback = head.index == LOOPBACK_INDEX;
			break;
		case NFQA_MARK:
			memcpy(&number, value, sizeof number);
			head.is_impostor = ntohl(number) == IMPOSTOR_MARK;
			break;
		case NFQA_PAYLOAD:
			bytes = value;
			head.bytes = (uint32_t)(attribute->nla_len - NLA_HDRLEN);
			break;
		}
		left -= NLA_ALIGN(attribute->nla_len);
		attribute = (struct nlattr *)((char *)attribute + NLA_ALIGN(attribute->nla_len));
	}
	if (bytes == NULL || head.bytes < 20 || head.bytes > PACKET_MAX || is_of_link(bytes, head.bytes)) {
		nfqueue_judge(queue_id, 0);
	} else if (head.is_outbound && !head.is_loopback && head.bytes > LINK_MTU) {
		nfqueue_judge(queue_id, 1);
		take_in_pieces(&head, bytes);
	} else {
		take_packet(&head, bytes, queue_id);
	}
}

/* Takes what is there in one go, up to MESSAGES_MAX packets, and waits when nothing is. */
static void *read_queue(void *context)
{
	uint8_t *room = malloc((size_t)MESSAGE_BYTES * MESSAGES_MAX);
	struct mmsghdr heads[MESSAGES_MAX];
	struct iovec places[MESSAGES_MAX];

	(void)context;
	memset(heads, 0, sizeof heads);
	for (unsigned at = 0; at < MESSAGES_MAX; at++) {
		places[at] = (struct iovec){ room + (size_t)at * MESSAGE_BYTES, MESSAGE_BYTES };
		heads[at].msg_hdr.msg_iov = &places[at];
		heads[at].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		int count = recvmmsg(queue, heads, MESSAGES_MAX, MSG_WAITFORONE, NULL);

		if (count < 0 && errno != ENOBUFS && errno != EINTR)
			return NULL;
		pthread_mutex_lock(&lab_lock);
		for (int at = 0; at < count; at++) {
			struct nlmsghdr *message = places[at].iov_base;
			int left = (int)heads[at].msg_len;

			for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
				if (message->nlmsg_type == ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET))
					take_queued(message);
		}
		end_of_batch();
		nfqueue_flush();
		pthread_mutex_unlock(&lab_lock);
	}
}

/* Adds an attribute to a message. */
static void add_attribute(struct nlmsghdr *message, uint16_t type, const void *value, uint16_t bytes)
{
	struct nlattr *attribute = (struct nlattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));

	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
	memcpy((char *)attribute + NLA_HDRLEN, value, bytes);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + NLA_ALIGN(attribute->nla_len);
}

/* Without NFQA_CFG_F_GSO the kernel cuts long segments up and completes their checksums first. */
static void configure_queue(void)
{
	union {
		struct nlmsghdr message;
		char room[256];
	} buffer;
	struct nfgenmsg *head = NLMSG_DATA(&buffer.message);
	struct nfqnl_msg_config_cmd bind = { NFQNL_CFG_CMD_BIND, 0, htons(AF_UNSPEC) };
	struct nfqnl_msg_config_params copy = { htonl(0xFFFF), NFQNL_COPY_PACKET };
	uint32_t length = htonl(QUEUE_LENGTH);
	int room = 16 << 20, yes = 1;

	begin_message(&buffer.message, head, NFQNL_MSG_CONFIG);
	add_attribute(&buffer.message, NFQA_CFG_CMD, &bind, sizeof bind);
	send_messages(&buffer, buffer.message.nlmsg_len);
	begin_message(&buffer.message, head, NFQNL_MSG_CONFIG);
	add_attribute(&buffer.message, NFQA_CFG_PARAMS, &copy, sizeof copy);
	add_attribute(&buffer.message, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
	send_messages(&buffer, buffer.message.nlmsg_len);
	setsockopt(queue, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	setsockopt(queue, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes);
}

static int open_ways_on(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int yes = 1, mark = MARK, room = 8 << 20;
	const char *const up[] = { "ip", "link", "set", IN_DEVICE, "mtu", "65535", "addrgenmode", "none", "up", NULL };
	const char *const loose[] = { "sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/" IN_DEVICE "/rp_filter", NULL };

	in_device = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	strcpy(request.ifr_name, IN_DEVICE);
	if (in_device < 0 || ioctl(in_device, TUNSETIFF, &request) != 0)
		return 0;
	run_program(up, NULL, 0);
	run_program(loose, NULL, 0);
	raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	setsockopt(raw6, IPPROTO_IPV6, IPV6_HDRINCL, &yes, sizeof yes);
	for (int at = 0; at < 2; at++) {
		setsockopt(at == 0 ? raw4 : raw6, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
		setsockopt(at == 0 ? raw4 : raw6, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	}
	return raw4 >= 0 && raw6 >= 0;
}

int nfqueue_open(void (*take)(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id), void (*end_batch)(void))
{
	pthread_t thread;

	if (queue >= 0)
		return 1;
	take_packet = take;
	end_of_batch = end_batch;
	queue = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (queue < 0 || !open_ways_on()) {
		perror("lab_helper: cannot divert");
		return 0;
	}
	configure_queue();
	pthread_create(&thread, NULL, read_queue, NULL);
	pthread_detach(thread);
	return 1;
}

static const char RULES_UP[] = "for t in iptables-restore ip6tables-restore; do $t -w --noflush <<end\n"
                               "*mangle\n"
                               ":weir-lab-out -\n"
                               ":weir-lab-in -\n"
                               "-A weir-lab-out -m mark --mark " MARK_TEXT " -j RETURN\n"
                               "-A weir-lab-out -o lo -p tcp --sport %u -j RETURN\n"
                               "-A weir-lab-out -o lo -p tcp --dport %u -j RETURN\n"
                               "-A weir-lab-out -j NFQUEUE --queue-num " QUEUE_NUMBER_TEXT " --queue-bypass\n"
                               "-A weir-lab-in -i lo -j RETURN\n"
                               "-A weir-lab-in -i " IN_DEVICE " -j RETURN\n"
                               "-A weir-lab-in -j NFQUEUE --queue-num " QUEUE_NUMBER_TEXT " --queue-bypass\n"
                               "-A OUTPUT -j weir-lab-out\n"
                               "-A INPUT -j weir-lab-in\n"
                               "COMMIT\n"
                               "end\n"
                               "done\n";
static const char RULES_DOWN[] = "for t in iptables-restore ip6tables-restore; do $t -w --noflush <<end\n"
                                 "*mangle\n"
                                 "-D OUTPUT -j weir-lab-out\n"
                                 "-D INPUT -j weir-lab-in\n"
                                 "-F weir-lab-out\n"
                                 "-F weir-lab-in\n"
                                 "-X weir-lab-out\n"
                                 "-X weir-lab-in\n"
                                 "COMMIT\n"
                                 "end\n"
                                 "done\n";

void nfqueue_rules(int are_up)
{
	char script[2048], said[512];
	const char *const words[] = { "sh", "-ec", script, NULL };

	if (are_up)
		snprintf(script, sizeof script, RULES_UP, lab_port, lab_port);
	else
		strcpy(script, RULES_DOWN);
	if (!run_program(words, said, sizeof said))
		fprintf(stderr, "lab_helper: iptables: %s", said);
}
