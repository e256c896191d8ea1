// Package rng is the one source of random numbers. It is the counter-based generator Philox4x32-10 of Salmon et al.,
// "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
//
// A stream is named by (seed, purpose, a, b), for example (seed, "augment", epoch, image index). Its numbers depend on
// that name alone, never on how far another stream was read, so a run that is interrupted, batched or ordered
// differently still draws the same numbers.
package rng

import (
	"hash/fnv"
	"math"
	"math/bits"
)

// Stream is a sequence of random numbers. Make one with New; it is cheap, so make a new one for every name rather than
// keeping it. A Stream must not be shared by goroutines.
type Stream struct {
	key     [2]uint32
	counter [4]uint32
	block   [4]uint32 // the last block drawn
	used    int       // words of block already given out

	spare    float64 // second normal number of a Box-Muller pair
	hasSpare bool
}

// New returns the start of the stream named by seed, purpose, a and b. By
// convention a is the epoch or step and b the index within it.
func New(seed uint64, purpose string, a, b uint64) *Stream {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	p := h.Sum64()
	// A name is longer than one counter and key. The first block mixes seed, purpose and a; b stays in the counter, so
	// that streams which differ in b alone can never coincide. Counter word 0 counts the blocks.
	m := Philox([4]uint32{uint32(p), uint32(p >> 32), uint32(a), uint32(a >> 32)},
		[2]uint32{uint32(seed), uint32(seed >> 32)})
	return &Stream{
		key:     [2]uint32{m[0], m[1]},
		counter: [4]uint32{0, m[2], uint32(b), uint32(b >> 32)},
		used:    4,
	}
}

// Philox is the block function, Philox4x32 with ten rounds: 128 bits of counter and 64 bits of key to 128 random bits.
func Philox(c [4]uint32, k [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers
		w0, w1 = 0x9E3779B9, 0xBB67AE85 // key increments: golden ratio, √3 − 1
	)
	for range 10 {
		h0, l0 := bits.Mul32(m0, c[0])
		h1, l1 := bits.Mul32(m1, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k[0], l1, h0 ^ c[3] ^ k[1], l0}
		k[0] += w0
		k[1] += w1
	}
	return c
}

// Uint32 returns 32 random bits.
func (s *Stream) Uint32() uint32 {
	if s.used == 4 {
		s.block = Philox(s.counter, s.key)
		s.used = 0
		if s.counter[0]++; s.counter[0] == 0 {
			s.counter[1]++
		}
	}
	v := s.block[s.used]
	s.used++
	return v
}

// Uint64 returns 64 random bits; the first word drawn is the low half.
func (s *Stream) Uint64() uint64 {
	lo := s.Uint32()
	return uint64(s.Uint32())<<32 | uint64(lo)
}

// Float64 returns a number in [0, 1), a multiple of 2⁻⁵³.
func (s *Stream) Float64() float64 {
	return float64(s.Uint64()>>11) * 0x1p-53
}

// Intn returns an integer in [0, n), each equally likely. Like math/rand, it panics where n is not positive.
func (s *Stream) Intn(n int) int {
	if n <= 0 {
		panic("rng: Intn needs a positive bound")
	}
	// Lemire's method: the high half of a product is the result; the few low
	// halves that would favour some results are drawn again.
	bound := uint64(n)
	hi, lo := bits.Mul64(s.Uint64(), bound)
	if lo < bound {
		for reject := -bound % bound; lo < reject; {
			hi, lo = bits.Mul64(s.Uint64(), bound)
		}
	}
	return int(hi)
}

// NormFloat64 returns a normally distributed number, mean 0 and deviation 1, by the Box-Muller transform.
func (s *Stream) NormFloat64() float64 {
	if s.hasSpare {
		s.hasSpare = false
		return s.spare
	}
	u := 1 - s.Float64() // (0, 1]: its logarithm is finite
	sin, cos := math.Sincos(2 * math.Pi * s.Float64())
	r := math.Sqrt(-2 * math.Log(u))
	s.spare, s.hasSpare = r*sin, true
	return r * cos
}

// Perm returns the numbers 0 to n−1 in random order (Fisher-Yates).
func (s *Stream) Perm(n int) []uint32 {
	p := make([]uint32, n)
	for i := range p {
		j := s.Intn(i + 1)
		p[i] = p[j]
		p[j] = uint32(i)
	}
	return p
}
