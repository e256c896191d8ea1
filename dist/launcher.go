package dist

import (
	"fmt"
	"strconv"
	"strings"
)

// Launcher is what started this process as one of several: mpirun, mpiexec, srun. Its environment says so before any
// library of MPI is there.
type Launcher struct {
	// Name is what people call it, as "Open MPI's mpirun".
	Name string
	// Rank is this process, from 0; Size is how many there are.
	Rank, Size int
	// Local is this process among those of its machine, from 0; -1 where the launcher doesn't tell.
	Local int

	family family // whose library it works with
}

// family is a kind of MPI library whose programs find each other through a launcher of the same kind.
type family int

// The families. Any library may go with anyFamily, as it may with a launcher of several families.
const (
	anyFamily family = iota
	openMPI
	mpich
)

// launchers is how launchers tell a process its place. The first whose rank and size are there is it: a launcher that
// runs within another's job, as mpirun does in SLURM's, comes before it.
var launchers = []struct {
	name              string
	rank, size, local string // variables; local may be ""
	family            family
}{
	{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", openMPI},
	{"MVAPICH's mpirun", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", mpich},
	{"IBM's jsrun", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK", openMPI},
	// A batch script has SLURM_PROCID and SLURM_NTASKS too, though nobody else runs there; the number of tasks of a step
	// is srun's.
	{"SLURM's srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", anyFamily},
	{"Flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID", anyFamily},
	{"Cray's PALS", "PALS_RANKID", "PALS_SIZE", "PALS_LOCAL_RANKID", mpich},
	// MPICH's hydra, Intel's mpirun, and others with its process management interface.
	{"MPICH's mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", mpich},
}

// FindLauncher says what started this process as one of several, by its environment (os.LookupEnv); nil if nothing did.
// An error is a *LaunchError.
func FindLauncher(env func(string) (string, bool)) (*Launcher, error) {
	for _, l := range launchers {
		_, rank := env(l.rank)
		_, size := env(l.size)
		if !rank || !size {
			continue
		}
		found := &Launcher{Name: l.name, Local: -1, family: l.family}
		for _, v := range []struct {
			name string
			to   *int
			from int
		}{{l.rank, &found.Rank, 0}, {l.size, &found.Size, 1}, {l.local, &found.Local, 0}} {
			text, there := env(v.name)
			if !there {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || n < v.from {
				return nil, &LaunchError{fmt.Sprintf("%s=%q, which %s is thought to have set, is no number of a process; "+
					"unset it, or train with --distributed off", v.name, text, l.name)}
			}
			*v.to = n
		}
		if found.Rank >= found.Size {
			return nil, &LaunchError{fmt.Sprintf("%s=%d, though %s=%d: ranks count from 0", l.rank, found.Rank, l.size,
				found.Size)}
		}
		// srun has PMI's variables set for the kind of library that it was told to serve.
		if _, pmix := env("PMIX_RANK"); pmix && found.family == anyFamily {
			found.family = openMPI
		}
		return found, nil
	}
	return nil, nil
}

// LaunchError is a launcher, a library or a number of ranks with which no group can begin.
type LaunchError struct{ Reason string }

func (e *LaunchError) Error() string { return e.Reason }
