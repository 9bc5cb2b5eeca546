/* What the files of the stand-in WinDivert.dll share. */
#ifndef WEIR_WINDIVERT_H
#define WEIR_WINDIVERT_H

#include "lab_link.h"

/* NT's codes, which GetOverlappedResult turns into 0, 997, 122, 232 and 995. */
#define NT_PENDING 0x103
#define NT_BUFFER_TOO_SMALL ((LONG)0xC0000023)
#define NT_PIPE_EMPTY ((LONG)0xC00000D9)
#define NT_CANCELLED ((LONG)0xC0000120)

#define PACKET_BYTES_MAX 65575u
#define FILTER_BYTES_MAX 16384

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

/* A read that waits for packets. */
struct request {
	struct request *next;
	OVERLAPPED *overlapped;
	void *packet;
	UINT packet_max;
	UINT *received;
	struct divert_address *address;
	UINT *address_bytes;
	UINT address_max;
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
	HANDLE reader;
	CRITICAL_SECTION lock, sending;
	struct queued *first, *last;
	UINT64 queue_count, queue_bytes;
	struct request *requests;
	BOOL is_receive_shut, is_send_shut;
	char filter[FILTER_BYTES_MAX];
};

/* All open handles, under divert_lock. */
extern struct divert_handle *divert_handles;
extern CRITICAL_SECTION divert_lock;

void divert_serve(struct divert_handle *handle);
void divert_enqueue(struct divert_handle *handle, const struct divert_address *address, const void *data, UINT bytes);
BOOL divert_matches(const struct divert_handle *handle, const void *packet, UINT bytes, const struct divert_address *address);

/* Tells FLOW and SOCKET handles of the tuple of an outbound packet, once, with the process that the system's tables name. */
void divert_tell_events(const uint8_t *packet, UINT bytes, BOOL is_outbound);

/* Computes the checksums whose bits are clear, of a packet that is no fragment. */
void divert_checksums(uint8_t *packet, UINT bytes, uint8_t bits);
/* Takes one off the TTL; FALSE when nothing is left of it. */
BOOL divert_age(uint8_t *packet);

#endif
