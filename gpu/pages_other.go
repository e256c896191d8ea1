//go:build !linux

package gpu

type pages struct{}

func (*pages) want() {}
