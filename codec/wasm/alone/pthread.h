// Threads for a library that has one: nothing is locked, and no other thread can be started.
#pragma once
#include <sys/types.h>
#define pthread_create(t, a, f, x) 1
#define pthread_join(t, v) 0
#define pthread_mutex_init(m, a) 0
#define pthread_mutex_destroy(m) 0
#define pthread_mutex_lock(m) 0
#define pthread_mutex_unlock(m) 0
#define pthread_cond_init(c, a) 0
#define pthread_cond_destroy(c) 0
#define pthread_cond_broadcast(c) 0
#define pthread_cond_signal(c) 0
#define pthread_cond_wait(c, m) 0
