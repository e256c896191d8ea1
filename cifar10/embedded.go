//go:build !js

package cifar10

import "embed"

//go:embed sample
var sampleFiles embed.FS

// SampleFile is one of SampleFiles.
func SampleFile(name string) ([]byte, error) { return sampleFiles.ReadFile(name) }
