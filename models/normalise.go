package models

// Mean and Std normalise red, green and blue after scaling to 0…1, where nobody says otherwise. They are ImageNet's,
// which the published training script uses.
var (
	Mean = [3]float64{0.485, 0.456, 0.406}
	Std  = [3]float64{0.229, 0.224, 0.225}
)
