package shaders

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Winograd is the minimal filtering algorithm F(M, K) of Winograd, as Lavin and Gray (arXiv 1509.09308) write it, along
// one row of an image: M neighbouring outputs of a kernel row of K taps from M+K-1 products instead of M·K.
//
//	y = A · ((G w) ⊙ (B x))
//
// x are the M+K-1 neighbouring inputs, w the taps. The transforms evaluate polynomials at Points, the last of which is
// infinity (Toom and Cook).
type Winograd struct{ M, K int }

// points are the finite ones, by their number. Pairs of ±p halve the transforms. They were chosen for the least
// rounding error against float64: with these, that of M = 2 and of K = 3 is about the direct sum's, that of F(4, 5)
// twice as large. One-dimensional transforms lose the root of what two-dimensional ones do.
var points = map[int][]float64{
	3: {0, 1, -1},
	5: {0, 2. / 3, -2. / 3, 3. / 2, -3. / 2},
	7: {0, 1. / 2, -1. / 2, 1, -1, 2, -2},
}

// Fits says whether there are points for the algorithm.
func (t Winograd) Fits() bool { return t.M > 0 && t.K > 1 && points[t.Points()-1] != nil }

// Points is the number of products, and of inputs.
func (t Winograd) Points() int { return t.M + t.K - 1 }

// B transforms the inputs: row j holds the coefficients of the polynomial that is zero at all finite points but the
// j-th, divided by the largest of them; the last row is zero at all finite points.
func (t Winograd) B() [][]float64 {
	p := points[t.Points()-1]
	rows := make([][]float64, t.Points())
	for j := range rows {
		c := []float64{1}
		for i, x := range p {
			if i != j {
				c = timesRoot(c, x)
			}
		}
		rows[j] = make([]float64, t.Points())
		for i, x := range c {
			rows[j][i] = x / largest(c)
		}
	}
	return rows
}

// G transforms the taps: powers of the points, divided by what B leaves out.
func (t Winograd) G() [][]float64 {
	p := points[t.Points()-1]
	rows := make([][]float64, t.Points())
	for j := range rows {
		rows[j] = make([]float64, t.K)
		c, scale := []float64{1}, 1.0
		for i, x := range p {
			if i != j {
				c = timesRoot(c, x)
				if j < len(p) {
					scale /= p[j] - x
				}
			}
		}
		scale *= largest(c)
		for k := range t.K {
			if j < len(p) {
				rows[j][k] = scale * math.Pow(p[j], float64(k))
			} else if k == t.K-1 {
				rows[j][k] = scale
			}
		}
	}
	return rows
}

// A transforms the products into outputs: powers of the points.
func (t Winograd) A() [][]float64 {
	p := points[t.Points()-1]
	rows := make([][]float64, t.M)
	for i := range rows {
		rows[i] = make([]float64, t.Points())
		for j, x := range p {
			rows[i][j] = math.Pow(x, float64(i))
		}
	}
	rows[t.M-1][len(p)] = 1
	return rows
}

// timesRoot multiplies the polynomial c by x - root.
func timesRoot(c []float64, root float64) []float64 {
	out := make([]float64, len(c)+1)
	for i, x := range c {
		out[i+1] += x
		out[i] -= root * x
	}
	return out
}

func largest(c []float64) float64 {
	m := 0.0
	for _, x := range c {
		m = max(m, math.Abs(x))
	}
	return m
}

// Transform is code that defines out(0) … out(n-1) as the rows of m applied to the vec4s in(0), in(1), … Rows of a
// pair ±p have the same coefficients, but for the signs of the odd ones (or of the even ones), so both come from one
// sum over the even and one over the odd places.
func Transform(m [][]float64, out, in func(int) string) string {
	var b strings.Builder
	for j := 0; j < len(m); j++ {
		if j+1 < len(m) && mirrored(m[j], m[j+1]) {
			even, odd := terms(m[j], 0, 2, in), terms(m[j], 1, 2, in)
			fmt.Fprintf(&b, "  let %s_e = %s;\n  let %s_o = %s;\n", out(j), even, out(j), odd)
			fmt.Fprintf(&b, "  let %s = %s_e + %s_o;\n  let %s = %s_e - %s_o;\n", out(j), out(j), out(j), out(j+1), out(j),
				out(j))
			j++
			continue
		}
		fmt.Fprintf(&b, "  let %s = %s;\n", out(j), terms(m[j], 0, 1, in))
	}
	return b.String()
}

// mirrored says whether b is a with the signs of its odd places turned.
func mirrored(a, b []float64) bool {
	if !slices.ContainsFunc(a[1:], func(x float64) bool { return x != 0 }) {
		return false
	}
	for i := range a {
		want := a[i]
		if i%2 == 1 {
			want = -want
		}
		if math.Abs(b[i]-want) > 1e-12 {
			return false
		}
	}
	return true
}

// terms is the sum of every step-th coefficient from the given one on times its input.
func terms(row []float64, from, step int, in func(int) string) string {
	var parts []string
	for i := from; i < len(row); i += step {
		switch {
		case math.Abs(row[i]) < 1e-12:
		case row[i] == 1:
			parts = append(parts, in(i))
		default:
			parts = append(parts, fmt.Sprintf("%s * %s", literal(row[i]), in(i)))
		}
	}
	if len(parts) == 0 {
		return "vec4<f32>()"
	}
	return strings.Join(parts, " + ")
}

// literal is x in digits that give the nearest float32.
func literal(x float64) string {
	s := strconv.FormatFloat(x, 'g', 9, 32)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return "(" + s + ")"
}

// winogradChain is the number of products that are added up one after the other; the sums of such chains are added
// apart, see ConvTile.Chains. Shorter ones take more registers.
const winogradChain = 24

// ConvWinogradTile is the shape of one kernel of a convolution by Winograd's algorithm (conv_winograd.wgsl). Equal
// tiles share one pipeline.
type ConvWinogradTile struct {
	Winograd
	R          int  // output channels a workgroup computes, a multiple of 4
	CH, KY     int  // input channels and kernel rows a chunk; CH is a multiple of 4
	WG         int  // invocations a workgroup
	Accumulate bool // several chunks add to one output
}

// Source is the kernel's WGSL; Weights that of the kernel that transforms the weights for it
// (conv_winograd_weights.wgsl).
func (t ConvWinogradTile) Source() string  { return Source("conv_winograd", t) }
func (t ConvWinogradTile) Weights() string { return Source("conv_winograd_weights", t) }

// Row is the number of transformed weights of one output channel in a chunk.
func (t ConvWinogradTile) Row() int { return t.CH * t.KY * t.Points() }

// RowGroups, Groups are the numbers of output and input channel groups of four.
func (t ConvWinogradTile) RowGroups() int { return t.R / 4 }
func (t ConvWinogradTile) Groups() int    { return t.CH / 4 }

// StagedVectors is the workgroup memory in vec4s: weights, then biases.
func (t ConvWinogradTile) StagedVectors() int { return t.RowGroups() * (t.Row() + 1) }

// MulAdds counts the multiply-adds in the code.
func (t ConvWinogradTile) MulAdds() int { return t.R * t.Row() }

// Inputs is the transform of the texels of channel group g and kernel row ky.
func (t ConvWinogradTile) Inputs(g, ky int) string {
	return Transform(t.B(), func(j int) string { return fmt.Sprintf("u%d_%d_%d", g, ky, j) },
		func(i int) string { return fmt.Sprintf("v%d_%d_%d", g, ky, i) })
}

// Products is the straight-line arithmetic of output group g: a sum over channels and kernel rows for every point, and
// their transforms into outputs.
func (t ConvWinogradTile) Products(g int) string {
	var b strings.Builder
	n := t.CH * t.KY
	for j := range t.Points() {
		var chains []string
		for k := range n {
			fmt.Fprintf(&b, "  let s%d_%d_%d = ", g, j, k)
			if k%winogradChain > 0 {
				fmt.Fprintf(&b, "s%d_%d_%d + ", g, j, k-1)
			}
			ch, ky := k/t.KY, k%t.KY
			fmt.Fprintf(&b, "ws[%d] * u%d_%d_%d.%c;\n", (k*t.Points()+j)*t.RowGroups()+g, ch/4, ky, j, "xyzw"[ch%4])
			if k%winogradChain == winogradChain-1 || k == n-1 {
				chains = append(chains, fmt.Sprintf("s%d_%d_%d", g, j, k))
			}
		}
		fmt.Fprintf(&b, "  let s%d_%d = %s;\n", g, j, strings.Join(chains, " + "))
	}
	// The outputs, from sums and differences of the pairs ±p: even powers take the one, odd ones the other.
	last := t.Points() - 1
	for j := 1; j < last; j += 2 {
		fmt.Fprintf(&b, "  let e%d_%d = s%d_%d + s%d_%d;\n  let d%d_%d = s%d_%d - s%d_%d;\n", g, j, g, j, g, j+1, g, j, g, j,
			g, j+1)
	}
	for p, row := range t.A() {
		for j := 2; j < last; j += 2 {
			row[j] = 0
		}
		name := func(j int) string {
			switch {
			case j == 0 || j == last:
				return fmt.Sprintf("s%d_%d", g, j)
			case p%2 == 0:
				return fmt.Sprintf("e%d_%d", g, j)
			}
			return fmt.Sprintf("d%d_%d", g, j)
		}
		fmt.Fprintf(&b, "  let r%d_%d = %s;\n", g, p, terms(row, 0, 1, name))
	}
	return b.String()
}

// TapsOf is code for the transformed taps of one point, from the taps w0, w1, …
func (t ConvWinogradTile) TapsOf(j int) string {
	return terms(t.G()[j], 0, 1, func(k int) string { return fmt.Sprintf("w%d", k) })
}
