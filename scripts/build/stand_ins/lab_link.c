#include "lab_link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lab_misuse(const char *format, ...)
{
	char text[512];
	DWORD written;
	va_list list;
	int length = snprintf(text, sizeof text, "weir stand-in: misuse: ");

	va_start(list, format);
	length += vsnprintf(text + length, sizeof text - (size_t)length - 2, format, list);
	va_end(list);
	if (length > (int)sizeof text - 2)
		length = sizeof text - 2;
	text[length++] = '\n';
	WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)length, &written, NULL);
	TerminateProcess(GetCurrentProcess(), LAB_MISUSE_STATUS);
	abort();
}

BOOL lab_send(SOCKET link, const void *bytes, uint32_t count)
{
	const char *from = bytes;

	while (count > 0) {
		int sent = send(link, from, (int)count, 0);

		if (sent <= 0)
			return FALSE;
		from += sent;
		count -= (uint32_t)sent;
	}
	return TRUE;
}

BOOL lab_send_frame(SOCKET link, enum lab_type type, const void *body, uint32_t bytes)
{
	struct lab_frame head = { bytes, (uint16_t)type, 0 };
	char both[sizeof head + 256];

	/* Each call of Winsock costs a good deal here: short frames go in one. */
	if (bytes > sizeof both - sizeof head)
		return lab_send(link, &head, sizeof head) && lab_send(link, body, bytes);
	memcpy(both, &head, sizeof head);
	if (bytes > 0)
		memcpy(both + sizeof head, body, bytes);
	return lab_send(link, both, (uint32_t)sizeof head + bytes);
}

BOOL lab_read(SOCKET link, void *bytes, uint32_t count)
{
	char *to = bytes;

	while (count > 0) {
		int got = recv(link, to, (int)count, 0);

		if (got <= 0)
			return FALSE;
		to += got;
		count -= (uint32_t)got;
	}
	return TRUE;
}

SOCKET lab_connect(enum lab_role role)
{
	const char *port = getenv(LAB_PORT_VARIABLE);
	struct sockaddr_in address = { .sin_family = AF_INET };
	uint32_t hello = role;
	BOOL yes = TRUE;
	WSADATA data;
	SOCKET link;

	if (port == NULL) {
		fprintf(stderr, "weir stand-in: " LAB_PORT_VARIABLE " is not set\n");
		SetLastError(ERROR_FILE_NOT_FOUND);
		return INVALID_SOCKET;
	}
	if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
		return INVALID_SOCKET;
	/* Not WSA_FLAG_OVERLAPPED: a plain blocking socket. */
	link = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0);
	address.sin_port = htons((uint16_t)atoi(port));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (link == INVALID_SOCKET)
		return INVALID_SOCKET;
	setsockopt(link, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof yes);
	if (connect(link, (struct sockaddr *)&address, sizeof address) != 0 ||
	    !lab_send_frame(link, LAB_HELLO, &hello, sizeof hello)) {
		closesocket(link);
		SetLastError(ERROR_FILE_NOT_FOUND);
		return INVALID_SOCKET;
	}
	return link;
}

DWORD lab_ask(SOCKET link, enum lab_type type, const void *body, uint32_t bytes, void *answer, uint32_t room,
              void (*other)(void *context, const struct lab_frame *head), void *context)
{
	struct lab_frame head;

	if (!lab_send_frame(link, type, body, bytes))
		return ERROR_GEN_FAILURE;
	for (;;) {
		DWORD error = ERROR_GEN_FAILURE;
		char rest[65536];
		uint32_t left;

		if (!lab_read(link, &head, sizeof head))
			return ERROR_GEN_FAILURE;
		left = head.bytes;
		if (head.type == LAB_RESULT) {
			uint32_t take;

			if (left < sizeof error || !lab_read(link, &error, sizeof error))
				return ERROR_GEN_FAILURE;
			left -= sizeof error;
			take = left < room ? left : room;
			if (take > 0 && !lab_read(link, answer, take))
				return ERROR_GEN_FAILURE;
			left -= take;
		} else if (other != NULL) {
			other(context, &head);
		}
		if (left > sizeof rest || !lab_read(link, rest, left))
			return ERROR_GEN_FAILURE;
		if (head.type == LAB_RESULT)
			return error;
	}
}
