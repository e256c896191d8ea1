package models

import "ninvk/asset"

// pretrained are the bytes of the embedded weights, which in a browser lie beside the page, in half precision.
func pretrained() ([]byte, error) { return asset.Read(EmbeddedAsset) }
