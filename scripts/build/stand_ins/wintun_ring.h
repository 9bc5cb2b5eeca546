/*
 * One ring of a Wintun session, with the layout of the real one: u32 size and data, aligned to 4 bytes; a packet that begins before the end goes
 * on into 64 KiB after it. All functions want the caller to hold the session's lock.
 *
 *     head              cursor               tail           (receive ring)
 *      ├ handed out, some ┼ not handed out yet ┤
 *      │ of them released │
 *
 *     head              tail                 cursor         (send ring)
 *      ├ sent, not taken  ┼ allocated, some of ┤
 *      │ by the driver    │ them sent already  │
 */
#ifndef WINTUN_RING_H
#define WINTUN_RING_H

#include <windows.h>
#include <stdint.h>

#define RING_PACKET_MAX 0xFFFFu
/* Set in a packet's size while it is done with, but what was handed out before it is not. */
#define RING_DONE 0x80000000u

struct ring {
	uint8_t *data;
	uint32_t capacity;
	uint32_t head;
	uint32_t cursor;
	uint32_t tail;
};

/* Makes it empty; FALSE when there is no memory. */
BOOL ring_make(struct ring *ring, uint32_t capacity);
/* Bytes that a packet of that size takes. */
uint32_t ring_span(uint32_t size);
/* True when that many bytes fit behind `end`. */
BOOL ring_has_room(const struct ring *ring, uint32_t end, uint32_t span);
/* The size word of the packet at an offset, and where the next one begins. */
uint32_t *ring_size(const struct ring *ring, uint32_t offset);
uint32_t ring_next(const struct ring *ring, uint32_t offset);
/* The offset of the packet whose data begins at `data`, looked for from `from` up to `to`; UINT32_MAX when it is not one of them. */
uint32_t ring_find(const struct ring *ring, const uint8_t *data, uint32_t from, uint32_t to);

#endif
