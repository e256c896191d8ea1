package main

import "context"

// untilStopped does work that may block, such as reading a pipe, and leaves it behind where the context ends first: the
// process then ends too.
func untilStopped[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := work()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		if ctx.Err() == nil {
			return r.value, r.err
		}
	case <-ctx.Done():
	}
	var none T
	return none, &interrupted{"interrupted"}
}
