/* Packets that wait for a reader, and reads that wait for packets. */
#include "windivert.h"

#include <string.h>

/* The codes are those of NT, for GetOverlappedResult translates them. */
void divert_complete(struct request *request, LONG status, UINT bytes)
{
	OVERLAPPED *overlapped = request->overlapped;
	HANDLE event = overlapped->hEvent;

	overlapped->InternalHigh = bytes;
	/* From here on the memory is the program's. */
	__atomic_store_n(&overlapped->Internal, (ULONG_PTR)(ULONG)status, __ATOMIC_RELEASE);
	SetEvent(event);
	free(request);
}

void divert_append(struct request **list, struct request *request)
{
	for (; *list != NULL; list = &(*list)->next)
		if ((*list)->overlapped == request->overlapped)
			lab_misuse("an OVERLAPPED was used again before its operation was over");
	*list = request;
}

struct queued *divert_copy(const struct divert_address *address, const void *data, UINT bytes)
{
	struct queued *packet = malloc(sizeof *packet + bytes);

	packet->next = NULL;
	packet->came = GetTickCount64();
	packet->address = *address;
	packet->bytes = bytes;
	memcpy(packet->data, data, bytes);
	return packet;
}

static void drop_oldest(struct divert_handle *handle)
{
	struct queued *oldest = handle->first;

	handle->first = oldest->next;
	if (handle->first == NULL)
		handle->last = NULL;
	handle->queue_count--;
	handle->queue_bytes -= oldest->bytes;
	free(oldest);
}

/* Packets wait no longer than QUEUE_TIME. */
static void drop_stale(struct divert_handle *handle)
{
	ULONGLONG now = GetTickCount64();

	while (handle->first != NULL && now - handle->first->came > handle->params[PARAM_QUEUE_TIME])
		drop_oldest(handle);
}

void divert_enqueue(struct divert_handle *handle, struct queued *packet)
{
	while (handle->first != NULL && (handle->queue_count >= handle->params[PARAM_QUEUE_LENGTH] ||
	                                 handle->queue_bytes + packet->bytes > handle->params[PARAM_QUEUE_SIZE]))
		drop_oldest(handle);
	if (handle->last == NULL)
		handle->first = packet;
	else
		handle->last->next = packet;
	handle->last = packet;
	handle->queue_count++;
	handle->queue_bytes += packet->bytes;
}

/* Fills one read with as many packets as its places hold, in order; none is split. */
static void fill(struct divert_handle *handle, struct request *request)
{
	UINT count = 0, used = 0;
	LONG status = 0;

	while (handle->first != NULL && count < request->address_count) {
		struct queued *packet = handle->first;
		UINT room = request->packet_bytes - used, take = packet->bytes;

		if (take > room) {
			if (count > 0)
				break;
			take = room;
			/* Becomes ERROR_INSUFFICIENT_BUFFER. */
			status = NT_BUFFER_TOO_SMALL;
		}
		memcpy((char *)request->packet + used, packet->data, take);
		if (request->address != NULL)
			request->address[count] = packet->address;
		used += take;
		count++;
		drop_oldest(handle);
		if (status != 0)
			break;
	}
	if (request->address_bytes != NULL)
		*request->address_bytes = count * (UINT)sizeof(struct divert_address);
	divert_complete(request, status, used);
}

void divert_serve(struct divert_handle *handle)
{
	drop_stale(handle);
	while (handle->reads != NULL && (handle->first != NULL || handle->is_receive_shut)) {
		struct request *request = handle->reads;

		handle->reads = request->next;
		if (handle->first != NULL)
			fill(handle, request);
		else
			divert_complete(request, NT_PIPE_EMPTY, 0);
	}
}

void divert_cancel(struct divert_handle *handle)
{
	while (handle->reads != NULL) {
		struct request *request = handle->reads;

		handle->reads = request->next;
		divert_complete(request, NT_CANCELLED, 0);
	}
	while (handle->first != NULL)
		drop_oldest(handle);
}
