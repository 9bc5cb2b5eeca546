/* The two halves of WinDivert's driver: lab_divert.c knows handles, lab_nfqueue.c knows Linux. */
#ifndef LAB_DIVERT_H
#define LAB_DIVERT_H

#include "lab_helper.h"

#define PACKET_MAX 65575u

/* Begins to divert: the queue is open afterwards and `take` hears of each packet, `end_batch` after each few of them. 0 when it cannot. */
int nfqueue_open(void (*take)(const struct lab_divert_packet *head, const uint8_t *bytes, uint32_t queue_id), void (*end_batch)(void));
/* Puts the rules up that hand packets to the queue, or takes them down. */
void nfqueue_rules(int are_up);
/* Says what becomes of a queued packet; the kernel hears of it at the next flush. One thread at a time. */
void nfqueue_judge(uint32_t queue_id, int is_dropped);
void nfqueue_flush(void);
/* Sends a packet past all handles: out through a raw socket, in through a device of ours. */
void nfqueue_emit(const struct lab_divert_packet *head, const uint8_t *bytes);

#endif
