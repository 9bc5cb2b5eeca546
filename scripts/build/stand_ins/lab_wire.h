/*
 * What the stand-in DLLs (Windows side) and lab_helper (Linux side, their "kernel") say to each other over TCP.
 *
 * Every message is a frame: 8 bytes of head, then `bytes` bytes. Little-endian, as both sides are.
 *
 *   0        4      6      8
 *   ├ bytes  ┼ type ┼ spare┼ body …
 *
 * A connection begins with LAB_HELLO, which says what it is for; one connection is one handle of a driver.
 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include <stdint.h>

/* Names of the environment's setting that says where the helper listens, on 127.0.0.1. */
#define LAB_PORT_VARIABLE "WEIR_LAB_PORT"

/* The largest body: 255 packets of 65,575 bytes and their addresses. */
#define LAB_BODY_MAX (255u * (65575u + 80u) + 64u)

struct lab_frame {
	uint32_t bytes;
	uint16_t type;
	uint16_t spare;
};

enum lab_role { LAB_ROLE_WINTUN = 1, LAB_ROLE_IP = 2, LAB_ROLE_DIVERT = 3 };

enum lab_type {
	LAB_HELLO = 1,  /* u32 role */
	LAB_RESULT = 2, /* u32 Windows error code, then what the request asked for */

	/* wintun.dll */
	LAB_TUN_CREATE = 16, /* struct lab_tun_create → u32 interface index */
	LAB_TUN_OPEN = 17,   /* struct lab_tun_create → u32 interface index */
	LAB_TUN_START = 18,  /* u32 capacity → */
	LAB_TUN_END = 19,    /* → */
	LAB_TUN_PACKET = 20, /* one IP packet, either way; no answer */
	LAB_TUN_GONE = 21,   /* helper → DLL: the adapter was removed */
	LAB_TUN_CORRUPT = 22, /* helper → DLL: behave as if the ring were damaged */
	LAB_TUN_VERSION = 23, /* → u32: adapters there are */

	/* weir-iphlpapi.dll */
	LAB_IP_ADDRESS_ADD = 32, /* struct lab_ip_address → */
	LAB_IP_ADDRESS_DELETE = 33,
	LAB_IP_ROUTE_ADD = 34, /* struct lab_ip_route → */
	LAB_IP_ROUTE_DELETE = 35,
	LAB_IP_INTERFACE_GET = 36, /* struct lab_ip_interface → the same, filled in */
	LAB_IP_INTERFACE_SET = 37,
	LAB_IP_DNS_SET = 38, /* struct lab_ip_dns → */
	LAB_IP_DNS_GET = 39,
	LAB_IP_ROUTE_FIND = 40, /* struct lab_ip_best → the same, filled in */

	/* WinDivert.dll */
	LAB_DIVERT_OPEN = 48,   /* i32 priority → i64 rank */
	LAB_DIVERT_RANK = 49,   /* i64 rank: what follows is injected by that handle */
	LAB_DIVERT_PACKET = 50, /* helper → DLL: struct lab_divert_packet and the packet */
	LAB_DIVERT_TAKE = 51,   /* u32 id: the packet is diverted */
	LAB_DIVERT_PASS = 52,   /* u32 id: the filter does not match */
	LAB_DIVERT_INJECT = 53, /* struct lab_divert_packet and the packet */
};

#define LAB_NAME_MAX 256

struct lab_tun_create {
	uint8_t guid[16];
	char name[LAB_NAME_MAX]; /* UTF-8, ends with 0 */
};

struct lab_ip_address {
	uint32_t index;
	uint32_t family; /* 4 or 6 */
	uint8_t address[16];
	uint32_t prefix;
};

struct lab_ip_route {
	uint32_t index;
	uint32_t family;
	uint8_t destination[16];
	uint8_t next_hop[16];
	uint32_t prefix;
	uint32_t metric;
};

struct lab_ip_best {
	uint32_t index; /* asked: through this interface only, 0 for any */
	uint32_t family;
	uint8_t destination[16];
	uint8_t next_hop[16];
	uint8_t source[16];
};

struct lab_divert_packet {
	uint32_t id;
	uint32_t bytes;
	uint32_t index; /* of the interface */
	uint32_t is_outbound;
	uint32_t is_loopback;
	uint32_t is_impostor;
};

struct lab_ip_interface {
	uint32_t index;
	uint32_t family;
	uint32_t metric;
	uint32_t is_automatic;
	uint32_t mtu;
	uint32_t dad_transmits;
	uint32_t router_discovery;
};

#define LAB_SERVERS_MAX 512

struct lab_ip_dns {
	uint8_t guid[16];
	uint64_t flags;
	uint32_t family;
	char servers[LAB_SERVERS_MAX]; /* UTF-8, as given: separated by commas or spaces */
};

#endif
