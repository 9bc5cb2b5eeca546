/*
 * The control channel: a test writes a line and reads a line, "ok", "no" or JSON.
 *
 *   state                      what there is, as JSON
 *   vanish NAME                the adapter is removed, as by a user in the device manager
 *   corrupt NAME               the next WintunReceivePacket finds its ring damaged
 *   stall NAME on|off          the driver takes no packets from the program
 *   flood NAME COUNT BYTES     packets out of nowhere
 *   fail wintun|route ERROR    the next adapter, or the next route, cannot be made: this code
 */
#include "lab_helper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEEDS_MAX 8

static struct {
	char deed[16];
	uint32_t error;
} planned[DEEDS_MAX];

/* The caller holds lab_lock. */
uint32_t take_planned_failure(const char *deed)
{
	for (unsigned at = 0; at < DEEDS_MAX; at++)
		if (planned[at].error != 0 && strcmp(planned[at].deed, deed) == 0) {
			uint32_t error = planned[at].error;

			planned[at].error = 0;
			return error;
		}
	return 0;
}

static int plan_failure(const char *deed, uint32_t error)
{
	int is_planned = 0;

	pthread_mutex_lock(&lab_lock);
	for (unsigned at = 0; at < DEEDS_MAX && !is_planned; at++)
		if (planned[at].error == 0) {
			snprintf(planned[at].deed, sizeof planned[at].deed, "%s", deed);
			planned[at].error = error;
			is_planned = 1;
		}
	pthread_mutex_unlock(&lab_lock);
	return is_planned;
}

static int obey(char *line, FILE *out)
{
	char deed[16] = "", name[64] = "", third[16] = "", fourth[16] = "";

	sscanf(line, "%15s %63s %15s %15s", deed, name, third, fourth);
	if (strcmp(deed, "vanish") == 0)
		return tun_vanish(name);
	if (strcmp(deed, "corrupt") == 0)
		return tun_corrupt(name);
	if (strcmp(deed, "stall") == 0)
		return tun_stall(name, strcmp(third, "on") == 0);
	if (strcmp(deed, "flood") == 0)
		return tun_flood(name, (unsigned)atoi(third), (unsigned)atoi(fourth));
	if (strcmp(deed, "fail") == 0)
		return plan_failure(name, (uint32_t)atoi(third));
	if (strcmp(deed, "state") != 0)
		return 0;
	fprintf(out, "{");
	tun_describe(out);
	fprintf(out, ",");
	ip_describe(out);
	fprintf(out, ",");
	divert_describe(out);
	fprintf(out, "}\n");
	return -1;
}

static void *serve(void *context)
{
	FILE *in = fdopen((int)(intptr_t)context, "r");
	FILE *out = fdopen(dup((int)(intptr_t)context), "w");
	char line[256];

	while (fgets(line, sizeof line, in) != NULL) {
		int answer = obey(line, out);

		if (answer >= 0)
			fprintf(out, answer ? "ok\n" : "no\n");
		fflush(out);
	}
	fclose(in);
	fclose(out);
	return NULL;
}

void *serve_control(void *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", (const char *)path);
	unlink(path);
	if (bind(door, (struct sockaddr *)&address, sizeof address) != 0 || listen(door, 4) != 0) {
		perror("lab_helper: cannot listen for control");
		exit(1);
	}
	printf("lab_helper is ready\n");
	fflush(stdout);
	for (;;) {
		int link = accept4(door, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (link >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)link) == 0)
			pthread_detach(thread);
	}
}
