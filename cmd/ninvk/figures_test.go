package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"ninvk/train"
)

// figuresOf are those of a network that is right about all images but one of class 1, which it takes for class 0;
// image numbers fall from class to class.
func figuresOf(names []string) ([]classFigures, averages, averages, []confused) {
	c := train.Confusion{Classes: len(names), Images: map[train.Pair]int{{True: 1, Predicted: 0}: 1}}
	for i := range names[:len(names)-1] { // of the last there are none
		c.Images[train.Pair{True: i, Predicted: i}] = len(names) - i
	}
	figures, macro, weighted := c.Figures()
	return perClass(names, figures), newAverages(macro), newAverages(weighted), newConfused(c, names)
}

func TestTableOfClasses(t *testing.T) {
	var b strings.Builder
	classes, macro, weighted, pairs := figuresOf([]string{"猫", "a dog of a breed whose name is long indeed", "none"})
	if err := writeClasses(&b, classes, macro, weighted, false); err != nil {
		t.Fatal(err)
	}
	if err := writeConfused(&b, pairs); err != nil {
		t.Fatal(err)
	}
	want := `class                             images  correct  precision    recall       F1
猫                                     3        3    75.00 %  100.00 %  85.71 %
a dog of a breed… is long indeed       3        2   100.00 %   66.67 %  80.00 %
none                                   0        0          -         -        -
mean of classes                                      87.50 %   83.33 %  82.86 %
mean by images                         6        5    87.50 %   83.33 %  82.86 %
most often taken: a dog of a breed… is long indeed for 猫 (1)
`
	want = strings.Replace(want, "a dog of a breed… is long indeed", cut(classes[1].Class, nameColumns), -1)
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if classes[2].Accuracy != nil || classes[2].F1 != nil || *classes[1].Accuracy != 2./3 {
		t.Errorf("%+v", classes)
	}
}

// Of many classes the table has some, and all on request; whatever it has fits 80 columns.
func TestTableOfManyClasses(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("%d %s", i, strings.Repeat("name", i%20)))
	}
	classes, macro, weighted, _ := figuresOf(names)
	for all, want := range map[bool]int{false: 1 + worstListed + 1 + bestListed + 2 + 1, true: 1 + 200 + 2} {
		var b strings.Builder
		if err := writeClasses(&b, classes, macro, weighted, all); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != want {
			t.Errorf("all %v: %d lines, want %d\n%s", all, len(lines), want, b.String())
		}
		for _, l := range lines {
			if w := uniseg.StringWidth(l); w > 80 {
				t.Errorf("all %v: %d columns: %s", all, w, l)
			}
		}
		if !all && (!strings.HasPrefix(lines[1], "1 name") || !strings.Contains(b.String(), "… 179 more …")) {
			t.Errorf("the worst is not first, or 179 more are not said:\n%s", b.String())
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"short", 5, "short"}, {"abcdefgh", 5, "ab…gh"}, {"abcdefgh", 6, "abc…gh"}, {"猫猫猫猫", 6, "猫…猫"}, {"abcdefgh", 1, "…"},
	} {
		if got := cut(c.text, c.columns); got != c.want {
			t.Errorf("%q in %d columns: %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}
