/* Checksums of packets that a program has changed. Source: RFC 1071, RFC 8200 section 8.1. */
#include "windivert.h"

#include <string.h>

static uint32_t add_words(uint32_t sum, const uint8_t *bytes, UINT count)
{
	for (; count > 1; count -= 2, bytes += 2)
		sum += (uint32_t)(bytes[0] << 8 | bytes[1]);
	return count == 1 ? sum + (uint32_t)(bytes[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void transport(uint8_t *segment, UINT count, uint8_t protocol, uint32_t sum, uint8_t bits)
{
	UINT at = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
	uint16_t value;

	if ((protocol == 6 && (bits & ADDRESS_TCP_CHECKSUM)) || (protocol == 17 && (bits & ADDRESS_UDP_CHECKSUM)))
		return;
	if ((protocol != 6 && protocol != 17 && protocol != 1 && protocol != 58) || count < at + 2)
		return;
	put(segment + at, 0);
	value = fold(add_words(sum, segment, count));
	put(segment + at, protocol == 17 && value == 0 ? 0xFFFF : value);
}

void divert_checksums(uint8_t *packet, UINT bytes, uint8_t bits)
{
	if (packet[0] >> 4 == 4) {
		UINT head = (packet[0] & 15u) * 4;

		if (head < 20 || head > bytes)
			return;
		if (!(bits & ADDRESS_IP_CHECKSUM)) {
			put(packet + 10, 0);
			put(packet + 10, fold(add_words(0, packet, head)));
		}
		/* Neither a first fragment nor a later one has all that its checksum is about. */
		if ((packet[6] & 0x3F) == 0 && packet[7] == 0)
			transport(packet + head, bytes - head, packet[9],
			          packet[9] == 1 ? 0 : add_words(packet[9] + (bytes - head), packet + 12, 8), bits);
	} else {
		/* Behind extension headers nothing is computed: the lab sends none. */
		transport(packet + 40, bytes - 40, packet[6], add_words(packet[6] + (bytes - 40), packet + 8, 32), bits);
	}
}

void divert_offload(uint8_t *packet, UINT bytes, struct divert_address *address)
{
	BOOL is_v6 = packet[0] >> 4 == 6;
	UINT head = is_v6 ? 40 : (packet[0] & 15u) * 4;
	uint8_t protocol = is_v6 ? packet[6] : packet[9];
	UINT at = head + (protocol == 6 ? 16 : 6);
	uint32_t sum = (uint32_t)(protocol + (bytes - head));

	if (head > bytes)
		return;
	if (!is_v6) {
		address->bits &= (uint8_t)~ADDRESS_IP_CHECKSUM;
		put(packet + 10, 0);
	}
	/* Nobody computes a checksum over a fragment. */
	if ((!is_v6 && ((packet[6] & 0x3F) != 0 || packet[7] != 0)) || (protocol != 6 && protocol != 17) || bytes < at + 2)
		return;
	address->bits &= (uint8_t)~(protocol == 6 ? ADDRESS_TCP_CHECKSUM : ADDRESS_UDP_CHECKSUM);
	/* The card goes on from the sum of the pseudo-header. */
	put(packet + at, (uint16_t)~fold(is_v6 ? add_words(sum, packet + 8, 32) : add_words(sum, packet + 12, 8)));
}

BOOL divert_age(uint8_t *packet)
{
	uint8_t *left = packet[0] >> 4 == 4 ? packet + 8 : packet + 7;

	if (*left <= 1)
		return FALSE;
	--*left;
	if (packet[0] >> 4 == 4) {
		put(packet + 10, 0);
		put(packet + 10, fold(add_words(0, packet, (packet[0] & 15u) * 4)));
	}
	return TRUE;
}
