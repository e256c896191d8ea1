package gpu

/*
#include <stdint.h>
#include <stdlib.h> // tells which library this is
#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

// One heap for all threads, in which blocks up to 32 MiB lie, and whose first room bytes have pages of 2 MiB where those can be had. A software driver's compiler takes 150 MB
// for the kernels of a network and keeps most of it: in pages of 4 KiB that is 35,000 exceptions. It comes before main, as a thread keeps the heap that it has.
// What the user sets of the C library's heap is left alone.
__attribute__((constructor)) static void ninvk_heap(void) {
	const size_t room = 128 << 20, page = 2 << 20;
	if (getenv("MALLOC_ARENA_MAX") || getenv("GLIBC_TUNABLES"))
		return;
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_MAX, 0);
	void *block = malloc(room);
	uintptr_t from = ((uintptr_t)block + page - 1) & ~(page - 1), to = (uintptr_t)sbrk(0) & ~(page - 1);
	if (block && from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
	free(block);
	mallopt(M_MMAP_MAX, 65536);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

static void ninvk_trim_heap(void) { malloc_trim(0); }
#else
static void ninvk_trim_heap(void) {}
#endif
*/
import "C"

// trimHeap gives the system what compilers have freed.
func trimHeap() { C.ninvk_trim_heap() }
