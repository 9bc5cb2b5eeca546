/*
 * A stand-in for WinDivert.dll: the nine calls that are no helpers, with the documented rules of the real ones. Its driver is lab_helper.
 *
 * Whether a filter matches is asked of the real WinDivert64.dll, if it lies beside this one: its helpers need no driver. Otherwise every packet
 * matches. FLOW and SOCKET events are made when a packet of a new tuple is seen, from the system's own tables.
 *
 * Source: WinDivert 2.2 documentation, sections 5 and 6; sys/windivert.c for what the documentation leaves open (behaviour; no line of it is here).
 */
#include "windivert.h"

#include <stdio.h>
#include <string.h>

struct divert_handle *divert_handles;
CRITICAL_SECTION divert_lock;

#define READ_BYTES 0x40000

typedef BOOL(WINAPI *eval_filter)(const char *filter, const void *packet, UINT length, const struct divert_address *address);
typedef BOOL(WINAPI *compile_filter)(const char *filter, int layer, char *object, UINT length, const char **error, UINT *position);
static eval_filter real_eval;
static compile_filter real_compile;

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH) {
		DisableThreadLibraryCalls(module);
		InitializeCriticalSection(&divert_lock);
	}
	return TRUE;
}

static void load_real(void)
{
	HMODULE self, real;
	char path[MAX_PATH];
	char *slash;

	if (real_eval != NULL)
		return;
	GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, (char *)load_real,
	                   &self);
	GetModuleFileNameA(self, path, sizeof path - 32);
	slash = strrchr(path, '\\');
	strcpy(slash == NULL ? path : slash + 1, "WinDivert64.dll");
	real = LoadLibraryA(path);
	if (real == NULL)
		return;
	real_compile = (compile_filter)(void *)GetProcAddress(real, "WinDivertHelperCompileFilter");
	real_eval = (eval_filter)(void *)GetProcAddress(real, "WinDivertHelperEvalFilter");
}

static LONG64 now_ticks(void)
{
	LARGE_INTEGER now;

	QueryPerformanceCounter(&now);
	return now.QuadPart;
}

/* Completes a request; the caller holds the handle's lock. Codes are those of NT, for GetOverlappedResult translates them. */
static void complete(struct request *request, LONG status, UINT bytes)
{
	OVERLAPPED *overlapped = request->overlapped;
	HANDLE event = overlapped->hEvent;

	overlapped->InternalHigh = bytes;
	__atomic_store_n(&overlapped->Internal, (ULONG_PTR)(ULONG)status, __ATOMIC_RELEASE);
	if (event != NULL)
		SetEvent(event);
	free(request);
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

/* Fills one request with as many packets as its places hold, in order; none is split. */
static void fill(struct divert_handle *handle, struct request *request)
{
	UINT count = 0, used = 0;
	LONG status = 0;

	while (handle->first != NULL && count < request->address_max) {
		struct queued *packet = handle->first;
		UINT room = request->packet_max - used, take = packet->bytes;

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
	if (request->received != NULL)
		*request->received = used;
	if (request->address_bytes != NULL)
		*request->address_bytes = count * (UINT)sizeof(struct divert_address);
	complete(request, status, used);
}

/* Serves requests in the order in which they came. */
void divert_serve(struct divert_handle *handle)
{
	drop_stale(handle);
	while (handle->requests != NULL && (handle->first != NULL || handle->is_receive_shut)) {
		struct request *request = handle->requests;

		handle->requests = request->next;
		if (handle->first != NULL)
			fill(handle, request);
		else
			complete(request, NT_PIPE_EMPTY, 0);
	}
}

/* Puts a packet or an event at the end of a handle's queue; a full queue loses its oldest. */
void divert_enqueue(struct divert_handle *handle, const struct divert_address *address, const void *data, UINT bytes)
{
	struct queued *packet = malloc(sizeof *packet + bytes);

	packet->next = NULL;
	packet->came = GetTickCount64();
	packet->address = *address;
	packet->bytes = bytes;
	memcpy(packet->data, data, bytes);
	EnterCriticalSection(&handle->lock);
	if (handle->is_receive_shut) {
		free(packet);
	} else {
		while (handle->first != NULL && (handle->queue_count >= handle->params[PARAM_QUEUE_LENGTH] ||
		                                 handle->queue_bytes + bytes > handle->params[PARAM_QUEUE_SIZE]))
			drop_oldest(handle);
		if (handle->last == NULL)
			handle->first = packet;
		else
			handle->last->next = packet;
		handle->last = packet;
		handle->queue_count++;
		handle->queue_bytes += bytes;
		divert_serve(handle);
	}
	LeaveCriticalSection(&handle->lock);
}

BOOL divert_matches(const struct divert_handle *handle, const void *packet, UINT bytes, const struct divert_address *address)
{
	return real_eval == NULL || real_eval(handle->filter, packet, bytes, address);
}

/* The address of a packet as the driver would give it. */
static void describe(const struct lab_divert_packet *head, const uint8_t *packet, struct divert_address *address)
{
	uint8_t protocol = packet[0] >> 4 == 6 ? packet[6] : packet[9];

	memset(address, 0, sizeof *address);
	address->timestamp = now_ticks();
	address->bits = (head->is_outbound ? ADDRESS_OUTBOUND : 0) | (packet[0] >> 4 == 6 ? ADDRESS_IPV6 : 0) | ADDRESS_IP_CHECKSUM |
	                (protocol == 6 ? ADDRESS_TCP_CHECKSUM : 0) | (protocol == 17 ? ADDRESS_UDP_CHECKSUM : 0) |
	                (head->is_impostor ? ADDRESS_IMPOSTOR : 0);
	address->network.index = head->index;
}

/* Handles one offer: FALSE when the connection is gone. */
static BOOL take_offer(struct divert_handle *handle, const struct lab_divert_packet *head, const uint8_t *packet)
{
	struct divert_address address;
	BOOL matches, sniffs = (handle->flags & FLAG_SNIFF) != 0;

	describe(head, packet, &address);
	if (sniffs)
		address.bits |= ADDRESS_SNIFFED;
	matches = divert_matches(handle, packet, head->bytes, &address);
	if (!lab_send_frame(handle->offers, matches && !sniffs ? LAB_DIVERT_TAKE : LAB_DIVERT_PASS, &head->id, sizeof head->id))
		return FALSE;
	if (!matches)
		return TRUE;
	divert_tell_events(packet, head->bytes, head->is_outbound);
	if (!(handle->flags & (FLAG_DROP | FLAG_SEND_ONLY)))
		divert_enqueue(handle, &address, packet, head->bytes);
	return TRUE;
}

static DWORD WINAPI read_offers(void *context)
{
	struct divert_handle *handle = context;
	uint8_t *buffer = malloc(READ_BYTES);
	UINT held = 0;
	BOOL goes_on = buffer != NULL;

	while (goes_on) {
		UINT at = 0;
		int got = recv(handle->offers, (char *)buffer + held, (int)(READ_BYTES - held), 0);

		if (got <= 0)
			break;
		held += (UINT)got;
		while (goes_on && held - at >= sizeof(struct lab_frame)) {
			struct lab_divert_packet head;
			struct lab_frame frame;

			memcpy(&frame, buffer + at, sizeof frame);
			if (frame.bytes < sizeof head || frame.bytes > sizeof head + PACKET_BYTES_MAX) {
				goes_on = FALSE;
				break;
			}
			if (held - at < sizeof frame + frame.bytes)
				break;
			memcpy(&head, buffer + at + sizeof frame, sizeof head);
			goes_on = take_offer(handle, &head, buffer + at + sizeof frame + sizeof head);
			at += (UINT)sizeof frame + frame.bytes;
		}
		memmove(buffer, buffer + at, held - at);
		held -= at;
	}
	free(buffer);
	return 0;
}

static BOOL are_flags_good(int layer, UINT64 flags)
{
	if ((flags & ~0x3FULL) != 0 || ((flags & FLAG_SNIFF) && (flags & FLAG_DROP)) ||
	    ((flags & FLAG_RECEIVE_ONLY) && (flags & FLAG_SEND_ONLY)))
		return FALSE;
	if (layer == LAYER_FLOW || layer == LAYER_REFLECT)
		return (flags & FLAG_SNIFF) && (flags & FLAG_RECEIVE_ONLY);
	return layer != LAYER_SOCKET || (flags & FLAG_RECEIVE_ONLY);
}

static HANDLE fail_open(DWORD error)
{
	SetLastError(error);
	return INVALID_HANDLE_VALUE;
}

static DWORD connect_handle(struct divert_handle *handle, INT16 priority)
{
	int32_t wide = priority;
	int64_t rank = 0;
	DWORD error;

	handle->offers = lab_connect(LAB_ROLE_DIVERT);
	handle->injections = lab_connect(LAB_ROLE_DIVERT);
	if (handle->offers == INVALID_SOCKET || handle->injections == INVALID_SOCKET)
		return ERROR_FILE_NOT_FOUND;
	error = lab_ask(handle->offers, LAB_DIVERT_OPEN, &wide, sizeof wide, &rank, sizeof rank, NULL, NULL);
	if (error == 0 && !lab_send_frame(handle->injections, LAB_DIVERT_RANK, &rank, sizeof rank))
		error = ERROR_FILE_NOT_FOUND;
	if (error == 0)
		handle->reader = CreateThread(NULL, 0, read_offers, handle, 0, NULL);
	return error;
}

__declspec(dllexport) HANDLE WINAPI WinDivertOpen(const char *filter, int layer, INT16 priority, UINT64 flags)
{
	struct divert_handle *handle;
	DWORD error = 0;

	load_real();
	if (filter == NULL || layer < 0 || layer > LAYER_REFLECT || priority < -30000 || priority > 30000 ||
	    !are_flags_good(layer, flags) || strlen(filter) >= sizeof handle->filter)
		return fail_open(ERROR_INVALID_PARAMETER);
	if (real_compile != NULL && !real_compile(filter, layer, NULL, 0, NULL, NULL))
		return fail_open(ERROR_INVALID_PARAMETER);
	if (layer == LAYER_FORWARD || layer == LAYER_REFLECT)
		lab_misuse("WinDivertOpen at layer %d, which this stand-in does not have", layer);
	handle = calloc(1, sizeof *handle);
	handle->magic = HANDLE_LIVE;
	handle->layer = layer;
	handle->flags = flags;
	strcpy(handle->filter, filter);
	handle->params[PARAM_QUEUE_LENGTH] = 4096;
	handle->params[PARAM_QUEUE_TIME] = 2000;
	handle->params[PARAM_QUEUE_SIZE] = 4194304;
	InitializeCriticalSection(&handle->lock);
	InitializeCriticalSection(&handle->sending);
	handle->offers = handle->injections = INVALID_SOCKET;
	if (layer == LAYER_NETWORK)
		error = connect_handle(handle, priority);
	if (error != 0) {
		free(handle);
		return fail_open(error);
	}
	EnterCriticalSection(&divert_lock);
	handle->next = divert_handles;
	divert_handles = handle;
	LeaveCriticalSection(&divert_lock);
	return (HANDLE)handle;
}

static struct divert_handle *must_be_open(HANDLE value, const char *deed)
{
	struct divert_handle *handle = value;

	if (handle == NULL || value == INVALID_HANDLE_VALUE)
		lab_misuse("%s without a handle", deed);
	if (handle->magic != HANDLE_LIVE)
		lab_misuse("%s after WinDivertClose", deed);
	return handle;
}

static BOOL fail(DWORD error)
{
	SetLastError(error);
	return FALSE;
}

__declspec(dllexport) BOOL WINAPI WinDivertRecvEx(HANDLE value, void *packet, UINT packet_max, UINT *received, UINT64 flags,
                                                  struct divert_address *address, UINT *address_bytes, OVERLAPPED *overlapped)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertRecvEx");
	struct request *request, **end;
	OVERLAPPED own = { 0 };
	DWORD transferred;
	BOOL is_done;

	if (flags != 0 || (handle->flags & FLAG_SEND_ONLY))
		return fail(ERROR_INVALID_PARAMETER);
	if (address_bytes != NULL && (*address_bytes == 0 || *address_bytes % sizeof *address != 0 ||
	                              *address_bytes > 255 * sizeof *address))
		return fail(ERROR_INVALID_PARAMETER);
	if (overlapped == NULL) {
		own.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
		overlapped = &own;
	} else if (overlapped->hEvent == NULL) {
		lab_misuse("WinDivertRecvEx with an OVERLAPPED that has no event");
	}
	request = calloc(1, sizeof *request);
	request->overlapped = overlapped;
	request->packet = packet;
	request->packet_max = packet == NULL ? 0 : packet_max;
	request->received = received;
	request->address = address;
	request->address_bytes = address_bytes;
	request->address_max = address_bytes == NULL ? 1 : *address_bytes / (UINT)sizeof *address;
	overlapped->Internal = NT_PENDING;
	overlapped->InternalHigh = 0;
	ResetEvent(overlapped->hEvent);
	EnterCriticalSection(&handle->lock);
	for (end = &handle->requests; *end != NULL; end = &(*end)->next)
		continue;
	*end = request;
	divert_serve(handle);
	LeaveCriticalSection(&handle->lock);
	if (overlapped != &own)
		return fail(ERROR_IO_PENDING);
	WaitForSingleObject(own.hEvent, INFINITE);
	is_done = GetOverlappedResult((HANDLE)handle, &own, &transferred, FALSE);
	CloseHandle(own.hEvent);
	return is_done;
}

__declspec(dllexport) BOOL WINAPI WinDivertRecv(HANDLE value, void *packet, UINT packet_max, UINT *received,
                                                struct divert_address *address)
{
	return WinDivertRecvEx(value, packet, packet_max, received, 0, address, NULL, NULL);
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

/* Writes one packet as a frame for the driver; its error as the driver would say it. `used` grows by what was written. */
static DWORD write_frame(uint8_t *to, UINT *used, const uint8_t *packet, UINT bytes, const struct divert_address *address)
{
	struct lab_divert_packet head = { .bytes = bytes, .index = address->network.index };
	struct lab_frame frame = { (uint32_t)sizeof head + bytes, LAB_DIVERT_INJECT, 0 };
	uint8_t *copy = to + *used + sizeof frame + sizeof head;

	head.is_outbound = (address->bits & ADDRESS_OUTBOUND) != 0;
	memcpy(copy, packet, bytes);
	if ((address->bits & ADDRESS_IMPOSTOR) && !divert_age(copy))
		return ERROR_HOST_UNREACHABLE;
	divert_checksums(copy, bytes, address->bits);
	memcpy(to + *used, &frame, sizeof frame);
	memcpy(to + *used + sizeof frame, &head, sizeof head);
	*used += (UINT)(sizeof frame + sizeof head) + bytes;
	return 0;
}

__declspec(dllexport) BOOL WINAPI WinDivertSendEx(HANDLE value, const void *packet, UINT bytes, UINT *sent, UINT64 flags,
                                                  const struct divert_address *address, UINT address_bytes, OVERLAPPED *overlapped)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertSendEx");
	UINT count = address_bytes / (UINT)sizeof *address, at = 0, used = 0;
	DWORD error = 0;
	uint8_t *frames;

	if (flags != 0 || handle->layer != LAYER_NETWORK || (handle->flags & FLAG_RECEIVE_ONLY) || address == NULL || count == 0 ||
	    count > 255 || address_bytes % sizeof *address != 0)
		return fail(ERROR_INVALID_PARAMETER);
	if (handle->is_send_shut)
		return fail(ERROR_NO_DATA);
	frames = malloc(bytes + count * (sizeof(struct lab_frame) + sizeof(struct lab_divert_packet)));
	for (UINT index = 0; index < count; index++) {
		UINT length = packet_length((const uint8_t *)packet + at, bytes - at);
		DWORD soft;

		if (length == 0 || address[index].layer != LAYER_NETWORK || address[index].event != 0) {
			error = ERROR_INVALID_PARAMETER;
			break;
		}
		soft = write_frame(frames, &used, (const uint8_t *)packet + at, length, &address[index]);
		if (soft != 0)
			error = soft;
		at += length;
	}
	EnterCriticalSection(&handle->sending);
	if (!lab_send(handle->injections, frames, used))
		error = ERROR_GEN_FAILURE;
	LeaveCriticalSection(&handle->sending);
	free(frames);
	if (sent != NULL)
		*sent = at;
	if (error != 0)
		return fail(error);
	if (overlapped == NULL)
		return TRUE;
	overlapped->InternalHigh = at;
	overlapped->Internal = 0;
	SetEvent(overlapped->hEvent);
	return fail(ERROR_IO_PENDING);
}

__declspec(dllexport) BOOL WINAPI WinDivertSend(HANDLE value, const void *packet, UINT bytes, UINT *sent,
                                                const struct divert_address *address)
{
	return WinDivertSendEx(value, packet, bytes, sent, 0, address, sizeof *address, NULL);
}

__declspec(dllexport) BOOL WINAPI WinDivertShutdown(HANDLE value, int how)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertShutdown");

	if (how < SHUTDOWN_RECEIVE || how > SHUTDOWN_BOTH)
		return fail(ERROR_INVALID_PARAMETER);
	EnterCriticalSection(&handle->lock);
	if (how & SHUTDOWN_RECEIVE)
		handle->is_receive_shut = TRUE;
	if (how & SHUTDOWN_SEND)
		handle->is_send_shut = TRUE;
	divert_serve(handle);
	LeaveCriticalSection(&handle->lock);
	/* New packets go past a handle that receives no more. */
	if ((how & SHUTDOWN_RECEIVE) && handle->offers != INVALID_SOCKET)
		shutdown(handle->offers, SD_BOTH);
	return TRUE;
}

__declspec(dllexport) BOOL WINAPI WinDivertClose(HANDLE value)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertClose");

	EnterCriticalSection(&divert_lock);
	for (struct divert_handle **at = &divert_handles; *at != NULL; at = &(*at)->next)
		if (*at == handle) {
			*at = handle->next;
			break;
		}
	LeaveCriticalSection(&divert_lock);
	WinDivertShutdown(value, SHUTDOWN_BOTH);
	if (handle->reader != NULL) {
		WaitForSingleObject(handle->reader, INFINITE);
		CloseHandle(handle->reader);
	}
	if (handle->injections != INVALID_SOCKET)
		closesocket(handle->injections);
	if (handle->offers != INVALID_SOCKET)
		closesocket(handle->offers);
	EnterCriticalSection(&handle->lock);
	while (handle->requests != NULL) {
		struct request *request = handle->requests;

		handle->requests = request->next;
		complete(request, NT_CANCELLED, 0);
	}
	while (handle->first != NULL)
		drop_oldest(handle);
	/* Its memory stays, so that later calls are recognised. */
	handle->magic = HANDLE_DEAD;
	LeaveCriticalSection(&handle->lock);
	return TRUE;
}

__declspec(dllexport) BOOL WINAPI WinDivertSetParam(HANDLE value, int param, UINT64 number)
{
	static const UINT64 least[] = { 32, 100, 65535 }, most[] = { 16384, 16000, 33554432 };
	struct divert_handle *handle = must_be_open(value, "WinDivertSetParam");

	if (param < 0 || param > PARAM_QUEUE_SIZE || number < least[param] || number > most[param])
		return fail(ERROR_INVALID_PARAMETER);
	EnterCriticalSection(&handle->lock);
	handle->params[param] = number;
	LeaveCriticalSection(&handle->lock);
	return TRUE;
}

__declspec(dllexport) BOOL WINAPI WinDivertGetParam(HANDLE value, int param, UINT64 *number)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertGetParam");

	if (param < 0 || param > PARAM_VERSION_MINOR)
		return fail(ERROR_INVALID_PARAMETER);
	*number = param == PARAM_VERSION_MAJOR ? 2 : param == PARAM_VERSION_MINOR ? 2 : handle->params[param];
	return TRUE;
}
