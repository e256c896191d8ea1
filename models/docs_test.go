package models

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/nn"
	"ninvk/ops"
)

// The figures of docs/models.md are those of the graphs, every network has a row in all three tables and a command, and
// the speeds are rows of the page that was measured.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "models.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (.*) \\|$").FindAllStringSubmatch(string(b), -1)
	var names []string
	for _, m := range table {
		g, out, err := m.graph(Config{Model: m.name, Classes: 10, Size: m.size})
		if err != nil {
			t.Fatal(err)
		}
		parameters, products := 0, 0.0
		for _, x := range g.Nodes() {
			products += x.MultiplyAdds()
			for _, p := range x.Params() {
				if p.Trained() {
					parameters += p.Len()
				}
			}
		}
		names = append(names, m.name)
		if len(rows) != 3*len(table) {
			continue
		}
		want := []string{
			thousands(parameters), thousands(int(products/1e6+0.5)) + " M", strconv.Itoa(m.size), strconv.Itoa(m.leastSize()),
			gigabytes(nn.TrainingBytes(g, out, 64)),
		}
		got := strings.Split(rows[len(names)-1][2], " | ")
		if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
			t.Errorf("%s (-graph +documentation):\n%s", m.name, diff)
		}
	}
	var documented []string
	for _, r := range rows {
		documented = append(documented, r[1])
	}
	if diff := cmp.Diff(slices.Repeat(names, 3), documented); diff != "" {
		t.Fatalf("rows of the three tables (-known +documented):\n%s", diff)
	}
	measured, err := os.ReadFile(filepath.Join("..", "docs", "results", "peers.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows[2*len(table):] {
		if !strings.Contains(string(measured), "\n"+r[0]+"\n") {
			t.Errorf("docs/results/peers.md has no row %s", r[0])
		}
	}
	documented = nil
	for _, m := range regexp.MustCompile(`(?m)^ninvk train .*--model ([a-z0-9-]+)`).FindAllStringSubmatch(string(b), -1) {
		documented = append(documented, m[1])
	}
	if diff := cmp.Diff(names, documented); diff != "" {
		t.Errorf("commands that train (-known +documented):\n%s", diff)
	}
}

// The README lists the networks by what they are for.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var small, large []string
	for _, m := range table {
		if m.size < imageNet {
			small = append(small, "`"+m.name+"`")
		} else {
			large = append(large, "`"+m.name+"`")
		}
	}
	for _, row := range []string{
		"| for small images | " + strings.Join(small, " ") + " |",
		"| for images of 224×224 pixels | " + strings.Join(large, " ") + " |",
	} {
		if !strings.Contains(string(b), "\n"+row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}

// squeezed is the network that CONTRIBUTING.md shows.
func squeezed(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	features := g.In("features")
	x = features.Conv("0", x, nn.Conv{Channels: 64, Kernel: 3, Stride: 2, ReLU: true})
	x = features.MaxPool("2", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})
	one := features.Conv("3.expand1x1", x, nn.Conv{Channels: 64, Kernel: 1, ReLU: true})
	three := features.Conv("3.expand3x3", x, nn.Conv{Channels: 64, Kernel: 3, Pad: 1, ReLU: true})
	x = features.Concat("3.concat", one, three)
	x = g.GlobalAvgPool("avgpool", g.Dropout("dropout", x, c.dropout(0.5)))
	return g.Linear("classifier", x, nn.Linear{Outputs: c.Classes, Weight: nn.Normal(0.01)})
}

// CONTRIBUTING.md shows how a network is added by one that can be built, in the words of the function above.
func TestContributing(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)   ```go\n(.*?)   ```\n").FindSubmatch(page)
	if shown == nil {
		t.Fatal("CONTRIBUTING.md shows no network")
	}
	code := regexp.MustCompile(`(?m)^   `).ReplaceAllString(string(shown[1]), "")
	if !strings.Contains(string(source), "\n"+code) {
		t.Errorf("CONTRIBUTING.md shows another network than squeezed in docs_test.go:\n%s", code)
	}
	g, out, err := (&model{name: "squeezed", size: 224, build: squeezed}).graph(Config{Classes: 10, Size: 224})
	if err != nil {
		t.Fatal(err)
	}
	if want := (ops.Shape{N: 1, C: 10, H: 1, W: 1}); out.Shape != want || len(g.Params()) != 8 {
		t.Errorf("squeezed ends in %v with %d parameters, want %v and 8", out.Shape, len(g.Params()), want)
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// gigabytes is a number of bytes to a tenth of a gigabyte, or few to a megabyte.
func gigabytes(bytes uint64) string {
	if bytes < 50e6 {
		return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
}
