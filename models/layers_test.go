package models

import (
	"errors"
	"strings"
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

// Of a network with hundreds of layers, those are named whose names are nearest to the one that was given.
func TestNearestLayers(t *testing.T) {
	n := &Network{Metadata: Metadata{Model: "densenet264"}}
	var err error
	if n.Graph, n.Logits, err = Build(Config{Model: n.Model, Classes: 10, Size: 29}); err != nil {
		t.Fatal(err)
	}
	if x, err := n.Layer("features.denseblock3.denselayer64.conv1"); err != nil || x.Shape.C != 128 {
		t.Errorf("%v, %v", x, err)
	}
	for given, want := range map[string]string{
		"denseblock3.denselayer64.conv1":               "features.denseblock3.denselayer64.conv1",
		"features.denseblock2.denselayer4.convolution": "features.denseblock2.denselayer4.conv1",
		"transition2":    "features.transition2.conv",
		"Classifier":     "classifier",
		"layer1.0.conv1": "features.conv0",
	} {
		_, err := n.Layer(given)
		var e *UnknownLayerError
		if !errors.As(err, &e) || len(e.Known)+e.More != len(n.Graph.Nodes()) || len(e.Known) > 20 {
			t.Fatalf("%s: %v", given, err)
		}
		if !strings.Contains(err.Error(), "\n  "+want+" ") || !strings.Contains(err.Error(), "ninvk models densenet264") {
			t.Errorf("%s is not among the names nearest to %s:\n%v", want, given, err)
		}
	}
}
