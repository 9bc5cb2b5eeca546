/*
 * The driver of Wintun: each adapter is a TUN device. A handle that creates one owns it, and it goes with the handle; a handle that opens one
 * that is there may hold its session. There is one session for each adapter.
 */
#include "lab_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned int if_nametoindex(const char *name);

#define CAPACITY_MIN 0x20000u
#define CAPACITY_MAX 0x4000000u
#define PACKET_MAX 0xFFFFu
#define BATCH_BYTES 0x20000u

struct adapter {
	struct adapter *next;
	char name[LAB_NAME_MAX];
	char device[IFNAMSIZ];
	uint8_t guid[16];
	int tun;
	uint32_t index;
	/* The connection that has the session; -1 for none. */
	int session;
	uint32_t capacity;
	/* Wakes the thread that reads the device. */
	int quit;
	int is_stalled;
	int is_gone;
	int handles;
	uint64_t to_program, to_device, discarded, sessions;
	/* Held while frames are written to the session, so that they do not mix. */
	pthread_mutex_t writing;
};

static struct adapter *adapters;

static struct adapter *find_adapter(const char *name)
{
	for (struct adapter *adapter = adapters; adapter != NULL; adapter = adapter->next)
		if (!adapter->is_gone && (strcmp(adapter->name, name) == 0 || strcmp(adapter->device, name) == 0))
			return adapter;
	return NULL;
}

/* Linux wants short names without spaces. */
static void device_name(const char *name, char *device)
{
	size_t filled = 0;

	for (; *name != 0 && filled < IFNAMSIZ - 1; name++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *name) != NULL)
			device[filled++] = *name;
	device[filled] = 0;
}

/* -1 and errno when there can be no such device. */
static int open_device(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (tun < 0)
		return -1;
	strcpy(request.ifr_name, name);
	if (if_nametoindex(name) != 0 || ioctl(tun, TUNSETIFF, &request) != 0) {
		close(tun);
		return -1;
	}
	return tun;
}

static uint32_t create_adapter(const struct lab_tun_create *wanted, struct adapter **made)
{
	uint32_t planned = take_planned_failure("wintun");
	struct adapter *adapter;

	if (planned != 0)
		return planned;
	adapter = calloc(1, sizeof *adapter);
	strcpy(adapter->name, wanted->name);
	device_name(wanted->name, adapter->device);
	memcpy(adapter->guid, wanted->guid, sizeof adapter->guid);
	adapter->tun = open_device(adapter->device);
	if (adapter->tun < 0) {
		free(adapter);
		return WIN_ALREADY_EXISTS;
	}
	/* Without addresses and multicast of Linux's own making, which would send packets that no test asked for. */
	const char *const quiet[] = { "ip", "link", "set", adapter->device, "mtu", "65535", "addrgenmode", "none", "multicast",
		                      "off", NULL };
	const char *const up[] = { "ip", "link", "set", adapter->device, "up", NULL };
	if (!run_program(quiet, NULL, 0) || !run_program(up, NULL, 0))
		fprintf(stderr, "lab_helper: cannot bring %s up\n", adapter->device);
	adapter->index = if_nametoindex(adapter->device);
	adapter->session = -1;
	adapter->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&adapter->writing, NULL);
	adapter->next = adapters;
	adapters = adapter;
	*made = adapter;
	return WIN_OK;
}

static int is_ip_packet(const uint8_t *packet, size_t bytes)
{
	return (bytes >= 20 && packet[0] >> 4 == 4) || (bytes >= 40 && packet[0] >> 4 == 6);
}

/* Reads what the device has, at most a batch, as frames. */
static size_t read_batch(struct adapter *adapter, uint8_t *batch)
{
	size_t filled = 0;

	while (filled + sizeof(struct lab_frame) + PACKET_MAX <= BATCH_BYTES) {
		ssize_t got = read(adapter->tun, batch + filled + sizeof(struct lab_frame), PACKET_MAX);
		struct lab_frame head = { (uint32_t)got, LAB_TUN_PACKET, 0 };

		if (got <= 0)
			break;
		memcpy(batch + filled, &head, sizeof head);
		filled += sizeof head + (size_t)got;
		adapter->to_program++;
	}
	return filled;
}

/* Carries packets from the device to the session, until `quit` is written to or either is gone. */
static void *read_device(void *context)
{
	struct adapter *adapter = context;
	uint8_t *batch = malloc(BATCH_BYTES);
	int link = adapter->session;

	for (;;) {
		struct pollfd waits[2] = { { adapter->tun, POLLIN, 0 }, { adapter->quit, POLLIN, 0 } };
		size_t filled;
		int goes_on;

		if (poll(waits, 2, -1) < 0 && errno == EINTR)
			continue;
		if (waits[1].revents != 0 || (waits[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
			break;
		filled = read_batch(adapter, batch);
		pthread_mutex_lock(&adapter->writing);
		goes_on = filled == 0 || link_send(link, batch, filled);
		pthread_mutex_unlock(&adapter->writing);
		if (!goes_on)
			break;
	}
	free(batch);
	return NULL;
}

/* One handle of the driver. */
struct handle {
	int link;
	struct adapter *adapter;
	int owns;
	pthread_t reader;
};

static uint32_t start_session(struct handle *handle, uint32_t capacity)
{
	struct adapter *adapter = handle->adapter;
	uint32_t error = WIN_OK;
	uint64_t drained;

	pthread_mutex_lock(&lab_lock);
	if (adapter == NULL || adapter->is_gone)
		error = WIN_FILE_NOT_FOUND;
	else if (capacity < CAPACITY_MIN || capacity > CAPACITY_MAX || (capacity & (capacity - 1)) != 0)
		error = WIN_INVALID_PARAMETER;
	else if (adapter->session >= 0)
		error = WIN_ALREADY_INITIALIZED;
	if (error == WIN_OK) {
		adapter->session = handle->link;
		adapter->capacity = capacity;
		adapter->sessions++;
		if (read(adapter->quit, &drained, sizeof drained) < 0)
			drained = 0;
	}
	pthread_mutex_unlock(&lab_lock);
	return error;
}

static void end_session(struct handle *handle)
{
	struct adapter *adapter = handle->adapter;
	uint64_t one = 1;

	if (adapter == NULL || adapter->session != handle->link)
		return;
	if (write(adapter->quit, &one, sizeof one) < 0)
		perror("lab_helper: eventfd");
	pthread_join(handle->reader, NULL);
	pthread_mutex_lock(&lab_lock);
	adapter->session = -1;
	pthread_mutex_unlock(&lab_lock);
}

static void send_to_device(struct adapter *adapter, const uint8_t *packet, uint32_t bytes)
{
	/* The device's own queue is unbounded in this direction: only a bad packet or a lost device fails. */
	if (!is_ip_packet(packet, bytes) || write(adapter->tun, packet, bytes) < 0)
		adapter->discarded++;
	else
		adapter->to_device++;
}

static int answer_open(struct handle *handle, enum lab_type type, const void *body, uint32_t bytes)
{
	struct lab_tun_create wanted = { 0 };
	uint32_t error = WIN_INVALID_PARAMETER, index = 0;

	memcpy(&wanted, body, bytes < sizeof wanted ? bytes : sizeof wanted);
	wanted.name[LAB_NAME_MAX - 1] = 0;
	pthread_mutex_lock(&lab_lock);
	if (handle->adapter == NULL && type == LAB_TUN_CREATE) {
		error = create_adapter(&wanted, &handle->adapter);
		handle->owns = error == WIN_OK;
	} else if (handle->adapter == NULL) {
		handle->adapter = find_adapter(wanted.name);
		error = handle->adapter == NULL ? WIN_FILE_NOT_FOUND : WIN_OK;
	}
	if (error == WIN_OK) {
		handle->adapter->handles++;
		index = handle->adapter->index;
	}
	pthread_mutex_unlock(&lab_lock);
	return link_answer(handle->link, error, &index, sizeof index);
}

static uint32_t count_adapters(void)
{
	uint32_t count = 0;

	pthread_mutex_lock(&lab_lock);
	for (struct adapter *adapter = adapters; adapter != NULL; adapter = adapter->next)
		count += !adapter->is_gone;
	pthread_mutex_unlock(&lab_lock);
	return count;
}

static int answer_start(struct handle *handle, const void *body, uint32_t bytes)
{
	struct adapter *adapter = handle->adapter;
	uint32_t capacity = 0, error;
	int goes_on;

	memcpy(&capacity, body, bytes < sizeof capacity ? bytes : sizeof capacity);
	error = start_session(handle, capacity);
	if (error != WIN_OK)
		return link_answer(handle->link, error, NULL, 0);
	/* The answer comes before the first packet. */
	pthread_mutex_lock(&adapter->writing);
	goes_on = link_answer(handle->link, WIN_OK, NULL, 0);
	pthread_mutex_unlock(&adapter->writing);
	pthread_create(&handle->reader, NULL, read_device, adapter);
	return goes_on;
}

/* Handles one frame; 0 when the connection is gone. */
static int take_frame(struct handle *handle, const struct lab_frame *head, const uint8_t *body)
{
	uint32_t count;

	switch (head->type) {
	case LAB_TUN_CREATE:
	case LAB_TUN_OPEN:
		return answer_open(handle, head->type, body, head->bytes);
	case LAB_TUN_START:
		return answer_start(handle, body, head->bytes);
	case LAB_TUN_END:
		end_session(handle);
		return link_answer(handle->link, WIN_OK, NULL, 0);
	case LAB_TUN_PACKET:
		while (handle->adapter != NULL && __atomic_load_n(&handle->adapter->is_stalled, __ATOMIC_RELAXED))
			usleep(1000);
		if (handle->adapter != NULL && handle->adapter->session == handle->link)
			send_to_device(handle->adapter, body, head->bytes);
		return 1;
	case LAB_TUN_VERSION:
		count = count_adapters();
		return link_answer(handle->link, WIN_OK, &count, sizeof count);
	default:
		return 0;
	}
}

static void close_handle(struct handle *handle)
{
	struct adapter *adapter = handle->adapter;

	if (adapter == NULL)
		return;
	end_session(handle);
	pthread_mutex_lock(&lab_lock);
	if (handle->owns) {
		/* The device goes; a struct that others may hold stays, for labs are short. */
		adapter->is_gone = 1;
		close(adapter->tun);
		if (adapter->session >= 0)
			link_send_frame(adapter->session, LAB_TUN_GONE, NULL, 0);
	}
	adapter->handles--;
	pthread_mutex_unlock(&lab_lock);
}

void serve_tun(int link)
{
	struct handle handle = { .link = link };
	uint8_t *buffer = malloc(2 * BATCH_BYTES);
	size_t held = 0;
	int goes_on = buffer != NULL;

	while (goes_on) {
		size_t at = 0;
		ssize_t got = read(link, buffer + held, 2 * BATCH_BYTES - held);

		if (got <= 0)
			break;
		held += (size_t)got;
		while (goes_on && held - at >= sizeof(struct lab_frame)) {
			struct lab_frame head;

			memcpy(&head, buffer + at, sizeof head);
			if (head.bytes > PACKET_MAX)
				goes_on = 0;
			if (held - at < sizeof head + head.bytes)
				break;
			goes_on = take_frame(&handle, &head, buffer + at + sizeof head);
			at += sizeof head + head.bytes;
		}
		memmove(buffer, buffer + at, held - at);
		held -= at;
	}
	free(buffer);
	close_handle(&handle);
}

static int tell_session(struct adapter *adapter, enum lab_type type, const void *body, uint32_t bytes)
{
	int sent = 0;

	pthread_mutex_lock(&adapter->writing);
	if (adapter->session >= 0)
		sent = link_send_frame(adapter->session, type, body, bytes);
	pthread_mutex_unlock(&adapter->writing);
	return sent;
}

int tun_vanish(const char *name)
{
	struct adapter *adapter;

	pthread_mutex_lock(&lab_lock);
	adapter = find_adapter(name);
	if (adapter != NULL) {
		const char *const words[] = { "ip", "link", "delete", adapter->device, NULL };

		adapter->is_gone = 1;
		run_program(words, NULL, 0);
	}
	pthread_mutex_unlock(&lab_lock);
	if (adapter != NULL)
		tell_session(adapter, LAB_TUN_GONE, NULL, 0);
	return adapter != NULL;
}

int tun_corrupt(const char *name)
{
	struct adapter *adapter;

	pthread_mutex_lock(&lab_lock);
	adapter = find_adapter(name);
	pthread_mutex_unlock(&lab_lock);
	return adapter != NULL && tell_session(adapter, LAB_TUN_CORRUPT, NULL, 0);
}

int tun_stall(const char *name, int is_stalled)
{
	struct adapter *adapter;

	pthread_mutex_lock(&lab_lock);
	adapter = find_adapter(name);
	if (adapter != NULL)
		__atomic_store_n(&adapter->is_stalled, is_stalled, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lab_lock);
	return adapter != NULL;
}

/* Packets that came from nowhere: UDP from 192.0.2.7 to 192.0.2.8, with a number in the last four bytes. */
int tun_flood(const char *name, unsigned count, unsigned bytes)
{
	struct adapter *adapter;
	uint8_t *packet = calloc(1, PACKET_MAX);
	int goes_on;

	if (bytes < 32)
		bytes = 32;
	if (bytes > PACKET_MAX)
		bytes = PACKET_MAX;
	memcpy(packet, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\xc0\0\x02\x07\xc0\0\x02\x08\x10\0\x10\0", 24);
	packet[2] = (uint8_t)(bytes >> 8);
	packet[3] = (uint8_t)bytes;
	packet[24] = (uint8_t)((bytes - 20) >> 8);
	packet[25] = (uint8_t)(bytes - 20);
	pthread_mutex_lock(&lab_lock);
	adapter = find_adapter(name);
	pthread_mutex_unlock(&lab_lock);
	goes_on = adapter != NULL;
	for (unsigned number = 0; goes_on && number < count; number++) {
		for (int byte = 0; byte < 4; byte++)
			packet[bytes - 4 + (unsigned)byte] = (uint8_t)(number >> (24 - 8 * byte));
		goes_on = tell_session(adapter, LAB_TUN_PACKET, packet, bytes);
	}
	free(packet);
	return goes_on;
}

void tun_describe(FILE *out)
{
	const char *comma = "";

	fprintf(out, "\"adapters\":[");
	pthread_mutex_lock(&lab_lock);
	for (struct adapter *adapter = adapters; adapter != NULL; adapter = adapter->next) {
		fprintf(out, "%s{\"name\":\"%s\",\"device\":\"%s\",\"index\":%u,\"guid\":\"", comma, adapter->name,
		        adapter->device, adapter->index);
		for (int byte = 0; byte < 16; byte++)
			fprintf(out, "%02x", adapter->guid[byte]);
		fprintf(out,
		        "\",\"isGone\":%s,\"hasSession\":%s,\"handles\":%d,\"capacity\":%u,\"sessions\":%lu,"
		        "\"toProgram\":%lu,\"toDevice\":%lu,\"discarded\":%lu}",
		        adapter->is_gone ? "true" : "false", adapter->session >= 0 ? "true" : "false", adapter->handles,
		        adapter->capacity, adapter->sessions, adapter->to_program, adapter->to_device, adapter->discarded);
		comma = ",";
	}
	pthread_mutex_unlock(&lab_lock);
	fprintf(out, "]");
}
