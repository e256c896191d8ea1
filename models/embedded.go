//go:build !js

package models

import _ "embed"

//go:embed pretrained/nin-bn-cifar10.safetensors
var embedded []byte

// pretrained are the bytes of the embedded weights.
func pretrained() ([]byte, error) { return embedded, nil }
