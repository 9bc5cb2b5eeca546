/* The Windows side of a connection to lab_helper, and how a stand-in ends a program that misuses it. */
#ifndef LAB_LINK_H
#define LAB_LINK_H

/* winsock2.h has to come before windows.h. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

#include "lab_wire.h"

/* The exit status of a program that broke a rule of the real driver. */
#define LAB_MISUSE_STATUS 99

/* Ends the program with a message: what the real DLL would let pass until it crashes or corrupts memory. */
__attribute__((noreturn, format(printf, 1, 2))) void lab_misuse(const char *format, ...);

/* Connects and says hello. INVALID_SOCKET and the last error when nobody answers. */
SOCKET lab_connect(enum lab_role role);

/* Sends all of it; FALSE when the connection is gone. */
BOOL lab_send(SOCKET link, const void *bytes, uint32_t count);
BOOL lab_send_frame(SOCKET link, enum lab_type type, const void *body, uint32_t bytes);
/* Reads exactly that many bytes; FALSE when the connection is gone. */
BOOL lab_read(SOCKET link, void *bytes, uint32_t count);

/*
 * Sends a request and waits for its answer. The answer is the error code that the driver gave, 0 for success; up to `room` bytes of what came with
 * it go to `answer`. Frames of other types that come before the answer go to `other`, if there is one.
 */
DWORD lab_ask(SOCKET link, enum lab_type type, const void *body, uint32_t bytes, void *answer, uint32_t room,
              void (*other)(void *context, const struct lab_frame *head), void *context);

#endif
