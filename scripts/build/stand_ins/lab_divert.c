/*
 * The driver of WinDivert: iptables hands the namespace's packets to one NFQUEUE, and each packet is offered to the open handles, the one of the
 * highest rank first. A handle's DLL takes it (then the kernel drops it) or passes it on (then the next one is asked, and at last it goes on).
 *
 *    OUTPUT, INPUT ── NFQUEUE ── offer ── handle of rank 9 ── handle of rank 3 ── … ── the kernel goes on with it
 *                                  ▲            │ inject
 *                                  └────────────┘ to handles of lower rank only, then out of a raw socket with a mark, or into a TUN device
 *
 * Loopback is left alone: the stand-ins themselves talk over it.
 */
#include "lab_helper.h"

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

unsigned int if_nametoindex(const char *name);

#define QUEUE_NUMBER 77
#define QUEUE_LENGTH 16384
#define MARK 0x77
#define MARK_TEXT "0x77"
#define IN_DEVICE "labdivert0"
#define PACKET_MAX 65575u
#define OFFERS_MAX 32768u
#define READ_BYTES 0x40000u

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

/* One handle of the network layer. */
struct divert_handle {
	struct divert_handle *next;
	int link;
	/* Priority above, order of opening below. */
	int64_t rank;
	pthread_mutex_t writing;
};

/* A packet that a handle has been asked about. */
struct offer {
	uint32_t id;
	/* The kernel's number of it; 0 when it was injected. */
	uint32_t queue_id;
	int64_t rank;
	struct lab_divert_packet head;
	uint8_t *bytes;
};

static struct divert_handle *handles;
static struct offer *offers[OFFERS_MAX];
static uint32_t next_offer = 1;
static int64_t opened_count;
static int queue = -1, in_device = -1, raw4 = -1, raw6 = -1;

/* Adds an attribute to a netlink message. */
static void add_attribute(struct nlmsghdr *message, uint16_t type, const void *value, uint16_t bytes)
{
	struct nlattr *attribute = (struct nlattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));

	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
	memcpy((char *)attribute + NLA_HDRLEN, value, bytes);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + NLA_ALIGN(attribute->nla_len);
}

static struct nlmsghdr *begin_message(void *buffer, uint16_t type)
{
	struct nlmsghdr *message = buffer;
	struct nfgenmsg *head = NLMSG_DATA(message);

	memset(buffer, 0, NLMSG_LENGTH(sizeof *head));
	message->nlmsg_len = NLMSG_LENGTH(sizeof *head);
	message->nlmsg_type = (uint16_t)((NFNL_SUBSYS_QUEUE << 8) | type);
	message->nlmsg_flags = NLM_F_REQUEST;
	head->nfgen_family = AF_UNSPEC;
	head->version = NFNETLINK_V0;
	head->res_id = htons(QUEUE_NUMBER);
	return message;
}

static void send_message(struct nlmsghdr *message)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(queue, message, message->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		perror("lab_helper: nfqueue");
}

static void give_verdict(uint32_t queue_id, uint32_t verdict)
{
	char buffer[256];
	struct nlmsghdr *message = begin_message(buffer, NFQNL_MSG_VERDICT);
	struct nfqnl_msg_verdict_hdr head = { htonl(verdict), htonl(queue_id) };

	add_attribute(message, NFQA_VERDICT_HDR, &head, sizeof head);
	send_message(message);
}

/* Sends a packet on, past all handles. */
static void emit(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t count)
{
	int is_v6 = bytes[0] >> 4 == 6;
	ssize_t sent;

	if (!head->is_outbound) {
		sent = write(in_device, bytes, count);
	} else if (is_v6) {
		struct sockaddr_in6 to = { .sin6_family = AF_INET6 };

		memcpy(&to.sin6_addr, bytes + 24, 16);
		sent = sendto(raw6, bytes, count, 0, (struct sockaddr *)&to, sizeof to);
	} else {
		struct sockaddr_in to = { .sin_family = AF_INET };

		memcpy(&to.sin_addr, bytes + 16, 4);
		sent = sendto(raw4, bytes, count, 0, (struct sockaddr *)&to, sizeof to);
	}
	if (sent < 0)
		perror("lab_helper: inject");
}

/* The handle that comes next below a rank. The caller holds lab_lock. */
static struct divert_handle *handle_below(int64_t rank)
{
	struct divert_handle *best = NULL;

	for (struct divert_handle *handle = handles; handle != NULL; handle = handle->next)
		if (handle->rank < rank && (best == NULL || handle->rank > best->rank))
			best = handle;
	return best;
}

static void finish(struct offer *offer, int is_taken)
{
	if (offer->queue_id != 0)
		give_verdict(offer->queue_id, is_taken ? NF_DROP : NF_ACCEPT);
	else if (!is_taken)
		emit(&offer->head, offer->bytes, offer->head.bytes);
	offers[offer->id % OFFERS_MAX] = NULL;
	free(offer->bytes);
	free(offer);
}

/* Asks the next handle, or lets the packet go on. The caller holds lab_lock. */
static void ask_next(struct offer *offer)
{
	/* The lock that the caller holds guards it too. */
	static uint8_t whole[sizeof(struct lab_frame) + sizeof(struct lab_divert_packet) + PACKET_MAX];
	struct divert_handle *handle = handle_below(offer->rank);
	struct lab_frame frame = { (uint32_t)sizeof offer->head + offer->head.bytes, LAB_DIVERT_PACKET, 0 };

	if (handle == NULL) {
		finish(offer, 0);
		return;
	}
	offer->rank = handle->rank;
	memcpy(whole, &frame, sizeof frame);
	memcpy(whole + sizeof frame, &offer->head, sizeof offer->head);
	memcpy(whole + sizeof frame + sizeof offer->head, offer->bytes, offer->head.bytes);
	pthread_mutex_lock(&handle->writing);
	link_send(handle->link, whole, sizeof frame + frame.bytes);
	pthread_mutex_unlock(&handle->writing);
}

/* Begins with the handle below `rank`. The caller holds lab_lock. */
static void offer_packet(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id, int64_t rank)
{
	struct offer *offer;

	if (handle_below(rank) == NULL || offers[next_offer % OFFERS_MAX] != NULL) {
		if (queue_id != 0)
			give_verdict(queue_id, NF_ACCEPT);
		else
			emit(head, bytes, head->bytes);
		return;
	}
	offer = calloc(1, sizeof *offer);
	offer->head = *head;
	offer->head.id = offer->id = next_offer;
	offer->queue_id = queue_id;
	offer->rank = rank;
	offer->bytes = malloc(head->bytes);
	memcpy(offer->bytes, bytes, head->bytes);
	offers[next_offer % OFFERS_MAX] = offer;
	next_offer = next_offer == UINT32_MAX ? 1 : next_offer + 1;
	ask_next(offer);
}

/* Neighbours and multicast groups of IPv6 are the link's own business, and bound to it: they are not offered. */
static int is_of_link(const uint8_t *bytes, uint32_t count)
{
	if (count < 41 || bytes[0] >> 4 != 6)
		return 0;
	return bytes[6] == 0 || (bytes[6] == 58 && bytes[40] >= 133 && bytes[40] <= 137);
}

static void take_queued(struct nlmsghdr *message)
{
	struct nlattr *attribute = (struct nlattr *)((char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	int left = (int)(message->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct nfgenmsg))));
	struct lab_divert_packet head = { 0 };
	const uint8_t *bytes = NULL;
	uint32_t queue_id = 0;

	while (left >= NLA_HDRLEN && attribute->nla_len >= NLA_HDRLEN && attribute->nla_len <= left) {
		void *value = (char *)attribute + NLA_HDRLEN;
		uint32_t index;

		switch (attribute->nla_type & NLA_TYPE_MASK) {
		case NFQA_PACKET_HDR:
			queue_id = ntohl(((struct nfqnl_msg_packet_hdr *)value)->packet_id);
			head.is_outbound = ((struct nfqnl_msg_packet_hdr *)value)->hook == NF_INET_LOCAL_OUT;
			break;
		case NFQA_IFINDEX_INDEV:
		case NFQA_IFINDEX_OUTDEV:
			memcpy(&index, value, sizeof index);
			head.index = ntohl(index);
			break;
		case NFQA_PAYLOAD:
			bytes = value;
			head.bytes = (uint32_t)(attribute->nla_len - NLA_HDRLEN);
			break;
		}
		left -= NLA_ALIGN(attribute->nla_len);
		attribute = (struct nlattr *)((char *)attribute + NLA_ALIGN(attribute->nla_len));
	}
	if (bytes == NULL || head.bytes > PACKET_MAX || is_of_link(bytes, head.bytes))
		give_verdict(queue_id, NF_ACCEPT);
	else
		offer_packet(&head, bytes, queue_id, INT64_MAX);
}

static void *read_queue(void *context)
{
	char *buffer = malloc(0x20000);

	(void)context;
	for (;;) {
		ssize_t got = recv(queue, buffer, 0x20000, 0);
		int left = (int)got;

		if (got < 0 && errno != ENOBUFS && errno != EINTR)
			return NULL;
		pthread_mutex_lock(&lab_lock);
		for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
			if (message->nlmsg_type == ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET))
				take_queued(message);
		pthread_mutex_unlock(&lab_lock);
	}
}

static void configure_queue(void)
{
	char buffer[256];
	struct nlmsghdr *message = begin_message(buffer, NFQNL_MSG_CONFIG);
	struct nfqnl_msg_config_cmd bind = { NFQNL_CFG_CMD_BIND, 0, htons(AF_UNSPEC) };
	struct nfqnl_msg_config_params copy = { htonl(0xFFFF), NFQNL_COPY_PACKET };
	uint32_t length = htonl(QUEUE_LENGTH);
	int room = 8 << 20, yes = 1;

	add_attribute(message, NFQA_CFG_CMD, &bind, sizeof bind);
	send_message(message);
	message = begin_message(buffer, NFQNL_MSG_CONFIG);
	add_attribute(message, NFQA_CFG_PARAMS, &copy, sizeof copy);
	add_attribute(message, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
	send_message(message);
	setsockopt(queue, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	setsockopt(queue, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes);
}

static void open_ways_out(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int yes = 1, mark = MARK;
	const char *const up[] = { "ip", "link", "set", IN_DEVICE, "mtu", "65535", "addrgenmode", "none", "up", NULL };
	const char *const loose[] = { "sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/" IN_DEVICE "/rp_filter", NULL };

	in_device = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	strcpy(request.ifr_name, IN_DEVICE);
	if (ioctl(in_device, TUNSETIFF, &request) != 0)
		perror("lab_helper: " IN_DEVICE);
	run_program(up, NULL, 0);
	run_program(loose, NULL, 0);
	raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	setsockopt(raw6, IPPROTO_IPV6, IPV6_HDRINCL, &yes, sizeof yes);
	setsockopt(raw4, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
	setsockopt(raw6, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}

static void run_tables(const char *deed)
{
	static const char *const programs[] = { "iptables", "ip6tables" };
	static const char *const chains[][2] = { { "OUTPUT", "-o" }, { "INPUT", "-i" } };

	for (int program = 0; program < 2; program++)
		for (int chain = 0; chain < 2; chain++) {
			const char *const words[] = { programs[program], "-w", "-t", "mangle", deed, chains[chain][0], "!",
				                      chains[chain][1], "lo", "-m", "mark", "!", "--mark", MARK_TEXT, "-j",
				                      "NFQUEUE", "--queue-num", "77", "--queue-bypass", NULL };
			char said[512];

			if (!run_program(words, said, sizeof said))
				fprintf(stderr, "lab_helper: %s: %s", programs[program], said);
		}
	/* What is injected inbound comes from a device of ours and is not asked about again. */
	for (int program = 0; program < 2; program++) {
		const char *const words[] = { programs[program], "-w", "-t", "mangle", strcmp(deed, "-A") == 0 ? "-I" : "-D", "INPUT",
			                      "-i", IN_DEVICE, "-j", "ACCEPT", NULL };

		run_program(words, NULL, 0);
	}
}

/* The first handle begins the diverting. The caller holds lab_lock. */
static void begin_diverting(void)
{
	pthread_t thread;

	if (queue >= 0)
		return;
	queue = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	configure_queue();
	open_ways_out();
	pthread_create(&thread, NULL, read_queue, NULL);
	pthread_detach(thread);
}

static void add_handle(struct divert_handle *handle, int16_t priority)
{
	pthread_mutex_lock(&lab_lock);
	begin_diverting();
	handle->rank = ((int64_t)priority << 32) | (++opened_count & 0x7FFFFFFF);
	if (handles == NULL)
		run_tables("-A");
	handle->next = handles;
	handles = handle;
	pthread_mutex_unlock(&lab_lock);
}

static void remove_handle(struct divert_handle *handle)
{
	pthread_mutex_lock(&lab_lock);
	for (struct divert_handle **at = &handles; *at != NULL; at = &(*at)->next)
		if (*at == handle) {
			*at = handle->next;
			break;
		}
	/* What it was asked about goes on as if it had passed it. */
	for (uint32_t at = 0; at < OFFERS_MAX; at++)
		if (offers[at] != NULL && offers[at]->rank == handle->rank)
			ask_next(offers[at]);
	if (handles == NULL)
		run_tables("-D");
	pthread_mutex_unlock(&lab_lock);
}

static void take_answer(struct divert_handle *handle, uint32_t id, int is_taken)
{
	struct offer *offer;

	pthread_mutex_lock(&lab_lock);
	offer = offers[id % OFFERS_MAX];
	if (offer != NULL && offer->id == id && offer->rank == handle->rank) {
		if (is_taken)
			finish(offer, 1);
		else
			ask_next(offer);
	}
	pthread_mutex_unlock(&lab_lock);
}

/* One connection: the offers of a handle, or what it injects. */
struct divert_link {
	struct divert_handle handle;
	int is_open;
	/* Whose injections these are. */
	int64_t rank;
};

/* Handles one frame; 0 when it is none. */
static int take_frame(struct divert_link *link, const struct lab_frame *frame, const uint8_t *body)
{
	struct lab_divert_packet head;
	int32_t priority = 0;
	uint32_t id = 0;

	switch (frame->type) {
	case LAB_DIVERT_OPEN:
		memcpy(&priority, body, frame->bytes < sizeof priority ? frame->bytes : sizeof priority);
		/* The answer comes before the first packet. */
		pthread_mutex_lock(&link->handle.writing);
		add_handle(&link->handle, (int16_t)priority);
		link_answer(link->handle.link, WIN_OK, &link->handle.rank, sizeof link->handle.rank);
		pthread_mutex_unlock(&link->handle.writing);
		link->is_open = 1;
		return 1;
	case LAB_DIVERT_RANK:
		memcpy(&link->rank, body, frame->bytes < sizeof link->rank ? frame->bytes : sizeof link->rank);
		return 1;
	case LAB_DIVERT_TAKE:
	case LAB_DIVERT_PASS:
		memcpy(&id, body, frame->bytes < sizeof id ? frame->bytes : sizeof id);
		take_answer(&link->handle, id, frame->type == LAB_DIVERT_TAKE);
		return 1;
	case LAB_DIVERT_INJECT:
		memcpy(&head, body, frame->bytes < sizeof head ? frame->bytes : sizeof head);
		if (frame->bytes < sizeof head + 20 || frame->bytes != sizeof head + head.bytes)
			return 0;
		pthread_mutex_lock(&lab_lock);
		offer_packet(&head, body + sizeof head, 0, link->rank);
		pthread_mutex_unlock(&lab_lock);
		return 1;
	default:
		return 0;
	}
}

void serve_divert(int fd)
{
	struct divert_link link = { .handle = { .link = fd, .writing = PTHREAD_MUTEX_INITIALIZER }, .rank = INT64_MAX };
	uint8_t *buffer = malloc(READ_BYTES);
	size_t held = 0;
	int goes_on = buffer != NULL;

	while (goes_on) {
		size_t at = 0;
		ssize_t got = read(fd, buffer + held, READ_BYTES - held);

		if (got <= 0)
			break;
		held += (size_t)got;
		while (goes_on && held - at >= sizeof(struct lab_frame)) {
			struct lab_frame frame;

			memcpy(&frame, buffer + at, sizeof frame);
			if (frame.bytes > PACKET_MAX + sizeof(struct lab_divert_packet))
				goes_on = 0;
			if (!goes_on || held - at < sizeof frame + frame.bytes)
				break;
			goes_on = take_frame(&link, &frame, buffer + at + sizeof frame);
			at += sizeof frame + frame.bytes;
		}
		memmove(buffer, buffer + at, held - at);
		held -= at;
	}
	if (link.is_open)
		remove_handle(&link.handle);
	free(buffer);
}
