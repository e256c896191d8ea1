package models_test

import (
	"fmt"
	"image"
	"log"

	"ninvk/models"
	"ninvk/picture"
)

// The embedded weights tell what is in an image file.
func ExampleLoad() {
	network, err := models.Load("") // or the path of a weights file
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	img, err := picture.ReadFile("../docs/images/frog.png") // any image.Image will do
	if err != nil {
		log.Fatal(err)
	}
	found, err := network.Classify([]image.Image{img})
	if err != nil {
		log.Fatal(err)
	}
	best := found[0][0]
	fmt.Printf("a %s, more probable than not: %v\n", best.Class, best.Probability > 0.5)
	// Output: a frog, more probable than not: true
}
