package nn

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// add adds a storage that a step writes.
func (p *plan) add(size uint64, at int) int {
	p.storages = append(p.storages, &storage{size: (size + 255) &^ 255, from: at, to: at, at: map[int]access{at: writes}})
	return len(p.storages) - 1
}

func (p *plan) use(h home, at int, a access) {
	x := p.storages[h.storage]
	x.from, x.to = min(x.from, at), max(x.to, at)
	x.at[at] = max(x.at[at], a)
}

// clash says whether a step writes to one of two storages and touches the other: they must not lie in one buffer, as
// adapters allow no reading and writing of a buffer in one dispatch.
func (s *storage) clash(u *storage) bool {
	if len(s.at) > len(u.at) {
		s, u = u, s
	}
	for at, a := range s.at {
		if b, ok := u.at[at]; ok && (a == writes || b == writes) {
			return true
		}
	}
	return false
}

// packMoves bounds the work of finding a better order: so many storages are placed in each of so many beginnings.
const packMoves, packBeginnings = 4000, 16

// assign gives every storage a place in a buffer, the largest storages first. Where that takes more than roomy, other
// orders are tried, each the best so far with one storage moved; from time to time it begins anew, for what is best
// depends on chance.
func (p *plan) assign() {
	order := slices.Clone(p.storages)
	slices.SortStableFunc(order, func(a, b *storage) int { return cmp.Compare(b.size, a.size) })
	p.buffers = pack(order)
	best := order
	r := rand.New(rand.NewPCG(0, 0)) // the same plan every time
	for range packBeginnings {
		now, least := order, uint64(math.MaxUint64)
		for range packMoves / len(order) {
			if p.bytes() <= roomy {
				break
			}
			from, to := r.IntN(len(order)), r.IntN(len(order))
			next := slices.Insert(slices.Delete(slices.Clone(now), from, from+1), to, now[from])
			buffers := pack(next)
			if bytes := total(buffers); bytes <= least {
				now, least = next, bytes
			}
			if least < p.bytes() {
				best, p.buffers = now, buffers
			}
		}
	}
	pack(best)
}

// pack gives storages a place one after the other: the first that is free for its whole life, in a buffer which holds
// nothing that it clashes with. It gives the sizes of the buffers.
func pack(order []*storage) (buffers []uint64) {
	var users [][]*storage
	for _, s := range order {
		s.buffer = -1
		for b, u := range users {
			if offset, ok := free(s, u, buffers[b]); ok {
				s.buffer, s.offset = b, offset
				break
			}
		}
		if s.buffer < 0 {
			s.buffer, s.offset = len(users), 0
			users = append(users, nil)
			buffers = append(buffers, s.size)
		}
		users[s.buffer] = append(users[s.buffer], s)
	}
	return buffers
}

// free is the lowest place in a buffer of size bytes with these users where s fits.
func free(s *storage, users []*storage, size uint64) (uint64, bool) {
	var alive []*storage // while s is
	for _, u := range users {
		if s.from > u.to || u.from > s.to {
			continue
		}
		if s.clash(u) {
			return 0, false
		}
		alive = append(alive, u)
	}
	slices.SortFunc(alive, func(a, b *storage) int { return cmp.Compare(a.offset, b.offset) })
	var at uint64
	for _, u := range alive {
		if at+s.size <= u.offset {
			break
		}
		at = max(at, u.offset+u.size)
	}
	return at, at+s.size <= size
}

// bytes is the memory of all buffers of the plan.
func (p *plan) bytes() uint64 { return total(p.buffers) }

func total(sizes []uint64) uint64 {
	var sum uint64
	for _, b := range sizes {
		sum += b
	}
	return sum
}
