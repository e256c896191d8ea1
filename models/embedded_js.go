package models

import "ninvk/asset"

// readEmbedded gives the bytes of embedded weights, which in a browser lie beside the page, in half precision.
func readEmbedded(name string) ([]byte, error) { return asset.Read(EmbeddedFile(name)) }
