package models

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whether a network's class maps are exact, and whose maps they are made of.
func TestEnding(t *testing.T) {
	want := map[string]string{
		"nin": "classifier.20 exact", "nin-bn": "classifier.29 exact", "nin-imagenet": "classifier.26 exact",
		"lenet5": "conv2", "alexnet": "features.10", "vgg16": "features.28", "vgg16-bn": "features.41",
		"resnet18": "layer4.1.add exact", "resnet18-small": "layer4.1.add exact", "resnet20": "layer3.2.add exact",
		"densenet121": "features.norm5 exact", "densenet169": "features.norm5 exact", "densenet201": "features.norm5 exact",
		"densenet264": "features.norm5 exact", "googlenet": "inception5b.concat exact",
	}
	got := map[string]string{}
	for _, m := range table {
		n := &Network{}
		var err error
		if n.Graph, n.Logits, err = m.graph(Config{Model: m.name, Classes: 10, Size: m.size}); err != nil {
			t.Fatal(err)
		}
		e := n.ending()
		got[m.name] = e.maps.Name
		if e.exact {
			got[m.name] += " exact"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
