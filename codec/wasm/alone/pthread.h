// Threads for libraries that have some: nothing is locked, and no other thread can be started.
#pragma once
#include <sys/types.h>
#define PTHREAD_MUTEX_INITIALIZER {0}
#define PTHREAD_ONCE_INIT 0
#define pthread_create(t, a, f, x) 1
#define pthread_join(t, v) 0
#define pthread_attr_init(a) 0
#define pthread_attr_destroy(a) 0
#define pthread_attr_setstacksize(a, n) 0
#define pthread_mutex_init(m, a) 0
#define pthread_mutex_destroy(m) 0
#define pthread_mutex_lock(m) 0
#define pthread_mutex_unlock(m) 0
#define pthread_cond_init(c, a) 0
#define pthread_cond_destroy(c) 0
#define pthread_cond_broadcast(c) 0
#define pthread_cond_signal(c) 0
#define pthread_cond_wait(c, m) 0
static inline int pthread_once(pthread_once_t *once, void (*work)(void)) {
	if (*once == PTHREAD_ONCE_INIT)
		*once = 1, work();
	return 0;
}
