package models

// Mean and Std normalise red, green and blue after scaling to 0…1, where nobody says otherwise. They are ImageNet's,
// which the published training script uses.
var (
	Mean = []float64{0.485, 0.456, 0.406}
	Std  = []float64{0.229, 0.224, 0.225}
)

// Of grey images: the means of ImageNet's three.
var (
	greyMean = []float64{0.449}
	greyStd  = []float64{0.226}
)

// Normalisation is what images of 1 or 3 channels are normalised by where nobody says otherwise.
func Normalisation(channels int) (mean, std []float64) {
	if channels == 1 {
		return greyMean, greyStd
	}
	return Mean, Std
}
