/* lab_helper PORT CONTROL_SOCKET: see lab_helper.h. Says "lab_helper is ready" once both listen. */
#include "lab_helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

pthread_mutex_t lab_lock = PTHREAD_MUTEX_INITIALIZER;
unsigned lab_port;

int link_send(int link, const void *bytes, size_t count)
{
	const char *from = bytes;

	while (count > 0) {
		ssize_t sent = send(link, from, count, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return 0;
		from += sent;
		count -= (size_t)sent;
	}
	return 1;
}

int link_read(int link, void *bytes, size_t count)
{
	char *to = bytes;

	while (count > 0) {
		ssize_t got = read(link, to, count);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		to += got;
		count -= (size_t)got;
	}
	return 1;
}

int link_send_frame(int link, enum lab_type type, const void *body, uint32_t bytes)
{
	struct lab_frame head = { bytes, (uint16_t)type, 0 };

	return link_send(link, &head, sizeof head) && (bytes == 0 || link_send(link, body, bytes));
}

int link_answer(int link, enum win_error error, const void *rest, uint32_t bytes)
{
	struct lab_frame head = { (uint32_t)sizeof(uint32_t) + bytes, LAB_RESULT, 0 };
	uint32_t code = error;

	return link_send(link, &head, sizeof head) && link_send(link, &code, sizeof code) &&
	       (bytes == 0 || link_send(link, rest, bytes));
}

int run_program(const char *const words[], char *said, size_t room)
{
	int ends[2], status;
	size_t held = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return 0;
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		execvp(words[0], (char *const *)words);
		_exit(127);
	}
	close(ends[1]);
	for (;;) {
		char part[256];
		ssize_t got = read(ends[0], part, sizeof part);

		if (got <= 0)
			break;
		if (said != NULL && held + (size_t)got < room) {
			memcpy(said + held, part, (size_t)got);
			held += (size_t)got;
		}
	}
	if (said != NULL)
		said[held] = 0;
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void *serve(void *context)
{
	int link = (int)(intptr_t)context;
	struct lab_frame head;
	uint32_t role;

	if (link_read(link, &head, sizeof head) && head.type == LAB_HELLO && head.bytes == sizeof role &&
	    link_read(link, &role, sizeof role)) {
		if (role == LAB_ROLE_WINTUN)
			serve_tun(link);
		else if (role == LAB_ROLE_IP)
			serve_ip(link);
		else if (role == LAB_ROLE_DIVERT)
			serve_divert(link);
	}
	close(link);
	return NULL;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int yes = 1;
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(door, (struct sockaddr *)&address, sizeof address) != 0 || listen(door, 16) != 0) {
		perror("lab_helper: cannot listen");
		exit(1);
	}
	return door;
}

static void start_thread(void *(*body)(void *), void *context)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, context) == 0)
		pthread_detach(thread);
}

int main(int count, char **words)
{
	int door, yes = 1;

	if (count != 3) {
		fprintf(stderr, "usage: lab_helper PORT CONTROL_SOCKET\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	lab_port = (unsigned)atoi(words[1]);
	door = listen_on((uint16_t)lab_port);
	start_thread(serve_control, words[2]);
	for (;;) {
		int link = accept4(door, NULL, NULL, SOCK_CLOEXEC);

		if (link < 0)
			continue;
		setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		start_thread(serve, (void *)(intptr_t)link);
	}
}
