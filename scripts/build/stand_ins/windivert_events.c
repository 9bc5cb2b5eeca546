/* FLOW and SOCKET events: the lab's kernel has none, so that they are made when the first packet of a tuple leaves. */
#include "windivert.h"

#include <iphlpapi.h>
#include <string.h>

/* Tuples share a row of places: two of one place would push each other out with every packet. */
#define ROWS 8192
#define PLACES 8

/* Tuples that were told, the newest of each row, under divert_lock; one that was pushed out is told again. */
struct seen {
	uint64_t hash;
	/* The sequence number of its SYN. */
	uint32_t begin;
};
static struct seen seen[ROWS][PLACES];

static uint64_t hash_of(const struct divert_address *address)
{
	const uint8_t *bytes = (const uint8_t *)address->flow.local;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (UINT at = 0; at < 37; at++)
		hash = (hash ^ bytes[at]) * 0x100000001b3ull;
	return hash | 1;
}

/* The table of sockets of one kind; the caller frees it. */
static void *read_table(BOOL is_tcp, ULONG family)
{
	DWORD bytes = 65536, error;
	void *table = NULL;

	do {
		free(table);
		table = malloc(bytes);
		error = is_tcp ? GetExtendedTcpTable(table, &bytes, FALSE, family, TCP_TABLE_OWNER_PID_ALL, 0)
		               : GetExtendedUdpTable(table, &bytes, FALSE, family, UDP_TABLE_OWNER_PID, 0);
	} while (error == ERROR_INSUFFICIENT_BUFFER);
	if (error == NO_ERROR)
		return table;
	free(table);
	return NULL;
}

static UINT port_of(DWORD field)
{
	return ntohs((u_short)field);
}

/* Who a socket of no Windows program belongs to: the lab's Linux programs are to Windows what the system itself is. */
#define SYSTEM_PROCESS 4

/* The table of that kind as it is in hand; Wine needs long to make one. */
static const void *table_of(struct divert_tables *tables, BOOL is_tcp, BOOL is_v6)
{
	void **place = &tables->tables[is_tcp][is_v6];

	if (*place == NULL)
		*place = read_table(is_tcp, is_v6 ? AF_INET6 : AF_INET);
	return *place;
}

/* The process with that local port, by the table of that family; 0 when no socket has it. */
static DWORD find_process(struct divert_tables *tables, BOOL is_tcp, BOOL is_v6, UINT port)
{
	const void *table = table_of(tables, is_tcp, is_v6);
	DWORD process = 0, count = table == NULL ? 0 : *(const DWORD *)table;

	for (DWORD row = 0; row < count && (process == 0 || process == SYSTEM_PROCESS); row++) {
		DWORD field, owner;

		if (is_tcp && !is_v6) {
			field = ((const MIB_TCPTABLE_OWNER_PID *)table)->table[row].dwLocalPort;
			owner = ((const MIB_TCPTABLE_OWNER_PID *)table)->table[row].dwOwningPid;
		} else if (is_tcp) {
			field = ((const MIB_TCP6TABLE_OWNER_PID *)table)->table[row].dwLocalPort;
			owner = ((const MIB_TCP6TABLE_OWNER_PID *)table)->table[row].dwOwningPid;
		} else if (!is_v6) {
			field = ((const MIB_UDPTABLE_OWNER_PID *)table)->table[row].dwLocalPort;
			owner = ((const MIB_UDPTABLE_OWNER_PID *)table)->table[row].dwOwningPid;
		} else {
			field = ((const MIB_UDP6TABLE_OWNER_PID *)table)->table[row].dwLocalPort;
			owner = ((const MIB_UDP6TABLE_OWNER_PID *)table)->table[row].dwOwningPid;
		}
		if (port_of(field) == port)
			process = owner == 0 ? SYSTEM_PROCESS : owner;
	}
	return process;
}

void divert_forget_tables(struct divert_tables *tables)
{
	for (int at = 0; at < 4; at++) {
		free(tables->tables[at / 2][at % 2]);
		tables->tables[at / 2][at % 2] = NULL;
	}
}

/* Host order, the least significant word first; IPv4 as ::ffff:a.b.c.d. */
static void give_address(const uint8_t *from, BOOL is_v6, uint32_t to[4])
{
	for (int word = 0; word < (is_v6 ? 4 : 1); word++) {
		const uint8_t *at = from + (is_v6 ? 12 - 4 * word : 0);

		to[word] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	}
	if (!is_v6)
		to[1] = 0xFFFF;
}

static void tell(struct divert_address *address, int layer, int event)
{
	address->layer = (uint8_t)layer;
	address->event = (uint8_t)event;
	EnterCriticalSection(&divert_lock);
	for (struct divert_handle *handle = divert_handles; handle != NULL; handle = handle->next)
		if (handle->layer == layer && divert_matches(handle, NULL, 0, address)) {
			EnterCriticalSection(&handle->lock);
			divert_enqueue(handle, divert_copy(address, "", 0));
			divert_serve(handle);
			LeaveCriticalSection(&handle->lock);
		}
	LeaveCriticalSection(&divert_lock);
}

/* Whether the flow was told of already; it is from now on. `begin` is 0 but for a SYN. The caller holds divert_lock. */
static BOOL note(uint64_t hash, uint32_t begin)
{
	static UINT oldest;
	struct seen *row = seen[hash % ROWS], *place = NULL;
	BOOL is_known;

	for (UINT at = 0; at < PLACES && place == NULL; at++)
		if (row[at].hash == hash)
			place = &row[at];
	is_known = place != NULL && (begin == 0 || place->begin == begin);
	if (place == NULL)
		place = &row[oldest++ % PLACES];
	place->hash = hash;
	if (begin != 0)
		place->begin = begin;
	return is_known;
}

void divert_tell_events(struct divert_tables *tables, const uint8_t *packet, UINT bytes, BOOL is_outbound)
{
	struct divert_address address = { 0 };
	BOOL is_v6 = packet[0] >> 4 == 6;
	UINT head = is_v6 ? 40 : (packet[0] & 15u) * 4;
	uint8_t protocol = is_v6 ? packet[6] : packet[9];
	LARGE_INTEGER now;
	uint64_t hash;
	uint32_t begin = 0;
	BOOL is_known;

	if (!is_outbound || bytes < head + 4 || (protocol != 6 && protocol != 17))
		return;
	address.flow.protocol = protocol;
	address.flow.local_port = (uint16_t)(packet[head] << 8 | packet[head + 1]);
	address.flow.remote_port = (uint16_t)(packet[head + 2] << 8 | packet[head + 3]);
	give_address(packet + (is_v6 ? 8 : 12), is_v6, address.flow.local);
	give_address(packet + (is_v6 ? 24 : 16), is_v6, address.flow.remote);
	hash = hash_of(&address);
	/* A SYN begins a new flow even on an old tuple, but not when it is only sent again. */
	if (protocol == 6 && bytes > head + 13 && (packet[head + 13] & 0x12) == 2)
		memcpy(&begin, packet + head + 4, sizeof begin);
	EnterCriticalSection(&divert_lock);
	is_known = note(hash, begin);
	LeaveCriticalSection(&divert_lock);
	if (is_known)
		return;
	address.flow.process = find_process(tables, protocol == 6, is_v6, address.flow.local_port);
	/* A socket of both versions is in the other table. */
	if (!is_v6 && (address.flow.process == 0 || address.flow.process == SYSTEM_PROCESS)) {
		DWORD other = find_process(tables, protocol == 6, TRUE, address.flow.local_port);

		if (other != 0)
			address.flow.process = other;
	}
	if (address.flow.process == 0)
		return;
	QueryPerformanceCounter(&now);
	address.timestamp = now.QuadPart;
	address.bits = ADDRESS_SNIFFED | ADDRESS_OUTBOUND | (is_v6 ? ADDRESS_IPV6 : 0);
	address.flow.endpoint = hash;
	tell(&address, LAYER_SOCKET, EVENT_SOCKET_CONNECT);
	tell(&address, LAYER_FLOW, EVENT_FLOW_ESTABLISHED);
}
