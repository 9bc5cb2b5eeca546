/*
 * The driver of WinDivert: packets of the namespace come from one NFQUEUE, and each is offered to the open handles, the highest rank first. A handle's DLL takes it (then the kernel drops it) or passes it on (then the next one is asked, and at last it goes on).
 *
 *    the queue ── offer ── handle of rank 9 ── handle of rank 3 ── … ── the kernel goes on with it
 *                   ▲            │ inject
 *                   └────────────┘ to handles of lower rank only, then past all of them
 *
 * lab_lock guards everything here.
 */
#include "lab_divert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 0x40000u
/* Answers about so many packets fit into the buffers of a connection, so that nobody waits for the other. */
#define OFFERS_MAX 4096u
#define OUT_BYTES 0x100000u

/* One handle of the network layer. */
struct divert_handle {
	struct divert_handle *next;
	int link;
	/* Priority above, order of opening below. */
	int64_t rank;
	/* Offers that go in one piece. */
	uint8_t *out;
	size_t out_bytes;
};

/* A packet that a handle has been asked about. */
struct offer {
	uint32_t id;
	/* The kernel's number of it; 0 when it was injected. */
	uint32_t queue_id;
	int64_t rank;
	struct lab_divert_packet head;
	uint8_t bytes[];
};

static struct divert_handle *handles;
static struct offer *offers[OFFERS_MAX];
static uint32_t next_offer = 1;
static int64_t opened_count;
/* Packets that nobody could be asked about in time. */
static uint64_t overflow_count;

/* The handle that comes next below a rank. */
static struct divert_handle *handle_below(int64_t rank)
{
	struct divert_handle *best = NULL;

	for (struct divert_handle *handle = handles; handle != NULL; handle = handle->next)
		if (handle->rank < rank && (best == NULL || handle->rank > best->rank))
			best = handle;
	return best;
}

static void flush_handle(struct divert_handle *handle)
{
	if (handle->out_bytes > 0)
		link_send(handle->link, handle->out, handle->out_bytes);
	handle->out_bytes = 0;
}

static void flush_all(void)
{
	for (struct divert_handle *handle = handles; handle != NULL; handle = handle->next)
		flush_handle(handle);
}

static void put(struct divert_handle *handle, const void *bytes, size_t count)
{
	memcpy(handle->out + handle->out_bytes, bytes, count);
	handle->out_bytes += count;
}

static void finish(struct offer *offer, int is_taken)
{
	if (offer->queue_id != 0)
		nfqueue_judge(offer->queue_id, is_taken);
	else if (!is_taken)
		nfqueue_emit(&offer->head, offer->bytes);
	offers[offer->id % OFFERS_MAX] = NULL;
	free(offer);
}

/* Asks the next handle, or lets the packet go on. */
static void ask_next(struct offer *offer)
{
	struct divert_handle *handle = handle_below(offer->rank);
	struct lab_frame frame = { (uint32_t)sizeof offer->head + offer->head.bytes, LAB_DIVERT_PACKET, 0 };

	if (handle == NULL) {
		finish(offer, 0);
		return;
	}
	offer->rank = handle->rank;
	if (handle->out_bytes + sizeof frame + frame.bytes > OUT_BYTES)
		flush_handle(handle);
	put(handle, &frame, sizeof frame);
	put(handle, &offer->head, sizeof offer->head);
	put(handle, offer->bytes, offer->head.bytes);
}

/* Begins with the handle below `rank`. */
static void offer_packet(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id, int64_t rank)
{
	struct offer *offer;

	if (handle_below(rank) == NULL) {
		if (queue_id != 0)
			nfqueue_judge(queue_id, 0);
		else
			nfqueue_emit(head, bytes);
		return;
	}
	if (offers[next_offer % OFFERS_MAX] != NULL) {
		overflow_count++;
		if (queue_id != 0)
			nfqueue_judge(queue_id, 1);
		return;
	}
	offer = malloc(sizeof *offer + head->bytes);
	offer->head = *head;
	offer->head.id = offer->id = next_offer;
	offer->queue_id = queue_id;
	offer->rank = rank;
	memcpy(offer->bytes, bytes, head->bytes);
	offers[next_offer % OFFERS_MAX] = offer;
	next_offer = next_offer == UINT32_MAX ? 1 : next_offer + 1;
	ask_next(offer);
}

static void take_queued(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id)
{
	offer_packet(head, bytes, queue_id, INT64_MAX);
}

/* The first handle begins the diverting. */
static enum win_error add_handle(struct divert_handle *handle, int16_t priority)
{
	if (!nfqueue_open(take_queued, flush_all))
		return WIN_GEN_FAILURE;
	handle->rank = ((int64_t)priority << 32) | (++opened_count & 0x7FFFFFFF);
	handle->out = malloc(OUT_BYTES);
	if (handles == NULL)
		nfqueue_rules(1);
	handle->next = handles;
	handles = handle;
	return WIN_OK;
}

static void remove_handle(struct divert_handle *handle)
{
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
		nfqueue_rules(0);
	free(handle->out);
}

/* One connection: the offers of a handle, or what it injects. */
struct divert_link {
	struct divert_handle handle;
	int is_open;
	/* Whose injections these are. */
	int64_t rank;
};

static void take_answer(struct divert_handle *handle, uint32_t id, int is_taken)
{
	struct offer *offer = offers[id % OFFERS_MAX];

	if (offer == NULL || offer->id != id || offer->rank != handle->rank)
		return;
	if (is_taken)
		finish(offer, 1);
	else
		ask_next(offer);
}

/* Handles one frame; 0 when it is none. */
static int take_frame(struct divert_link *link, const struct lab_frame *frame, const uint8_t *body)
{
	struct lab_divert_packet head = { 0 };
	enum win_error error;
	int32_t priority;
	uint32_t id;

	switch (frame->type) {
	case LAB_DIVERT_OPEN:
		if (frame->bytes != sizeof priority || link->is_open)
			return 0;
		memcpy(&priority, body, sizeof priority);
		error = add_handle(&link->handle, (int16_t)priority);
		link->is_open = error == WIN_OK;
		/* The lock is held, so that the answer comes before the first packet. */
		link_answer(link->handle.link, error, &link->handle.rank, sizeof link->handle.rank);
		return 1;
	case LAB_DIVERT_RANK:
		if (frame->bytes != sizeof link->rank)
			return 0;
		memcpy(&link->rank, body, sizeof link->rank);
		return 1;
	case LAB_DIVERT_TAKE:
	case LAB_DIVERT_PASS:
		if (frame->bytes != sizeof id)
			return 0;
		memcpy(&id, body, sizeof id);
		take_answer(&link->handle, id, frame->type == LAB_DIVERT_TAKE);
		return 1;
	case LAB_DIVERT_INJECT:
		if (frame->bytes < sizeof head + 20)
			return 0;
		memcpy(&head, body, sizeof head);
		if (frame->bytes != sizeof head + head.bytes)
			return 0;
		offer_packet(&head, body + sizeof head, 0, link->rank);
		return 1;
	default:
		return 0;
	}
}

/* Handles whole frames; how many bytes they are, or -1 when something is no frame. */
static ssize_t take_frames(struct divert_link *link, const uint8_t *bytes, size_t count)
{
	size_t at = 0;

	while (count - at >= sizeof(struct lab_frame)) {
		struct lab_frame frame;

		memcpy(&frame, bytes + at, sizeof frame);
		if (frame.bytes > PACKET_MAX + sizeof(struct lab_divert_packet))
			return -1;
		if (count - at < sizeof frame + frame.bytes)
			break;
		if (!take_frame(link, &frame, bytes + at + sizeof frame))
			return -1;
		at += sizeof frame + frame.bytes;
	}
	return (ssize_t)at;
}

void serve_divert(int fd)
{
	struct divert_link link = { .handle = { .link = fd }, .rank = INT64_MAX };
	uint8_t *buffer = malloc(READ_BYTES);
	size_t held = 0;

	for (;;) {
		ssize_t used, got = read(fd, buffer + held, READ_BYTES - held);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		held += (size_t)got;
		pthread_mutex_lock(&lab_lock);
		used = take_frames(&link, buffer, held);
		flush_all();
		nfqueue_flush();
		pthread_mutex_unlock(&lab_lock);
		if (used < 0) {
			fprintf(stderr, "lab_helper: WinDivert.dll says what is no frame\n");
			break;
		}
		memmove(buffer, buffer + used, held - (size_t)used);
		held -= (size_t)used;
	}
	pthread_mutex_lock(&lab_lock);
	if (link.is_open)
		remove_handle(&link.handle);
	flush_all();
	nfqueue_flush();
	pthread_mutex_unlock(&lab_lock);
	free(buffer);
}

void divert_describe(FILE *out)
{
	unsigned waiting = 0, count = 0;

	pthread_mutex_lock(&lab_lock);
	for (struct divert_handle *handle = handles; handle != NULL; handle = handle->next)
		count++;
	for (uint32_t at = 0; at < OFFERS_MAX; at++)
		waiting += offers[at] != NULL;
	fprintf(out, "\"divert\":{\"handles\":%u,\"waiting\":%u,\"overflow\":%llu}", count, waiting,
	        (unsigned long long)overflow_count);
	pthread_mutex_unlock(&lab_lock);
}
