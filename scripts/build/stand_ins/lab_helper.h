/*
 * lab_helper: what stands in for the Windows kernel. It runs in the network namespace of the lab and does there what the stand-in DLLs ask for.
 *
 * Each connection is one handle of a driver and has a thread of its own; when it ends, by whatever cause, what belonged to the handle goes too.
 */
#ifndef LAB_HELPER_H
#define LAB_HELPER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "lab_wire.h"

/* Windows error codes that the drivers answer with. */
enum win_error {
	WIN_OK = 0,
	WIN_FILE_NOT_FOUND = 2,
	WIN_ACCESS_DENIED = 5,
	WIN_GEN_FAILURE = 31,
	WIN_INVALID_PARAMETER = 87,
	WIN_ALREADY_EXISTS = 183,
	WIN_NOT_FOUND = 1168,
	WIN_NETWORK_UNREACHABLE = 1231,
	WIN_ALREADY_INITIALIZED = 1247,
	WIN_OBJECT_ALREADY_EXISTS = 5010,
};

/* Where the stand-ins connect to. */
extern unsigned lab_port;

/* Guards everything that more than one thread touches. */
extern pthread_mutex_t lab_lock;

/* Sends or reads all of it; 0 when the connection is gone. */
int link_send(int link, const void *bytes, size_t count);
int link_read(int link, void *bytes, size_t count);
int link_send_frame(int link, enum lab_type type, const void *body, uint32_t bytes);
int link_answer(int link, enum win_error error, const void *rest, uint32_t bytes);

/* Runs a program, without a shell, and says whether it succeeded; `words` ends with NULL. What it writes goes to `said`, if that is given. */
int run_program(const char *const words[], char *said, size_t room);

/* What the control channel set for the next request of that kind: an error to answer with, 0 for none. It is used up. */
uint32_t take_planned_failure(const char *deed);

/* One file each: serve a connection until it ends. */
void serve_tun(int link);
void serve_ip(int link);
void serve_divert(int link);

/* The control channel's commands; 0 when there is nobody of that name. */
int tun_vanish(const char *name);
int tun_corrupt(const char *name);
int tun_stall(const char *name, int is_stalled);
int tun_flood(const char *name, unsigned count, unsigned bytes);
/* Write what they know as members of a JSON object. */
void tun_describe(FILE *out);
void ip_describe(FILE *out);
void divert_describe(FILE *out);

/* Serves the control channel on a Unix socket; never returns. */
void *serve_control(void *path);

#endif
