#include "wintun_ring.h"

BOOL ring_make(struct ring *ring, uint32_t capacity)
{
	ring->capacity = capacity;
	ring->head = ring->cursor = ring->tail = 0;
	ring->data = VirtualAlloc(NULL, (SIZE_T)capacity + 0x10000 + 4, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
	return ring->data != NULL;
}

uint32_t ring_span(uint32_t size)
{
	return (4 + size + 3) & ~3u;
}

BOOL ring_has_room(const struct ring *ring, uint32_t end, uint32_t span)
{
	/* Four bytes stay free, or a full ring would look like an empty one. */
	return span <= ((ring->head - end - 4) & (ring->capacity - 1));
}

uint32_t *ring_size(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(ring->data + offset);
}

uint32_t ring_next(const struct ring *ring, uint32_t offset)
{
	return (offset + ring_span(*ring_size(ring, offset) & ~RING_DONE)) & (ring->capacity - 1);
}

uint32_t ring_find(const struct ring *ring, const uint8_t *data, uint32_t from, uint32_t to)
{
	while (from != to) {
		if (ring->data + from + 4 == data)
			return from;
		from = ring_next(ring, from);
	}
	return UINT32_MAX;
}
