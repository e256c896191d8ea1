// What <mutex> lacks where there are no threads.
#pragma once
#include <mutex>
namespace std {
struct mutex {
	void lock() {}
	void unlock() {}
};
using recursive_mutex = mutex;
template <class M> struct lock_guard {
	explicit lock_guard(M &) {}
};
} // namespace std
