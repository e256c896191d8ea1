package cifar10

import "ninvk/asset"

// SampleFile is one of SampleFiles, which in a browser lies beside the page.
func SampleFile(name string) ([]byte, error) { return asset.Read(name) }
