//go:build !js

package picture

import "syscall"

// dontWait opens what has become a pipe meanwhile without waiting for who writes into it.
const dontWait = syscall.O_NONBLOCK
