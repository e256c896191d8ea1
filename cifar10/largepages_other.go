//go:build !linux

package cifar10

func largePages([]byte) {}
