package ops_test

import (
	"fmt"
	"os"
	"testing"

	"ninvk/ci/slow"
	"ninvk/gpu"
)

// TestMain has make test write out less in one kernel, which software drivers compile sooner. The code that makes
// kernels is the same; those of full length are run by make test-full here, and by the tests of whole networks always.
func TestMain(m *testing.M) {
	if err := slow.Unless(gpu.LimitsEnv, "maxUnrolledProducts=1536"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(slow.Run(m))
}
