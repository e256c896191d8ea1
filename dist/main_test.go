package dist

import (
	"os"
	"testing"

	"ninvk/ci/slow"
)

// roleVariable says what this program is to do as a rank that a launcher started, rather than test.
const roleVariable = "NINVK_DIST_ROLE"

// roles is what it can do.
var roles = map[string]func(){}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		roles[role]()
		os.Exit(0)
	}
	os.Exit(slow.Run(m, "TestSumsByMPI", "TestRanksEnd", "TestWrongLibrary", "TestStandardABI", "TestTwoMachines"))
}
