/* FLOW and SOCKET events: the lab's kernel has none, so that they are made when the first packet of a tuple leaves. */
#include "windivert.h"

#include <iphlpapi.h>
#include <string.h>

#define SEEN_MAX 4096

/* Tuples that were told, the newest of each place, under divert_lock; one that was pushed out is told again. */
static uint64_t seen[SEEN_MAX];

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

/* The process with that local port, by the table of that family. */
static DWORD find_process(BOOL is_tcp, ULONG family, UINT port)
{
	void *table = read_table(is_tcp, family);
	DWORD process = 0, count = table == NULL ? 0 : *(DWORD *)table;

	for (DWORD row = 0; row < count && process == 0; row++) {
		if (is_tcp && family == AF_INET) {
			MIB_TCPROW_OWNER_PID *at = &((MIB_TCPTABLE_OWNER_PID *)table)->table[row];
			process = port_of(at->dwLocalPort) == port ? at->dwOwningPid : 0;
		} else if (is_tcp) {
			MIB_TCP6ROW_OWNER_PID *at = &((MIB_TCP6TABLE_OWNER_PID *)table)->table[row];
			process = port_of(at->dwLocalPort) == port ? at->dwOwningPid : 0;
		} else if (family == AF_INET) {
			MIB_UDPROW_OWNER_PID *at = &((MIB_UDPTABLE_OWNER_PID *)table)->table[row];
			process = port_of(at->dwLocalPort) == port ? at->dwOwningPid : 0;
		} else {
			MIB_UDP6ROW_OWNER_PID *at = &((MIB_UDP6TABLE_OWNER_PID *)table)->table[row];
			process = port_of(at->dwLocalPort) == port ? at->dwOwningPid : 0;
		}
	}
	free(table);
	return process;
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

void divert_tell_events(const uint8_t *packet, UINT bytes, BOOL is_outbound)
{
	struct divert_address address = { 0 };
	BOOL is_v6 = packet[0] >> 4 == 6;
	UINT head = is_v6 ? 40 : (packet[0] & 15u) * 4;
	uint8_t protocol = is_v6 ? packet[6] : packet[9];
	LARGE_INTEGER now;
	uint64_t hash;
	BOOL is_known;

	if (!is_outbound || bytes < head + 4 || (protocol != 6 && protocol != 17))
		return;
	address.flow.protocol = protocol;
	address.flow.local_port = (uint16_t)(packet[head] << 8 | packet[head + 1]);
	address.flow.remote_port = (uint16_t)(packet[head + 2] << 8 | packet[head + 3]);
	give_address(packet + (is_v6 ? 8 : 12), is_v6, address.flow.local);
	give_address(packet + (is_v6 ? 24 : 16), is_v6, address.flow.remote);
	hash = hash_of(&address);
	EnterCriticalSection(&divert_lock);
	/* A SYN begins a new flow even on an old tuple. */
	is_known = seen[hash % SEEN_MAX] == hash && !(protocol == 6 && bytes > head + 13 && (packet[head + 13] & 0x12) == 2);
	seen[hash % SEEN_MAX] = hash;
	LeaveCriticalSection(&divert_lock);
	if (is_known)
		return;
	address.flow.process = find_process(protocol == 6, is_v6 ? AF_INET6 : AF_INET, address.flow.local_port);
	if (address.flow.process == 0 && !is_v6)
		address.flow.process = find_process(protocol == 6, AF_INET6, address.flow.local_port);
	if (address.flow.process == 0)
		return;
	QueryPerformanceCounter(&now);
	address.timestamp = now.QuadPart;
	address.bits = ADDRESS_SNIFFED | ADDRESS_OUTBOUND | (is_v6 ? ADDRESS_IPV6 : 0);
	address.flow.endpoint = hash;
	tell(&address, LAYER_SOCKET, EVENT_SOCKET_CONNECT);
	tell(&address, LAYER_FLOW, EVENT_FLOW_ESTABLISHED);
}
