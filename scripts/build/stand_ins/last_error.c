/*
 * weir-last-error.dll: calls that set the thread's last error as overlapped calls of drivers do, for the proof that a program reads it where it
 * is valid.
 */
#include <windows.h>

struct request {
	OVERLAPPED *overlapped;
	DWORD error;
};

static DWORD WINAPI complete(void *context)
{
	OVERLAPPED *overlapped = context;

	/* Whatever this thread's last error is, it is not that of the caller. */
	SetLastError(0xBAD);
	overlapped->Internal = 0;
	overlapped->InternalHigh = 1;
	SetEvent(overlapped->hEvent);
	return 0;
}

/* Begins something that another thread completes, and answers FALSE with the last error set to `error`. */
__declspec(dllexport) BOOL WINAPI LabBeginOverlapped(OVERLAPPED *overlapped, DWORD error)
{
	overlapped->Internal = STATUS_PENDING;
	QueueUserWorkItem(complete, overlapped, WT_EXECUTEDEFAULT);
	SetLastError(error);
	return FALSE;
}

/* Fails at once. */
__declspec(dllexport) BOOL WINAPI LabFail(DWORD error)
{
	SetLastError(error);
	return FALSE;
}
