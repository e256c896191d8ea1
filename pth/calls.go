package pth

// call stands for the result of calling a function or class: of those that a state_dict needs what they would give, of
// every other an object. Nothing is ever run.
func call(callable, args any) any {
	a, ok := args.(*sequence)
	if !ok {
		refuse("arguments are %s", kindOf(args))
	}
	g, ok := callable.(global)
	if !ok {
		o, isObject := callable.(*object)
		if !isObject {
			refuse("%s can't be called", kindOf(callable))
		}
		return &object{class: o.class, args: a}
	}
	if f := known[g]; f != nil {
		if v := f(a.items); v != nil {
			return v
		}
		refuse("%s with %d arguments can't be followed", g, len(a.items))
	}
	return &object{class: g.String(), args: a}
}

// known are the functions and classes that a state_dict is made of. They give nil for arguments which can't be right.
var known map[global]func(args []any) any

func init() { // refers to itself
	known = map[global]func([]any) any{
		{"collections", "OrderedDict"}: orderedDict,
		{"torch", "Size"}: func(a []any) any {
			if len(a) == 1 {
				if s, ok := a[0].(*sequence); ok {
					return s
				}
			}
			return nil
		},
		{"torch._utils", "_rebuild_tensor"}:               rebuildTensor, // before PyTorch 0.4
		{"torch._utils", "_rebuild_tensor_v2"}:            rebuildTensor,
		{"torch._utils", "_rebuild_tensor_v3"}:            rebuildUntyped,
		{"torch._utils", "_rebuild_parameter"}:            rebuildParameter,
		{"torch._utils", "_rebuild_parameter_with_state"}: rebuildParameter,
		{"torch.nn.parameter", "Parameter"}:               rebuildParameter, // before PyTorch 0.4
		{"torch.autograd.variable", "Variable"}:           rebuildParameter,
		{"torch._tensor", "_rebuild_from_type_v2"}: func(a []any) any { // function, class, arguments, attributes
			if len(a) != 4 {
				return nil
			}
			// within itself without end
			if f, ok := a[0].(global); ok && f == (global{"torch._tensor", "_rebuild_from_type_v2"}) {
				return nil
			}
			return call(a[0], a[2])
		},
	}
}

func orderedDict(a []any) any {
	d := &dict{}
	if len(a) == 0 {
		return d
	}
	pairs, ok := a[0].(*sequence) // as Python 2 wrote them
	if !ok || len(a) > 1 {
		return nil
	}
	for _, p := range pairs.items {
		pair, ok := p.(*sequence)
		if !ok || len(pair.items) != 2 {
			return nil
		}
		d.keys, d.values = append(d.keys, pair.items[0]), append(d.values, pair.items[1])
	}
	return d
}

// rebuildTensor takes storage, offset, size, stride, and more that is of no interest.
func rebuildTensor(a []any) any {
	if len(a) < 4 {
		return nil
	}
	s, ok1 := a[0].(storage)
	offset, ok2 := a[1].(int64)
	if !ok1 || !ok2 || offset < 0 {
		return nil
	}
	t := &tensor{storage: s, offset: offset, size: lengths(a[2]), stride: lengths(a[3])}
	if len(t.size) != len(t.stride) {
		refuse("a tensor has %d dimensions and %d strides", len(t.size), len(t.stride))
	}
	return t
}

// rebuildUntyped takes a storage of bytes, what rebuildTensor takes, whether it is trained, hooks, and the type.
func rebuildUntyped(a []any) any {
	if len(a) < 7 {
		return nil
	}
	dtype, ok := a[6].(global)
	t, isTensor := rebuildTensor(a).(*tensor)
	if !ok || !isTensor || dtype.module != "torch" {
		return nil
	}
	t.storage.class = byDType[dtype.name]
	if t.storage.class == "" { // unknown, and said where it is needed
		t.storage.class = dtype.name
		return t
	}
	t.storage.count /= int64(types[t.storage.class].bytes)
	return t
}

// rebuildParameter takes a tensor, and more that is of no interest.
func rebuildParameter(a []any) any {
	if len(a) > 0 {
		if t, ok := a[0].(*tensor); ok {
			return t
		}
	}
	return nil
}

// lengths are the numbers of a tuple, none of them negative.
func lengths(v any) []int64 {
	t, ok := v.(*sequence)
	if !ok || len(t.items) > maxDims {
		refuse("a tensor's shape or strides are %s, expected a tuple of at most %d numbers", kindOf(v), maxDims)
	}
	n := make([]int64, len(t.items))
	for i, x := range t.items {
		if n[i], ok = x.(int64); !ok || n[i] < 0 {
			refuse("a tensor's shape or strides have %s where a whole number from 0 is expected", kindOf(x))
		}
	}
	return n
}
