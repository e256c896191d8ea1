// Package promise waits for what JavaScript promises. It is for programs that run in a browser, and empty elsewhere.
package promise
