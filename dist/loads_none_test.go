//go:build !cgo || !(linux || darwin)

package dist

const (
	loads         = false
	systemLibrary = ""
)
