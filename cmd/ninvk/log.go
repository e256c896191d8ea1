package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// messages shows warnings and errors as sentences for people; what is below is for whoever looks into the program, in
// the form of the handler within.
type messages struct {
	slog.Handler
	out io.Writer
}

func newMessages(out io.Writer, level slog.Level) messages {
	return messages{slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}), out}
}

// Handle writes a record, its attributes in brackets behind the sentence.
func (m messages) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return m.Handler.Handle(ctx, r)
	}
	var attributes []string
	r.Attrs(func(a slog.Attr) bool {
		attributes = append(attributes, fmt.Sprintf("%s: %v", a.Key, a.Value))
		return true
	})
	line := fmt.Sprintf("ninvk: %s: %s", map[bool]string{false: "warning", true: "error"}[r.Level >= slog.LevelError],
		r.Message)
	if len(attributes) > 0 {
		line += " (" + strings.Join(attributes, ", ") + ")"
	}
	_, err := io.WriteString(m.out, line+"\n")
	return err
}
