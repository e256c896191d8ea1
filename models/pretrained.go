package models

// The weights that are part of the program. Beside them lies what `ninvk eval --json` tells about them on CIFAR-10's
// test split (nin-bn-cifar10.json); tests hold both together, and the README's claim to them.

// PretrainedPath stands for the embedded weights in messages.
const PretrainedPath = "embedded nin-bn-cifar10.safetensors"

// EmbeddedAsset is the file that holds the embedded weights where the program runs in a browser.
const EmbeddedAsset = "nin-bn-cifar10.safetensors"

// Embedded is what names the embedded weights in place of a file.
const Embedded = "embedded"

// Pretrained is the network with the embedded weights: nin-bn, trained on CIFAR-10.
func Pretrained() (*Network, error) { return OpenNetwork(Embedded, Given{}) }
