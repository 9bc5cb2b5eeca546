/*
 * Whether a filter matches is asked of the real WinDivert 2.2, if its library lies beside this one as WinDivert64-real.dll: its helpers need no
 * driver. So what this driver diverts does not depend on weir's own filters. Without it every filter matches everything.
 */
#include "windivert.h"

#include <stdio.h>
#include <string.h>

#define REAL_NAME "WinDivert64-real.dll"

typedef BOOL(WINAPI *eval_filter)(const char *filter, const void *packet, UINT length, const struct divert_address *address);
typedef BOOL(WINAPI *compile_filter)(const char *filter, int layer, char *object, UINT length, const char **error, UINT *position);
static eval_filter real_eval;
static compile_filter real_compile;
static BOOL is_looked_for;

static void load_real(void)
{
	HMODULE self, real;
	char path[MAX_PATH];
	char *slash;

	if (is_looked_for)
		return;
	is_looked_for = TRUE;
	GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, (char *)load_real,
	                   &self);
	GetModuleFileNameA(self, path, sizeof path - sizeof REAL_NAME);
	slash = strrchr(path, '\\');
	strcpy(slash == NULL ? path : slash + 1, REAL_NAME);
	real = LoadLibraryA(path);
	if (real != NULL) {
		real_compile = (compile_filter)(void *)GetProcAddress(real, "WinDivertHelperCompileFilter");
		real_eval = (eval_filter)(void *)GetProcAddress(real, "WinDivertHelperEvalFilter");
	}
	if (real_compile == NULL || real_eval == NULL) {
		real_compile = NULL;
		real_eval = NULL;
		fprintf(stderr, "weir stand-in: " REAL_NAME " of WinDivert 2.2 is not there: every filter matches everything\n");
	}
}

DWORD divert_compile(struct divert_handle *handle, const char *filter)
{
	load_real();
	if (filter == NULL || strlen(filter) >= FILTER_BYTES_MAX)
		return ERROR_INVALID_PARAMETER;
	if (real_compile == NULL)
		strcpy(handle->filter, filter);
	else if (!real_compile(filter, handle->layer, handle->filter, sizeof handle->filter, NULL, NULL))
		return ERROR_INVALID_PARAMETER;
	return 0;
}

BOOL divert_matches(const struct divert_handle *handle, const void *packet, UINT bytes, const struct divert_address *address)
{
	return real_eval == NULL || real_eval(handle->filter, packet, bytes, address);
}
