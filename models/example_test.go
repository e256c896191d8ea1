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

// Weights of your own tell the network, its classes, and how images are fitted to it.
func ExampleClassifier_Classes() {
	network, err := models.Load("runs/flowers/best.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	fmt.Println("it tells apart", network.Classes())
	var photos []image.Image
	for _, path := range []string{"garden.jpg", "window.jpg"} {
		img, err := picture.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		photos = append(photos, img)
	}
	found, err := network.Classify(photos)
	if err != nil {
		log.Fatal(err)
	}
	for _, predictions := range found { // of each photo, the most probable class first
		fmt.Printf("%s (%.0f %%)\n", predictions[0].Class, 100*predictions[0].Probability)
	}
}
