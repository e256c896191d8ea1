package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// progress is what the line on a terminal says.
type progress struct {
	What          string // "" for training, else what else is done
	Epoch, Epochs int
	Step, Total   int
	Loss, Speed   float64
	Left          string
}

// line writes as much as fits into width columns: what matters least is left out first, and a bar takes what is left
// over.
func (p progress) line(width int, paint func(code, text string) string) string {
	share := 0.0
	if p.Total > 0 {
		share = float64(p.Step) / float64(p.Total)
	}
	head := fmt.Sprintf("epoch %d/%d ", p.Epoch, p.Epochs)
	// Of one width from step to step, so that the bar keeps its own.
	total := strconv.Itoa(p.Total)
	more := []string{fmt.Sprintf("loss %.4f", p.Loss), "", fmt.Sprintf("step %*d/%s", len(total), p.Step, total),
		fmt.Sprintf("%6.1f images/s", p.Speed)}
	if p.Left != "" {
		more[1] = fmt.Sprintf("%6s left", p.Left)
	}
	if p.What != "" {
		head, more = p.What+" ", []string{fmt.Sprintf("%*d/%s images", len(total), p.Step, total)}
	}
	const least, most = 8, 30 // of the bar
	tail := fmt.Sprintf(" %3.0f %%", math.Floor(100*share))
	used := len(head) + least + len(tail)
	for _, m := range more {
		if m != "" && used+2+len(m) <= width {
			tail += "  " + m
			used += 2 + len(m)
		}
	}
	if used > width { // no room for a bar
		short := head + strings.TrimSpace(tail)
		if len(short) > width {
			short = strings.TrimSpace(tail)
		}
		return short[:max(0, min(width, len(short)))]
	}
	bar := min(most, least+width-used)
	full := int(share*float64(bar) + 1e-9)
	return head + paint(cyan, strings.Repeat("█", full)) + paint(faint, strings.Repeat("░", bar-full)) + tail
}
