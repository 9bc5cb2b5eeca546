/*
 * A stand-in for wintun.dll: the 14 exports of version 0.14, with the documented rules of the real one. Its driver is lab_helper.
 *
 * Where the real DLL would go on after a mistake of its caller, or crash later, this one ends the program at once and says why.
 * Source: WireGuard/wintun api/wintun.h, api/session.c, README.md (behaviour; no line of it is here).
 */
#include "lab_link.h"
#include "wintun_ring.h"

#include <iphlpapi.h>
#include <stdio.h>
#include <string.h>

#define WINTUN_VERSION 14 /* 0.14: major in the upper half, minor in the lower */
#define READ_BYTES 0x40000
/* What memory is filled with once it is nobody's any more. */
#define POISON 0xDD

enum magic { ADAPTER_LIVE = 0x41444150, SESSION_LIVE = 0x53455353, DEAD = 0x44454144 };

struct session;

struct adapter {
	enum magic magic;
	SOCKET link;
	uint32_t index;
	BOOL is_gone;
	struct session *session;
};

struct session {
	enum magic magic;
	struct adapter *adapter;
	CRITICAL_SECTION lock;
	CONDITION_VARIABLE to_send;
	HANDLE read_event;
	HANDLE threads[2];
	struct ring receive;
	struct ring send;
	/* True when the caller has seen the ring empty since the event was last set. */
	BOOL is_waiting;
	BOOL is_ending;
	BOOL is_gone;
	BOOL is_corrupt;
	/* Calls that are inside right now: ending the session under one of them would free what it uses. */
	LONG callers;
};

typedef void(CALLBACK *logger)(int level, DWORD64 timestamp, LPCWSTR message);
static logger log_callback;

static void say(int level, const WCHAR *message)
{
	FILETIME now;

	if (log_callback == NULL)
		return;
	GetSystemTimeAsFileTime(&now);
	log_callback(level, ((DWORD64)now.dwHighDateTime << 32) | now.dwLowDateTime, message);
}

static struct session *enter(struct session *session, const char *deed)
{
	if (session == NULL)
		lab_misuse("%s without a session", deed);
	if (session->magic != SESSION_LIVE)
		lab_misuse("%s after WintunEndSession", deed);
	InterlockedIncrement(&session->callers);
	EnterCriticalSection(&session->lock);
	return session;
}

static void leave(struct session *session)
{
	LeaveCriticalSection(&session->lock);
	InterlockedDecrement(&session->callers);
}

static struct adapter *must_be_open(struct adapter *adapter, const char *deed)
{
	if (adapter == NULL)
		lab_misuse("%s without an adapter", deed);
	if (adapter->magic != ADAPTER_LIVE)
		lab_misuse("%s after WintunCloseAdapter", deed);
	return adapter;
}

static struct adapter *open_adapter(enum lab_type type, LPCWSTR name, const GUID *guid)
{
	struct lab_tun_create wanted = { 0 };
	struct adapter *adapter;
	DWORD error;

	if (name == NULL || WideCharToMultiByte(CP_UTF8, 0, name, -1, wanted.name, LAB_NAME_MAX, NULL, NULL) <= 1) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return NULL;
	}
	if (guid != NULL)
		memcpy(wanted.guid, guid, sizeof wanted.guid);
	adapter = calloc(1, sizeof *adapter);
	if (adapter == NULL)
		return NULL;
	adapter->link = lab_connect(LAB_ROLE_WINTUN);
	if (adapter->link == INVALID_SOCKET) {
		free(adapter);
		return NULL;
	}
	error = lab_ask(adapter->link, type, &wanted, sizeof wanted, &adapter->index, sizeof adapter->index, NULL, NULL);
	if (error != 0) {
		closesocket(adapter->link);
		free(adapter);
		say(2, L"Failed to open the adapter");
		SetLastError(error);
		return NULL;
	}
	adapter->magic = ADAPTER_LIVE;
	say(0, L"The adapter is open");
	return adapter;
}

__declspec(dllexport) void *WINAPI WintunCreateAdapter(LPCWSTR name, LPCWSTR type, const GUID *guid)
{
	if (type == NULL) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return NULL;
	}
	return open_adapter(LAB_TUN_CREATE, name, guid);
}

__declspec(dllexport) void *WINAPI WintunOpenAdapter(LPCWSTR name)
{
	return open_adapter(LAB_TUN_OPEN, name, NULL);
}

__declspec(dllexport) void WINAPI WintunCloseAdapter(struct adapter *adapter)
{
	must_be_open(adapter, "WintunCloseAdapter");
	if (adapter->session != NULL)
		lab_misuse("WintunCloseAdapter before WintunEndSession");
	/* Its memory stays, so that later calls are recognised. */
	adapter->magic = DEAD;
	closesocket(adapter->link);
}

__declspec(dllexport) BOOL WINAPI WintunDeleteDriver(void)
{
	return TRUE;
}

__declspec(dllexport) void WINAPI WintunGetAdapterLUID(struct adapter *adapter, NET_LUID *luid)
{
	must_be_open(adapter, "WintunGetAdapterLUID");
	luid->Value = 0;
	if (ConvertInterfaceIndexToLuid(adapter->index, luid) != NO_ERROR)
		fprintf(stderr, "weir stand-in: interface %u has no LUID\n", adapter->index);
}

__declspec(dllexport) DWORD WINAPI WintunGetRunningDriverVersion(void)
{
	SOCKET link = lab_connect(LAB_ROLE_WINTUN);
	uint32_t count = 0;

	if (link != INVALID_SOCKET) {
		lab_ask(link, LAB_TUN_VERSION, NULL, 0, &count, sizeof count, NULL, NULL);
		closesocket(link);
	}
	if (count > 0)
		return WINTUN_VERSION;
	SetLastError(ERROR_FILE_NOT_FOUND);
	return 0;
}

__declspec(dllexport) void WINAPI WintunSetLogger(logger callback)
{
	log_callback = callback;
}

/* Puts what the driver sent into the receive ring, or drops it when there is no room, as the driver does. */
static void take_packet(struct session *session, const uint8_t *packet, uint32_t size)
{
	struct ring *ring = &session->receive;

	if (!ring_has_room(ring, ring->tail, ring_span(size)))
		return;
	*ring_size(ring, ring->tail) = size;
	memcpy(ring->data + ring->tail + 4, packet, size);
	ring->tail = ring_next(ring, ring->tail);
}

/* Handles one frame; FALSE when it was the answer to LAB_TUN_END. */
static BOOL take_frame(struct session *session, const struct lab_frame *head, const uint8_t *body)
{
	switch (head->type) {
	case LAB_TUN_PACKET:
		take_packet(session, body, head->bytes);
		return TRUE;
	case LAB_TUN_GONE:
		session->is_gone = session->adapter->is_gone = TRUE;
		return TRUE;
	case LAB_TUN_CORRUPT:
		session->is_corrupt = TRUE;
		return TRUE;
	default:
		return FALSE;
	}
}

static DWORD WINAPI read_link(void *context)
{
	struct session *session = context;
	uint8_t *buffer = malloc(READ_BYTES);
	uint32_t held = 0;
	BOOL goes_on = buffer != NULL;

	while (goes_on) {
		uint32_t at = 0;
		BOOL wakes;
		int got = recv(session->adapter->link, (char *)buffer + held, (int)(READ_BYTES - held), 0);

		EnterCriticalSection(&session->lock);
		if (got <= 0) {
			session->is_gone = session->adapter->is_gone = TRUE;
			goes_on = FALSE;
		} else {
			held += (uint32_t)got;
		}
		while (goes_on && held - at >= sizeof(struct lab_frame)) {
			struct lab_frame head;

			memcpy(&head, buffer + at, sizeof head);
			if (held - at < sizeof head + head.bytes)
				break;
			goes_on = take_frame(session, &head, buffer + at + sizeof head);
			at += (uint32_t)sizeof head + head.bytes;
		}
		wakes = session->is_waiting || session->is_gone || session->is_corrupt;
		session->is_waiting = FALSE;
		if (session->is_gone)
			WakeConditionVariable(&session->to_send);
		LeaveCriticalSection(&session->lock);
		memmove(buffer, buffer + at, held - at);
		held -= at;
		if (wakes)
			SetEvent(session->read_event);
	}
	free(buffer);
	return 0;
}

/* Copies frames out of the send ring into `buffer`. */
static uint32_t drain_send_ring(struct session *session, uint8_t *buffer)
{
	struct ring *ring = &session->send;
	uint32_t filled = 0;

	while (ring->head != ring->tail) {
		struct lab_frame head = { *ring_size(ring, ring->head), LAB_TUN_PACKET, 0 };

		if (filled + sizeof head + head.bytes > READ_BYTES)
			break;
		memcpy(buffer + filled, &head, sizeof head);
		memcpy(buffer + filled + sizeof head, ring->data + ring->head + 4, head.bytes);
		filled += (uint32_t)sizeof head + head.bytes;
		memset(ring->data + ring->head + 4, POISON, head.bytes);
		ring->head = ring_next(ring, ring->head);
	}
	return filled;
}

static DWORD WINAPI write_link(void *context)
{
	struct session *session = context;
	uint8_t *buffer = malloc(READ_BYTES);
	BOOL goes_on = buffer != NULL;

	while (goes_on) {
		uint32_t filled;

		EnterCriticalSection(&session->lock);
		while (session->send.head == session->send.tail && !session->is_ending && !session->is_gone)
			SleepConditionVariableCS(&session->to_send, &session->lock, INFINITE);
		filled = session->is_gone ? 0 : drain_send_ring(session, buffer);
		LeaveCriticalSection(&session->lock);
		goes_on = filled > 0 && lab_send(session->adapter->link, buffer, filled);
	}
	free(buffer);
	return 0;
}

static void note_early_frame(void *context, const struct lab_frame *head)
{
	struct adapter *adapter = context;

	if (head->type == LAB_TUN_GONE)
		adapter->is_gone = TRUE;
}

__declspec(dllexport) void *WINAPI WintunStartSession(struct adapter *adapter, DWORD capacity)
{
	struct session *session;
	DWORD error;

	must_be_open(adapter, "WintunStartSession");
	if (adapter->session != NULL) {
		SetLastError(ERROR_ALREADY_INITIALIZED);
		return NULL;
	}
	error = lab_ask(adapter->link, LAB_TUN_START, &capacity, sizeof capacity, NULL, 0, note_early_frame, adapter);
	if (error != 0) {
		SetLastError(error);
		return NULL;
	}
	session = calloc(1, sizeof *session);
	if (session == NULL || !ring_make(&session->receive, capacity) || !ring_make(&session->send, capacity)) {
		SetLastError(ERROR_NOT_ENOUGH_MEMORY);
		return NULL;
	}
	session->magic = SESSION_LIVE;
	session->adapter = adapter;
	session->is_gone = adapter->is_gone;
	InitializeCriticalSection(&session->lock);
	InitializeConditionVariable(&session->to_send);
	session->read_event = CreateEventW(NULL, FALSE, FALSE, NULL);
	adapter->session = session;
	session->threads[0] = CreateThread(NULL, 0, read_link, session, 0, NULL);
	session->threads[1] = CreateThread(NULL, 0, write_link, session, 0, NULL);
	return session;
}

__declspec(dllexport) void WINAPI WintunEndSession(struct session *session)
{
	enter(session, "WintunEndSession");
	session->is_ending = TRUE;
	WakeConditionVariable(&session->to_send);
	leave(session);
	if (session->callers != 0)
		lab_misuse("WintunEndSession while another thread is inside the session");
	WaitForSingleObject(session->threads[1], INFINITE);
	/* The answer ends the reading thread; without a connection it has ended already. */
	lab_send_frame(session->adapter->link, LAB_TUN_END, NULL, 0);
	WaitForSingleObject(session->threads[0], INFINITE);
	session->magic = DEAD;
	session->adapter->session = NULL;
	CloseHandle(session->threads[0]);
	CloseHandle(session->threads[1]);
	CloseHandle(session->read_event);
	DeleteCriticalSection(&session->lock);
	VirtualFree(session->receive.data, 0, MEM_RELEASE);
	VirtualFree(session->send.data, 0, MEM_RELEASE);
}

__declspec(dllexport) HANDLE WINAPI WintunGetReadWaitEvent(struct session *session)
{
	HANDLE event = enter(session, "WintunGetReadWaitEvent")->read_event;

	leave(session);
	return event;
}

__declspec(dllexport) BYTE *WINAPI WintunReceivePacket(struct session *session, DWORD *size)
{
	struct ring *ring = &enter(session, "WintunReceivePacket")->receive;
	DWORD error = ERROR_SUCCESS;
	BYTE *packet = NULL;

	if (session->is_gone) {
		error = ERROR_HANDLE_EOF;
	} else if (session->is_corrupt) {
		error = ERROR_INVALID_DATA;
	} else if (ring->cursor == ring->tail) {
		session->is_waiting = TRUE;
		error = ERROR_NO_MORE_ITEMS;
	} else {
		*size = *ring_size(ring, ring->cursor);
		packet = ring->data + ring->cursor + 4;
		ring->cursor = ring_next(ring, ring->cursor);
	}
	/* A gone adapter leaves the event set, so that no waiter sleeps on. */
	if (session->is_gone)
		SetEvent(session->read_event);
	leave(session);
	SetLastError(error);
	return packet;
}

__declspec(dllexport) void WINAPI WintunReleaseReceivePacket(struct session *session, const BYTE *packet)
{
	struct ring *ring = &enter(session, "WintunReleaseReceivePacket")->receive;
	uint32_t at = ring_find(ring, packet, ring->head, ring->cursor);
	uint32_t *size;

	if (at == UINT32_MAX)
		lab_misuse("WintunReleaseReceivePacket of a packet that is not out: released already, or never received");
	size = ring_size(ring, at);
	if (*size & RING_DONE)
		lab_misuse("WintunReleaseReceivePacket of the same packet twice");
	memset(ring->data + at + 4, POISON, *size);
	*size |= RING_DONE;
	/* The driver gets its room back only in order. */
	while (ring->head != ring->cursor && (*ring_size(ring, ring->head) & RING_DONE))
		ring->head = ring_next(ring, ring->head);
	leave(session);
}

__declspec(dllexport) BYTE *WINAPI WintunAllocateSendPacket(struct session *session, DWORD size)
{
	struct ring *ring = &enter(session, "WintunAllocateSendPacket")->send;
	DWORD error = ERROR_SUCCESS;
	BYTE *packet = NULL;

	if (size == 0 || size > RING_PACKET_MAX)
		lab_misuse("WintunAllocateSendPacket of %lu bytes: 1 to 65535 are allowed", size);
	if (session->is_gone) {
		error = ERROR_HANDLE_EOF;
	} else if (!ring_has_room(ring, ring->cursor, ring_span(size))) {
		error = ERROR_BUFFER_OVERFLOW;
	} else {
		packet = ring->data + ring->cursor + 4;
		*ring_size(ring, ring->cursor) = size;
		ring->cursor = ring_next(ring, ring->cursor);
		/* Nobody may rely on what was there. */
		memset(packet, POISON, size);
	}
	leave(session);
	SetLastError(error);
	return packet;
}

__declspec(dllexport) void WINAPI WintunSendPacket(struct session *session, const BYTE *packet)
{
	struct ring *ring = &enter(session, "WintunSendPacket")->send;
	uint32_t at = ring_find(ring, packet, ring->tail, ring->cursor);

	if (at == UINT32_MAX)
		lab_misuse("WintunSendPacket of a packet that is not allocated, or was sent already");
	if (*ring_size(ring, at) & RING_DONE)
		lab_misuse("WintunSendPacket of the same packet twice");
	*ring_size(ring, at) |= RING_DONE;
	/* Packets leave in the order of their allocation. */
	while (ring->tail != ring->cursor && (*ring_size(ring, ring->tail) & RING_DONE)) {
		uint32_t next = ring_next(ring, ring->tail);

		*ring_size(ring, ring->tail) &= ~RING_DONE;
		ring->tail = next;
	}
	WakeConditionVariable(&session->to_send);
	leave(session);
}
