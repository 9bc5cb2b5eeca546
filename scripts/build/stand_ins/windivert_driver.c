/*
 * The connections of a handle to its driver, lab_helper:
 *
 *    offers       the driver asks about each packet, the filter answers; what matches waits in the queue
 *    injections   what the program sends
 *
 * Both carry many packets in one go: under Wine a call on a socket is slow.
 */
#include "windivert.h"

#include <string.h>

#define CHUNK_BYTES (1u << 20)
/* The least room for one more frame: a packet with its heads. */
#define FRAME_BYTES_MAX (sizeof(struct lab_frame) + sizeof(struct lab_divert_packet) + PACKET_BYTES_MAX)

/* What is answered about one packet. */
struct answer {
	struct lab_frame frame;
	uint32_t id;
};

/* What one go of the reader has gathered. */
struct gathered {
	struct answer *answers;
	UINT answer_count;
	struct queued *first, **end;
	struct divert_tables tables;
};

static BOOL is_receive_shut(struct divert_handle *handle)
{
	BOOL is_shut;

	EnterCriticalSection(&handle->lock);
	is_shut = handle->is_receive_shut;
	LeaveCriticalSection(&handle->lock);
	return is_shut;
}

/* The address of a packet as the driver would give it. */
static void describe(const struct lab_divert_packet *head, const uint8_t *packet, struct divert_address *address)
{
	BOOL is_v6 = packet[0] >> 4 == 6;
	LARGE_INTEGER now;

	QueryPerformanceCounter(&now);
	memset(address, 0, sizeof *address);
	address->timestamp = now.QuadPart;
	address->bits = (head->is_outbound ? ADDRESS_OUTBOUND : 0) | (is_v6 ? ADDRESS_IPV6 : 0) |
	                (head->is_loopback ? ADDRESS_LOOPBACK : 0) | (head->is_impostor ? ADDRESS_IMPOSTOR : 0) |
	                ADDRESS_IP_CHECKSUM | ADDRESS_TCP_CHECKSUM | ADDRESS_UDP_CHECKSUM;
	address->network.index = head->index;
}

/* Decides about one packet that the driver asks about. */
static void judge(struct divert_handle *handle, uint8_t *body, BOOL is_shut, struct gathered *gathered)
{
	BOOL sniffs = (handle->flags & FLAG_SNIFF) != 0, matches;
	struct divert_address address;
	struct lab_divert_packet head;
	uint8_t *packet = body + sizeof head;
	struct answer *answer = &gathered->answers[gathered->answer_count++];

	memcpy(&head, body, sizeof head);
	describe(&head, packet, &address);
	if (head.is_outbound)
		divert_offload(packet, head.bytes, &address);
	matches = !is_shut && !(handle->flags & FLAG_SEND_ONLY) && divert_matches(handle, packet, head.bytes, &address);
	answer->frame.bytes = sizeof answer->id;
	answer->frame.type = matches && !sniffs ? LAB_DIVERT_TAKE : LAB_DIVERT_PASS;
	answer->frame.spare = 0;
	answer->id = head.id;
	if (!matches)
		return;
	/* Sockets and flows are told of before their first packet. */
	if (!head.is_impostor)
		divert_tell_events(&gathered->tables, packet, head.bytes, head.is_outbound);
	if (handle->flags & FLAG_DROP)
		return;
	if (sniffs)
		address.bits |= ADDRESS_SNIFFED;
	*gathered->end = divert_copy(&address, packet, head.bytes);
	gathered->end = &(*gathered->end)->next;
}

/* Takes whole frames out of the bytes; how many bytes that were, or 0 and `is_bad` when they are no frames. */
static UINT take_frames(struct divert_handle *handle, uint8_t *bytes, UINT count, struct gathered *gathered, BOOL *is_bad)
{
	BOOL is_shut = is_receive_shut(handle);
	UINT at = 0;

	while (count - at >= sizeof(struct lab_frame)) {
		struct lab_frame frame;

		memcpy(&frame, bytes + at, sizeof frame);
		if (frame.type != LAB_DIVERT_PACKET || frame.bytes > FRAME_BYTES_MAX - sizeof frame ||
		    frame.bytes < sizeof(struct lab_divert_packet) + 20) {
			*is_bad = TRUE;
			return 0;
		}
		if (count - at < sizeof frame + frame.bytes)
			break;
		judge(handle, bytes + at + sizeof frame, is_shut, gathered);
		at += (UINT)sizeof frame + frame.bytes;
	}
	return at;
}

static DWORD WINAPI read_offers(void *context)
{
	struct divert_handle *handle = context;
	uint8_t *bytes = malloc(CHUNK_BYTES);
	struct gathered gathered = { 0 };
	BOOL is_bad = FALSE;
	UINT held = 0;

	gathered.answers = malloc(sizeof(struct answer) * (CHUNK_BYTES / (sizeof(struct lab_frame) + sizeof(struct lab_divert_packet))));
	while (!is_bad) {
		int got = recv(handle->offers, (char *)bytes + held, (int)(CHUNK_BYTES - held), 0);
		UINT used;

		if (got <= 0)
			break;
		held += (UINT)got;
		divert_forget_tables(&gathered.tables);
		gathered.answer_count = 0;
		gathered.first = NULL;
		gathered.end = &gathered.first;
		used = take_frames(handle, bytes, held, &gathered, &is_bad);
		memmove(bytes, bytes + used, held - used);
		held -= used;
		if (gathered.answer_count > 0 &&
		    !lab_send(handle->offers, gathered.answers, gathered.answer_count * (uint32_t)sizeof(struct answer)))
			is_bad = TRUE;
		EnterCriticalSection(&handle->lock);
		while (gathered.first != NULL) {
			struct queued *packet = gathered.first;

			gathered.first = packet->next;
			packet->next = NULL;
			divert_enqueue(handle, packet);
		}
		divert_serve(handle);
		LeaveCriticalSection(&handle->lock);
	}
	divert_forget_tables(&gathered.tables);
	free(gathered.answers);
	free(bytes);
	return 0;
}

uint64_t divert_digest(const uint8_t *bytes, UINT count)
{
	uint64_t sum = count, word;

	for (; count >= sizeof word; count -= sizeof word, bytes += sizeof word) {
		memcpy(&word, bytes, sizeof word);
		sum = (sum << 7 | sum >> 57) ^ word;
	}
	for (; count > 0; count--)
		sum = (sum << 7 | sum >> 57) ^ *bytes++;
	return sum;
}

/* Bytes of the packet that begins here, by its own head; 0 when there is none. */
static UINT packet_length(const uint8_t *packet, UINT left)
{
	UINT length = 0;

	if (left >= 20 && packet[0] >> 4 == 4)
		length = (UINT)(packet[2] << 8 | packet[3]);
	else if (left >= 40 && packet[0] >> 4 == 6)
		length = 40 + (UINT)(packet[4] << 8 | packet[5]);
	return length >= 20 && length <= left ? length : 0;
}

/* Writes the frame of one packet; its length, or 0 when the packet may not go on. */
static UINT write_injection(uint8_t *to, const uint8_t *packet, UINT bytes, const struct divert_address *address)
{
	struct lab_divert_packet head = { .bytes = bytes, .index = address->network.index };
	struct lab_frame frame = { (uint32_t)sizeof head + bytes, LAB_DIVERT_INJECT, 0 };
	uint8_t *copy = to + sizeof frame + sizeof head;

	head.is_outbound = (address->bits & ADDRESS_OUTBOUND) != 0;
	head.is_loopback = (address->bits & ADDRESS_LOOPBACK) != 0;
	memcpy(to, &frame, sizeof frame);
	memcpy(to + sizeof frame, &head, sizeof head);
	memcpy(copy, packet, bytes);
	/* Another driver's packet that comes round and round must end. */
	if ((address->bits & ADDRESS_IMPOSTOR) && !divert_age(copy))
		return 0;
	divert_checksums(copy, bytes, address->bits);
	return (UINT)sizeof frame + frame.bytes;
}

/* Sends a batch. What is wrong with one packet does not stop the others; what is no packet does. */
static LONG send_batch(struct divert_handle *handle, const struct request *request, uint8_t *room, UINT *sent)
{
	const uint8_t *packets = request->packet;
	UINT used = 0, at = 0;
	LONG status = 0;

	for (UINT index = 0; index < request->address_count; index++) {
		const struct divert_address *address = &request->address[index];
		UINT length = packet_length(packets + at, request->packet_bytes - at), written;

		if (length == 0 || address->layer != LAYER_NETWORK || address->event != 0) {
			status = NT_INVALID_PARAMETER;
			break;
		}
		if (CHUNK_BYTES - used < FRAME_BYTES_MAX) {
			if (!lab_send(handle->injections, room, used))
				return NT_UNSUCCESSFUL;
			used = 0;
		}
		written = write_injection(room + used, packets + at, length, address);
		if (written == 0)
			status = NT_HOST_UNREACHABLE;
		used += written;
		at += length;
	}
	*sent = at;
	return used == 0 || lab_send(handle->injections, room, used) ? status : NT_UNSUCCESSFUL;
}

/* Sends batches in the order in which they came, until the handle closes and none is left. */
static DWORD WINAPI send_injections(void *context)
{
	struct divert_handle *handle = context;
	uint8_t *room = malloc(CHUNK_BYTES);

	EnterCriticalSection(&handle->lock);
	for (;;) {
		struct request *request = handle->sends;
		UINT sent = 0;
		LONG status;

		if (request == NULL) {
			if (handle->is_closing)
				break;
			SleepConditionVariableCS(&handle->sendable, &handle->lock, INFINITE);
			continue;
		}
		LeaveCriticalSection(&handle->lock);
		if (divert_digest(request->packet, request->packet_bytes) != request->digest)
			lab_misuse("packets were changed while WinDivertSendEx was under way");
		status = send_batch(handle, request, room, &sent);
		EnterCriticalSection(&handle->lock);
		handle->sends = request->next;
		divert_complete(request, status, sent);
	}
	LeaveCriticalSection(&handle->lock);
	free(room);
	return 0;
}

DWORD divert_connect(struct divert_handle *handle, INT16 priority)
{
	int32_t wide = priority;
	int64_t rank = 0;
	DWORD error;

	handle->offers = lab_connect(LAB_ROLE_DIVERT);
	handle->injections = handle->offers == INVALID_SOCKET ? INVALID_SOCKET : lab_connect(LAB_ROLE_DIVERT);
	if (handle->injections == INVALID_SOCKET)
		return ERROR_FILE_NOT_FOUND;
	error = lab_ask(handle->offers, LAB_DIVERT_OPEN, &wide, sizeof wide, &rank, sizeof rank, NULL, NULL);
	if (error == 0 && !lab_send_frame(handle->injections, LAB_DIVERT_RANK, &rank, sizeof rank))
		error = ERROR_FILE_NOT_FOUND;
	if (error == 0) {
		handle->reader = CreateThread(NULL, 0, read_offers, handle, 0, NULL);
		handle->sender = CreateThread(NULL, 0, send_injections, handle, 0, NULL);
	}
	return error;
}
