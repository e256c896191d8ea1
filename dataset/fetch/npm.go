package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Npm has npm download a package, whose file it leaves under the name tarball in dir. Others are as Download has them.
func Npm(ctx context.Context, npm, pkg, dir, tarball, others string) error {
	var output bytes.Buffer
	c := exec.CommandContext(ctx, npm, "pack", pkg)
	c.Dir = dir // where npm leaves its file
	c.Stdout, c.Stderr = &output, &output
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the command %q is not found: install npm (part of Node.js), or use %s: %w", npm,
			others, err)
	}
	if err != nil {
		said := strings.TrimSpace(output.String())
		if len(said) > 1000 {
			said = "…" + said[len(said)-1000:]
		}
		return fmt.Errorf("%s pack %s failed (%w) and said:\n%s", npm, pkg, err, said)
	}
	if _, err := os.Stat(filepath.Join(dir, tarball)); err != nil {
		return fmt.Errorf("%s pack %s left no %s in %s", npm, pkg, tarball, dir)
	}
	return nil
}
