/*
 * A stand-in for WinDivert.dll: the nine calls that are no helpers, with the documented rules of the real ones. Its driver is lab_helper.
 *
 * FLOW and SOCKET events are made when a packet of a new tuple is seen, from the system's own tables.
 *
 * Source: WinDivert 2.2 documentation, sections 5 and 6; sys/windivert.c for what the documentation leaves open (behaviour; no line of it is here).
 */
#include "windivert.h"

#include <string.h>

struct divert_handle *divert_handles;
CRITICAL_SECTION divert_lock;

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH) {
		DisableThreadLibraryCalls(module);
		InitializeCriticalSection(&divert_lock);
	}
	return TRUE;
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

static BOOL fail(DWORD error)
{
	SetLastError(error);
	return FALSE;
}

static DWORD open_handle(struct divert_handle *handle, const char *filter, int layer, INT16 priority, UINT64 flags)
{
	DWORD error;

	handle->magic = HANDLE_LIVE;
	handle->layer = layer;
	handle->flags = flags;
	handle->params[PARAM_QUEUE_LENGTH] = 4096;
	handle->params[PARAM_QUEUE_TIME] = 2000;
	handle->params[PARAM_QUEUE_SIZE] = 4194304;
	handle->offers = handle->injections = INVALID_SOCKET;
	InitializeCriticalSection(&handle->lock);
	InitializeConditionVariable(&handle->sendable);
	error = divert_compile(handle, filter);
	if (error == 0 && layer == LAYER_NETWORK)
		error = divert_connect(handle, priority);
	return error;
}

__declspec(dllexport) HANDLE WINAPI WinDivertOpen(const char *filter, int layer, INT16 priority, UINT64 flags)
{
	struct divert_handle *handle;
	DWORD error;

	if (layer < 0 || layer > LAYER_REFLECT || priority < -30000 || priority > 30000 || !are_flags_good(layer, flags)) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return INVALID_HANDLE_VALUE;
	}
	if (layer == LAYER_FORWARD || layer == LAYER_REFLECT)
		lab_misuse("WinDivertOpen at layer %d, which this stand-in does not have", layer);
	handle = calloc(1, sizeof *handle);
	error = open_handle(handle, filter, layer, priority, flags);
	if (error != 0) {
		if (handle->offers != INVALID_SOCKET)
			closesocket(handle->offers);
		if (handle->injections != INVALID_SOCKET)
			closesocket(handle->injections);
		free(handle);
		SetLastError(error);
		return INVALID_HANDLE_VALUE;
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

/* Makes a request; `own` is what it completes when the program has given no OVERLAPPED. */
static struct request *make_request(OVERLAPPED *overlapped, OVERLAPPED *own, const char *deed)
{
	struct request *request = calloc(1, sizeof *request);

	if (overlapped == NULL) {
		own->hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
		overlapped = own;
	} else if (overlapped->hEvent == NULL) {
		lab_misuse("%s with an OVERLAPPED that has no event", deed);
	}
	request->overlapped = overlapped;
	overlapped->Internal = NT_PENDING;
	overlapped->InternalHigh = 0;
	ResetEvent(overlapped->hEvent);
	return request;
}

/* Waits for an operation that was not overlapped. */
static BOOL wait_for(OVERLAPPED *own, UINT *count)
{
	DWORD transferred = 0;
	BOOL is_done;

	WaitForSingleObject(own->hEvent, INFINITE);
	is_done = GetOverlappedResult(own->hEvent, own, &transferred, FALSE);
	CloseHandle(own->hEvent);
	if (count != NULL)
		*count = transferred;
	return is_done;
}

__declspec(dllexport) BOOL WINAPI WinDivertRecvEx(HANDLE value, void *packet, UINT packet_max, UINT *received, UINT64 flags,
                                                  struct divert_address *address, UINT *address_bytes, OVERLAPPED *overlapped)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertRecvEx");
	struct request *request;
	OVERLAPPED own = { 0 };

	if (flags != 0 || (handle->flags & FLAG_SEND_ONLY) || (address == NULL && address_bytes != NULL))
		return fail(ERROR_INVALID_PARAMETER);
	if (address_bytes != NULL && (*address_bytes == 0 || *address_bytes % sizeof *address != 0 ||
	                              *address_bytes > BATCH_MAX * sizeof *address))
		return fail(ERROR_INVALID_PARAMETER);
	EnterCriticalSection(&handle->lock);
	if (handle->is_receive_shut && handle->first == NULL) {
		LeaveCriticalSection(&handle->lock);
		return fail(ERROR_NO_DATA);
	}
	request = make_request(overlapped, &own, "WinDivertRecvEx");
	request->packet = packet;
	request->packet_bytes = packet == NULL ? 0 : packet_max;
	request->address = address;
	request->address_bytes = address_bytes;
	request->address_count = address_bytes == NULL ? 1 : *address_bytes / (UINT)sizeof *address;
	divert_append(&handle->reads, request);
	divert_serve(handle);
	LeaveCriticalSection(&handle->lock);
	return overlapped == NULL ? wait_for(&own, received) : fail(ERROR_IO_PENDING);
}

__declspec(dllexport) BOOL WINAPI WinDivertRecv(HANDLE value, void *packet, UINT packet_max, UINT *received,
                                                struct divert_address *address)
{
	return WinDivertRecvEx(value, packet, packet_max, received, 0, address, NULL, NULL);
}

__declspec(dllexport) BOOL WINAPI WinDivertSendEx(HANDLE value, const void *packet, UINT bytes, UINT *sent, UINT64 flags,
                                                  const struct divert_address *address, UINT address_bytes, OVERLAPPED *overlapped)
{
	struct divert_handle *handle = must_be_open(value, "WinDivertSendEx");
	struct request *request;
	OVERLAPPED own = { 0 };

	if (flags != 0 || handle->layer != LAYER_NETWORK || (handle->flags & FLAG_RECEIVE_ONLY) || packet == NULL ||
	    address == NULL || address_bytes == 0 || address_bytes % sizeof *address != 0 ||
	    address_bytes > BATCH_MAX * sizeof *address)
		return fail(ERROR_INVALID_PARAMETER);
	EnterCriticalSection(&handle->lock);
	if (handle->is_send_shut) {
		LeaveCriticalSection(&handle->lock);
		return fail(ERROR_NO_DATA);
	}
	request = make_request(overlapped, &own, "WinDivertSendEx");
	request->packet = (void *)packet;
	request->packet_bytes = bytes;
	request->address = (struct divert_address *)address;
	request->address_count = address_bytes / (UINT)sizeof *address;
	request->digest = divert_digest(packet, bytes);
	divert_append(&handle->sends, request);
	WakeConditionVariable(&handle->sendable);
	LeaveCriticalSection(&handle->lock);
	return overlapped == NULL ? wait_for(&own, sent) : fail(ERROR_IO_PENDING);
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

static void join(HANDLE thread)
{
	if (thread == NULL)
		return;
	WaitForSingleObject(thread, INFINITE);
	CloseHandle(thread);
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
	EnterCriticalSection(&handle->lock);
	handle->is_closing = TRUE;
	WakeConditionVariable(&handle->sendable);
	LeaveCriticalSection(&handle->lock);
	join(handle->reader);
	join(handle->sender);
	if (handle->injections != INVALID_SOCKET)
		closesocket(handle->injections);
	if (handle->offers != INVALID_SOCKET)
		closesocket(handle->offers);
	EnterCriticalSection(&handle->lock);
	divert_cancel(handle);
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
