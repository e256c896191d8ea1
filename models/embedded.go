//go:build !js

package models

import "embed"

//go:embed pretrained/*.safetensors
var embedded embed.FS

// readEmbedded gives the bytes of embedded weights.
func readEmbedded(name string) ([]byte, error) {
	return embedded.ReadFile("pretrained/" + EmbeddedFile(name))
}
