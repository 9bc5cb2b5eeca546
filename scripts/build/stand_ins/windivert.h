/* What the files of the stand-in WinDivert.dll share. */
#ifndef WEIR_WINDIVERT_H
#define WEIR_WINDIVERT_H

#include "lab_link.h"

/* NT's codes, which GetOverlappedResult turns into 0, 997, 122, 232 and 995. */
#define NT_PENDING 0x103
#define NT_BUFFER_TOO_SMALL ((LONG)0xC0000023)
#define NT_PIPE_EMPTY ((LONG)0xC00000D9)
#define NT_CANCELLED ((LONG)0xC0000120)
#define NT_INVALID_PARAMETER ((LONG)0xC000000D)
#define NT_HOST_UNREACHABLE ((LONG)0xC000023D)
#define NT_UNSUCCESSFUL ((LONG)0xC0000001)

#define PACKET_BYTES_MAX 65575u
#define FILTER_BYTES_MAX 16384
#define OBJECT_BYTES_MAX 65536
#define BATCH_MAX 255u

enum { LAYER_NETWORK = 0, LAYER_FORWARD = 1, LAYER_FLOW = 2, LAYER_SOCKET = 3, LAYER_REFLECT = 4 };
enum { EVENT_FLOW_ESTABLISHED = 1, EVENT_SOCKET_CONNECT = 4 };
enum { FLAG_SNIFF = 1, FLAG_DROP = 2, FLAG_RECEIVE_ONLY = 4, FLAG_SEND_ONLY = 8 };
enum { PARAM_QUEUE_LENGTH = 0, PARAM_QUEUE_TIME = 1, PARAM_QUEUE_SIZE = 2, PARAM_VERSION_MAJOR = 3, PARAM_VERSION_MINOR = 4 };
enum { SHUTDOWN_RECEIVE = 1, SHUTDOWN_SEND = 2, SHUTDOWN_BOTH = 3 };
enum {
	ADDRESS_SNIFFED = 0x01,
	ADDRESS_OUTBOUND = 0x02,
	ADDRESS_LOOPBACK = 0x04,
	ADDRESS_IMPOSTOR = 0x08,
	ADDRESS_IPV6 = 0x10,
	ADDRESS_IP_CHECKSUM = 0x20,
	ADDRESS_TCP_CHECKSUM = 0x40,
	ADDRESS_UDP_CHECKSUM = 0x80,
};

/* WINDIVERT_ADDRESS. */
struct divert_address {
	LONG64 timestamp;
	uint8_t layer;
	uint8_t event;
	uint8_t bits;
	uint8_t reserved1;
	uint32_t reserved2;
	union {
		struct {
			uint32_t index;
			uint32_t sub_index;
		} network;
		struct {
			uint64_t endpoint;
			uint64_t parent;
			uint32_t process;
			uint32_t local[4];
			uint32_t remote[4];
			uint16_t local_port;
			uint16_t remote_port;
			uint8_t protocol;
		} flow;
		uint8_t room[64];
	};
};
_Static_assert(sizeof(struct divert_address) == 80, "WINDIVERT_ADDRESS has 80 bytes");
_Static_assert(__builtin_offsetof(struct divert_address, flow.protocol) == 72, "WINDIVERT_ADDRESS has its protocol at 72");

/* A packet or an event that waits for a reader. */
struct queued {
	struct queued *next;
	ULONGLONG came;
	struct divert_address address;
	UINT bytes;
	uint8_t data[];
};

/* A read that waits for packets, or a batch that waits to be sent. */
struct request {
	struct request *next;
	OVERLAPPED *overlapped;
	void *packet;
	UINT packet_bytes;
	struct divert_address *address;
	/* Where a read says how many bytes of addresses there are. */
	UINT *address_bytes;
	UINT address_count;
	/* Of a batch: what its bytes were when it was handed over. */
	uint64_t digest;
};

enum handle_magic { HANDLE_LIVE = 0x44495645, HANDLE_DEAD = 0x44454144 };

struct divert_handle {
	enum handle_magic magic;
	struct divert_handle *next;
	int layer;
	UINT64 flags;
	UINT64 params[3];
	/* Packets come on one connection and go on another: none of them may wait for the other. */
	SOCKET offers, injections;
	HANDLE reader, sender;
	CRITICAL_SECTION lock;
	/* Says that there is something to send, or that nothing more will be. */
	CONDITION_VARIABLE sendable;
	struct queued *first, *last;
	UINT64 queue_count, queue_bytes;
	struct request *reads, *sends;
	BOOL is_receive_shut, is_send_shut, is_closing;
	/* The filter as the real library has compiled it; its text when there is none. */
	char filter[OBJECT_BYTES_MAX];
};

/* All open handles, under divert_lock. */
extern struct divert_handle *divert_handles;
extern CRITICAL_SECTION divert_lock;

/* windivert_filter.c: what the real library says of filters. */
/* Puts the filter into the handle; 0 or the error that WinDivertOpen has. */
DWORD divert_compile(struct divert_handle *handle, const char *filter);
BOOL divert_matches(const struct divert_handle *handle, const void *packet, UINT bytes, const struct divert_address *address);

/* windivert_queue.c: packets that wait, reads that wait. The caller holds the handle's lock. */
struct queued *divert_copy(const struct divert_address *address, const void *data, UINT bytes);
/* Takes over the packet; a full queue loses its oldest. */
void divert_enqueue(struct divert_handle *handle, struct queued *packet);
/* Serves reads in the order in which they came. */
void divert_serve(struct divert_handle *handle);
void divert_complete(struct request *request, LONG status, UINT bytes);
/* Puts a request at the end of a list. Ends the program if its OVERLAPPED is in use already. */
void divert_append(struct request **list, struct request *request);
/* Ends all reads and drops all packets. */
void divert_cancel(struct divert_handle *handle);

/* windivert_driver.c: the connections to the helper. */
/* Opens them and starts the handle's threads; 0 or a Windows error. */
DWORD divert_connect(struct divert_handle *handle, INT16 priority);
uint64_t divert_digest(const uint8_t *bytes, UINT count);

/* windivert_events.c */
/* The system's tables of sockets, read when they are asked for. Packets that came in one go can share them: their sockets were there before. */
struct divert_tables {
	void *tables[2][2];
};
void divert_forget_tables(struct divert_tables *tables);
/* Tells FLOW and SOCKET handles of the tuple of an outbound packet, once, with the process that the system's tables name. */
void divert_tell_events(struct divert_tables *tables, const uint8_t *packet, UINT bytes, BOOL is_outbound);

/* windivert_checksum.c */
/* Computes the checksums whose bits are clear, of a packet that is no fragment. */
void divert_checksums(uint8_t *packet, UINT bytes, uint8_t bits);
/* Makes the packet and its address what they are where the network card computes the checksums: they are not there yet. */
void divert_offload(uint8_t *packet, UINT bytes, struct divert_address *address);
/* Takes one off the TTL; FALSE when nothing is left of it. */
BOOL divert_age(uint8_t *packet);

#endif
