// MPI without its headers: the few functions that are used, looked up in a library that is loaded while the program
// runs. All calls are made by one thread, but for the first two.
#ifndef DIST_MPI_H
#define DIST_MPI_H

#include <stdint.h>

// What dist_load finds: a library of Open MPI; of MPICH or its kin; with the standard's ABI; with a draft of that; or
// none; or none that has the functions.
enum { dist_open_mpi, dist_mpich, dist_standard, dist_draft, dist_missing = -1, dist_lacking = -2 };

// Loads a library so that nothing else sees it, and says what it is; why says what is wrong, in memory of the system's
// or of this file's. dist_use makes the loaded library visible to its own plugins; dist_unload forgets it.
int dist_load(const char *path, const char **why);
int dist_use(const char *path, const char **why);
void dist_unload(void);

// All others give MPI's error code, 0 for none. Slots are the numbers of requests, below dist_slots.
enum { dist_slots = 64 };
typedef struct {
	int error, done, bytes;
} dist_tested;

int dist_init(int *rank, int *size);
// The memory of messages is an address: what is Go's is pinned, whatever else the object has that it is part of.
int dist_send(int slot, int to, int tag, uintptr_t b, int bytes);
int dist_receive(int slot, int from, int tag, uintptr_t b, int bytes);
dist_tested dist_test(int slot);
void dist_idle(void);
void dist_rest(long nanoseconds);
void dist_error(int code, char *text); // text: at least 1024 bytes
int dist_abort(int code);
int dist_finalize(void);

#endif
