//go:build !linux

package gpu

type pages struct{}

func mapped() []struct{} { return nil }

func (*pages) touch([]struct{}, uint64) {}
