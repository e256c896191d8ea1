package shaders

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// Uniforms are Go structs, from which shaders have their declarations: {{uniform "PairsParams"}} prints struct Q, the
// parameters of a dispatch, and {{uniform "Step"}} struct Step. So a field's name, type and place are written once.
//
// A field OutPixels is out_pixels in WGSL; an int or uint32 is a u32 there, a bool a u32 of 0 or 1, an int32 an i32, a
// float32 an f32, and an array of four of these a vec4<f32>. The fields of an embedded struct stand among the others.

// uniforms are the structs that shaders declare, by name.
var uniforms = byName(
	ElementwiseParams{}, BatchNormParams{}, ReduceParams{}, BiasParams{}, PoolParams{}, AdaptiveParams{},
	GlobalAvgPoolParams{}, DropoutParams{}, SubsampleParams{},
	ConvNaiveParams{}, ConvStraightParams{}, ConvTiledParams{}, ConvTiledSumParams{}, ConvTiledWeightsParams{},
	ConvWinogradParams{}, ConvGradNaiveParams{},
	ConvGradStraightParams{}, ConvGradStraightSumParams{}, ConvGradTiledParams{}, ConvGradSumParams{}, UnfoldParams{},
	LinearNaiveParams{}, LinearStraightParams{}, LinearGradStraightParams{}, LinearTiledParams{}, LinearSumParams{},
	LinearFlattenParams{}, LinearBiasParams{},
	AugmentParams{}, LossParams{}, MetricsParams{}, PairsParams{}, GradNormParams{}, SGDParams{}, AverageParams{},
	SumsParams{}, Step{}, Image{},
)

func byName(structs ...any) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, s := range structs {
		t := reflect.TypeOf(s)
		types[t.Name()] = t
	}
	return types
}

// declaration is that of the struct of that name.
func declaration(name string) (string, error) {
	t, ok := uniforms[name]
	if !ok {
		return "", fmt.Errorf("there is no struct %s", name)
	}
	return uniformOf(t).declaration, nil
}

// Declaration prints the struct of a kernel whose source is not here, as {{uniform}} does it for those that are.
func Declaration(params any) string { return uniformOf(reflect.TypeOf(params)).declaration }

// uniform is a struct as WGSL lays it out.
type uniform struct {
	declaration string
	fields      []field
	words       int
}

type field struct {
	name  string // in WGSL
	index []int  // of the struct's field
	kind  reflect.Kind
	word  int
}

// types are those of WGSL, with the words that they take.
var types = map[reflect.Kind]struct {
	name  string
	words int
}{
	reflect.Int: {"u32", 1}, reflect.Uint32: {"u32", 1}, reflect.Bool: {"u32", 1}, reflect.Int32: {"i32", 1},
	reflect.Float32: {"f32", 1}, reflect.Array: {"vec4<f32>", 4},
}

var laidOut sync.Map // uniforms by their reflect.Type

// uniformOf panics where a struct has a field that WGSL has not: a mistake in this repository.
func uniformOf(t reflect.Type) *uniform {
	if u, ok := laidOut.Load(t); ok {
		return u.(*uniform)
	}
	u := &uniform{}
	name := t.Name()
	if strings.HasSuffix(name, "Params") {
		name = "Q"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "struct %s {\n", name)
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || f.Name == "_" {
			continue
		}
		kind := f.Type.Kind()
		of, ok := types[kind]
		if !ok || kind == reflect.Array && f.Type != reflect.TypeFor[[4]float32]() {
			panic(fmt.Sprintf("%v.%s is a %v, which no uniform holds", t, f.Name, f.Type))
		}
		at := (u.words + of.words - 1) / of.words * of.words // values begin at multiples of their size
		u.fields = append(u.fields, field{snake(f.Name), f.Index, kind, at})
		u.words = at + of.words
		fmt.Fprintf(&b, "  %s: %s,\n", snake(f.Name), of.name)
	}
	b.WriteString("}")
	u.declaration = b.String()
	known, _ := laidOut.LoadOrStore(t, u)
	return known.(*uniform)
}

// snake writes OutPixels as out_pixels, DYPlane as dy_plane and KX0 as kx0.
func snake(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) &&
			(unicode.IsLower(r[i-1]) || unicode.IsUpper(r[i-1]) && i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// Words are the parameters of a kernel as its uniform holds them. They must be of the struct that its source declares,
// and numbers that it can hold.
func Words(source string, params any) ([]uint32, error) {
	v := reflect.ValueOf(params)
	u := uniformOf(v.Type())
	if !strings.Contains(source, u.declaration) {
		return nil, fmt.Errorf("its parameters are not %T", params)
	}
	words := make([]uint32, u.words)
	for _, f := range u.fields {
		switch of := v.FieldByIndex(f.index); f.kind {
		case reflect.Int:
			if n := of.Int(); n < 0 || n > math.MaxUint32 {
				return nil, fmt.Errorf("%d is no value of its parameter %s", n, f.name)
			}
			words[f.word] = uint32(of.Int())
		case reflect.Uint32:
			words[f.word] = uint32(of.Uint())
		case reflect.Int32:
			words[f.word] = uint32(of.Int())
		case reflect.Float32:
			words[f.word] = math.Float32bits(float32(of.Float()))
		case reflect.Bool:
			if of.Bool() {
				words[f.word] = 1
			}
		case reflect.Array:
			for i := range of.Len() {
				words[f.word+i] = math.Float32bits(float32(of.Index(i).Float()))
			}
		}
	}
	return words, nil
}
