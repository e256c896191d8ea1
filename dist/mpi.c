//go:build cgo && (linux || darwin)

#include "mpi.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

// Handles are pointers in Open MPI and in the standard's ABI, ints in MPICH. As a pointer both are passed in the same
// register on the ABIs of 64-bit processors, whose callee looks at the part it knows.
typedef void *handle;

static struct {
	void *library;
	handle world, byte, errors_return;
	int funneled; // the level of threads at which one thread, which need not be main's, makes all calls
	int (*init_thread)(int *, char ***, int, int *);
	int (*finalize)(void);
	int (*abort)(handle, int);
	int (*comm_rank)(handle, int *);
	int (*comm_size)(handle, int *);
	int (*comm_set_errhandler)(handle, handle);
	int (*error_string)(int, char *, int *);
	int (*isend)(const void *, int, handle, int, int, handle, handle *);
	int (*irecv)(void *, int, handle, int, int, handle, handle *);
	int (*test)(handle *, int *, void *);
	int (*get_count)(const void *, handle, int *);
	int (*iprobe)(int, int, handle, int *, void *);
} mpi;

// Where MPICH keeps an int, the first half of a request is used; both begin as zero bits.
static handle requests[dist_slots];

// A status has 20 to 24 bytes in Open MPI and MPICH, 32 in the standard's ABI.
typedef union {
	char room[256];
	void *aligned;
} status;

static const struct {
	const char *name;
	void *to;
} functions[] = {
	{"MPI_Init_thread", &mpi.init_thread},
	{"MPI_Finalize", &mpi.finalize},
	{"MPI_Abort", &mpi.abort},
	{"MPI_Comm_rank", &mpi.comm_rank},
	{"MPI_Comm_size", &mpi.comm_size},
	{"MPI_Comm_set_errhandler", &mpi.comm_set_errhandler},
	{"MPI_Error_string", &mpi.error_string},
	{"MPI_Isend", &mpi.isend},
	{"MPI_Irecv", &mpi.irecv},
	{"MPI_Test", &mpi.test},
	{"MPI_Get_count", &mpi.get_count},
	{"MPI_Iprobe", &mpi.iprobe},
};

// Libraries, and what they load, put handlers of faults in the place of Go's, which turns some faults into panics.
enum { signals = 65 };
static struct sigaction handlers[signals];
static int kept[signals];

static void keep_handlers(void) {
	for (int s = 1; s < signals; s++)
		kept[s] = sigaction(s, NULL, &handlers[s]) == 0;
}

static void restore_handlers(void) {
	for (int s = 1; s < signals; s++)
		if (kept[s])
			sigaction(s, &handlers[s], NULL);
}

int dist_load(const char *path, const char **why) {
	keep_handlers();
	mpi.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	restore_handlers();
	if (!mpi.library) {
		*why = dlerror();
		return dist_missing;
	}
	for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(mpi.library, functions[i].name);
		if (!f) {
			*why = functions[i].name;
			dist_unload();
			return dist_lacking;
		}
		memcpy(functions[i].to, &f, sizeof f);
	}

	// A library with functions of MPI 5 has this one also where it has an ABI of its own; it then says -1.
	int (*abi_version)(int *, int *), major = -1, minor = -1;
	void *f = dlsym(mpi.library, "MPI_Abi_get_version");
	memcpy(&abi_version, &f, sizeof f);
	if (f && abi_version(&major, &minor) == 0 && major > 0) {
		mpi.world = (handle)0x101;
		mpi.byte = (handle)0x247;
		mpi.errors_return = (handle)0x143;
		mpi.funneled = 1024;
		return dist_standard;
	}
	mpi.funneled = 1;
	if ((mpi.world = dlsym(mpi.library, "ompi_mpi_comm_world"))) {
		mpi.byte = dlsym(mpi.library, "ompi_mpi_byte");
		mpi.errors_return = dlsym(mpi.library, "ompi_mpi_errors_return");
		if (mpi.byte && mpi.errors_return)
			return dist_open_mpi;
		*why = "ompi_mpi_byte or ompi_mpi_errors_return";
		dist_unload();
		return dist_lacking;
	}
	const char *name = strrchr(path, '/');
	if (strstr(name ? name : path, "mpi_abi"))
		return dist_draft;
	mpi.world = (handle)0x44000000;
	mpi.byte = (handle)0x4c00010d;
	mpi.errors_return = (handle)0x54000001;
	return dist_mpich;
}

int dist_use(const char *path, const char **why) {
	// Plugins of Open MPI before 4 look for its symbols among those of the whole process.
	if (dlopen(path, RTLD_NOW | RTLD_GLOBAL))
		return 0;
	*why = dlerror();
	return -1;
}

void dist_unload(void) { dlclose(mpi.library); }

int dist_init(int *rank, int *size) {
	keep_handlers();
	int level, e = mpi.init_thread(NULL, NULL, mpi.funneled, &level);
	restore_handlers();
#ifdef __linux__
	prctl(PR_SET_TIMERSLACK, 1000); // ns by which this thread's pauses may be longer; 50,000 without it
#endif
	if (e == 0)
		e = mpi.comm_set_errhandler(mpi.world, mpi.errors_return);
	if (e == 0)
		e = mpi.comm_rank(mpi.world, rank);
	if (e == 0)
		e = mpi.comm_size(mpi.world, size);
	return e;
}

int dist_send(int slot, int to, int tag, uintptr_t b, int bytes) {
	return mpi.isend((const void *)b, bytes, mpi.byte, to, tag, mpi.world, &requests[slot]);
}

int dist_receive(int slot, int from, int tag, uintptr_t b, int bytes) {
	return mpi.irecv((void *)b, bytes, mpi.byte, from, tag, mpi.world, &requests[slot]);
}

dist_tested dist_test(int slot) {
	dist_tested t = {0, 0, 0};
	status s = {{0}};
	t.error = mpi.test(&requests[slot], &t.done, &s);
	if (t.error == 0 && t.done)
		t.error = mpi.get_count(&s, mpi.byte, &t.bytes);
	return t;
}

void dist_idle(void) {
	// Looking for what nobody sends lets the library go on with what it has begun.
	int found, rank;
	status s;
	if (mpi.comm_rank(mpi.world, &rank) == 0)
		mpi.iprobe(rank, 0x7fff, mpi.world, &found, &s);
}

void dist_rest(long nanoseconds) {
	struct timespec pause = {nanoseconds / 1000000000, nanoseconds % 1000000000};
	nanosleep(&pause, NULL);
}

void dist_error(int code, char *text) {
	int length = 0;
	*text = 0;
	if (mpi.error_string(code, text, &length) != 0)
		snprintf(text, 1024, "error %d", code);
}

int dist_abort(int code) { return mpi.abort(mpi.world, code); }

int dist_finalize(void) { return mpi.finalize(); }
