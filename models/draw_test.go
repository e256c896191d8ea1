package models_test

import (
	"math"
	"testing"

	"ninvk/models"
	"ninvk/nn"
)

// What is drawn has the mean and the deviation that the rule's source gives.
func TestRules(t *testing.T) {
	g, _, err := models.Build(models.Config{Model: "nin", Classes: 4, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	specs := g.Params()
	for _, c := range []struct {
		rule       string
		gain, last float64 // of the variance, and of the last layer's deviation
	}{{"lecun", 1, 1}, {"he", 2, 1. / 3}} {
		values := models.Random(g, 3, models.RuleOf(c.rule)).Values()
		for i, p := range specs {
			mean, square := 0.0, 0.0
			for _, x := range values[i] {
				mean += float64(x) / float64(p.Len())
				square += float64(x) * float64(x) / float64(p.Len())
			}
			if p.Role == nn.Bias {
				want := 0.0
				if i == len(specs)-1 {
					want = 1
				}
				if mean != want || square != want {
					t.Errorf("%s: %s: mean %v, mean square %v, want %v", c.rule, p.Name, mean, square, want)
				}
				continue
			}
			want := math.Sqrt(c.gain / float64(p.Shape[1]*p.Shape[2]*p.Shape[3]))
			if i == len(specs)-2 {
				want *= c.last
			}
			// of n values the deviation is known to 1/√2n of it
			if slack := 4 * want / math.Sqrt(2*float64(p.Len())); math.Abs(math.Sqrt(square)-want) > slack ||
				math.Abs(mean) > 2*slack {
				t.Errorf("%s: %s: mean %v, deviation %v, want 0 and %v, within %v", c.rule, p.Name, mean,
					math.Sqrt(square), want, slack)
			}
		}
	}
}

// Every network has a rule's values for all that is trained; scales and running values stay what they are.
func TestRulesOfEveryNetwork(t *testing.T) {
	for _, name := range models.Names() {
		g, _, err := models.Build(models.Config{Model: name, Classes: 4, Size: models.Size(name), Dropout: -1})
		if err != nil {
			t.Fatal(err)
		}
		specs := g.Params()
		for _, rule := range models.Rules() {
			for i, init := range models.RuleOf(rule)(specs) {
				switch p := specs[i]; {
				case p.Role == nn.Weight && !(init.Normal > 0 || init.Uniform > 0):
					t.Errorf("%s by %s: %s is not drawn", name, rule, p.Name)
				case p.Role != nn.Weight && p.Role != nn.Bias && init != p.Init:
					t.Errorf("%s by %s: %s begins with %v, want %v", name, rule, p.Name, init, p.Init)
				}
			}
		}
	}
}
