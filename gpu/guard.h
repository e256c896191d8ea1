// Where a submit or a poll fails, as when an adapter is lost, the binding's library panics, and as nothing of ours can
// catch that, it calls abort(). NINVK_GUARDED runs such a call so that abort() on its thread leads back here, with the
// player marked as lost: nothing must then be asked of the library for this device. Of the library's own state nothing
// is unwound, which is why the device is not even released. On Windows the process ends.
#ifdef _WIN32

#define NINVK_GUARDED(player, call) call
static void ninvk_catch_aborts(void) {}

#else

#include <setjmp.h>
#include <signal.h>

static __thread sigjmp_buf *ninvk_landing;
static struct sigaction ninvk_before;

static void ninvk_aborted(int number) {
	if (ninvk_landing != NULL)
		siglongjmp(*ninvk_landing, 1);
	sigaction(SIGABRT, &ninvk_before, NULL); // not ours
	raise(number);
}

// ninvk_catch_aborts is called once. The stack is the one that Go's runtime wants handlers on.
static void ninvk_catch_aborts(void) {
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_handler = ninvk_aborted;
	a.sa_flags = SA_ONSTACK | SA_NODEFER;
	sigaction(SIGABRT, &a, &ninvk_before);
}

#define NINVK_GUARDED(player, call)        \
	do {                                   \
		sigjmp_buf landing;                \
		if (sigsetjmp(landing, 0) == 0) {  \
			ninvk_landing = &landing;      \
			call;                          \
		} else {                           \
			(player)->lost = true;         \
		}                                  \
		ninvk_landing = NULL;              \
	} while (0)

#endif
