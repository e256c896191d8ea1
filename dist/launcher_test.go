package dist

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environment is variables as env prints them, with spaces between them.
func environment(text string) func(string) (string, bool) {
	m := map[string]string{}
	for _, f := range strings.Fields(text) {
		name, value, _ := strings.Cut(f, "=")
		m[name] = value
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestFindLauncher(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		want *Launcher
	}{
		"none": {"HOME=/root", nil},
		"Open MPI 4": {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_LOCAL_RANK=1 " +
			"OMPI_UNIVERSE_SIZE=4 PMIX_RANK=3 PMIX_NAMESPACE=7", &Launcher{"Open MPI's mpirun", 3, 4, 1, openMPI}},
		"MPICH's hydra": {"PMI_RANK=1 PMI_SIZE=2 PMI_FD=6 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2",
			&Launcher{"MPICH's mpiexec", 1, 2, 1, mpich}},
		"one that tells no local rank": {"PMI_RANK=0 PMI_SIZE=2", &Launcher{"MPICH's mpiexec", 0, 2, -1, mpich}},
		"MVAPICH": {"MV2_COMM_WORLD_RANK=5 MV2_COMM_WORLD_SIZE=8 MV2_COMM_WORLD_LOCAL_RANK=1",
			&Launcher{"MVAPICH's mpirun", 5, 8, 1, mpich}},
		"one rank": {"OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_LOCAL_RANK=0",
			&Launcher{"Open MPI's mpirun", 0, 1, 0, openMPI}},
		"srun": {"SLURM_PROCID=2 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=0",
			&Launcher{"SLURM's srun", 2, 4, 0, anyFamily}},
		"srun --mpi=pmix": {"SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=0 PMIX_RANK=2",
			&Launcher{"SLURM's srun", 2, 4, 0, openMPI}},
		"srun --mpi=pmi2": {"SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=0 PMI_RANK=2 PMI_SIZE=4",
			&Launcher{"SLURM's srun", 2, 4, 0, anyFamily}},
		"a batch script itself": {"SLURM_JOB_ID=9 SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_LOCALID=0", nil},
		"mpirun in a batch script": {"SLURM_PROCID=0 SLURM_NTASKS=4 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=2",
			&Launcher{"Open MPI's mpirun", 2, 4, -1, openMPI}},
		"Flux": {"FLUX_TASK_RANK=1 FLUX_JOB_SIZE=2 FLUX_TASK_LOCAL_ID=1 PMI_RANK=1 PMI_SIZE=2",
			&Launcher{"Flux", 1, 2, 1, anyFamily}},
	} {
		got, err := FindLauncher(environment(c.env))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(Launcher{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, c := range []struct{ env, says string }{
		{"PMI_RANK=x PMI_SIZE=2", `PMI_RANK="x", which MPICH's mpiexec is thought to have set`},
		{"PMI_RANK=0 PMI_SIZE=0", `PMI_SIZE="0"`},
		{"PMI_RANK=-1 PMI_SIZE=2", `PMI_RANK="-1"`},
		{"PMI_RANK=2 PMI_SIZE=2", "PMI_RANK=2, though PMI_SIZE=2: ranks count from 0"},
		{"PMI_RANK=0 PMI_SIZE=2 MPI_LOCALRANKID=", `MPI_LOCALRANKID=""`},
	} {
		l, err := FindLauncher(environment(c.env))
		if launch := (*LaunchError)(nil); !errors.As(err, &launch) || !strings.Contains(err.Error(), c.says) || l != nil {
			t.Errorf("%s: %v, error %v, wanted %q", c.env, l, err, c.says)
		}
	}
}

// A library beside the launcher that a shell finds is tried after those the system finds, and one of another family
// isn't.
func TestCandidates(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"opt/mpi/bin", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mpirun := filepath.Join(root, "opt/mpi/bin/mpirun")
	if err := os.WriteFile(mpirun, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "bin/mpirun")
	if err := os.Symlink(mpirun, link); err != nil {
		t.Fatal(err)
	}
	beside, err := filepath.EvalSymlinks(filepath.Join(root, "opt/mpi"))
	if err != nil {
		t.Fatal(err)
	}
	look := func(name string) (string, error) {
		if name == "mpirun" {
			return link, nil
		}
		return "", os.ErrNotExist
	}
	got := candidates("linux", openMPI, look)
	names := []string{"libmpi.so.40", "libmpi.so", "libmpi_abi.so.0", "libmpi_abi.so"}
	want := slices.Clone(names)
	for _, folder := range []string{"lib", "lib64"} {
		for _, n := range names {
			want = append(want, filepath.Join(beside, folder, n))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none := func(string) (string, error) { return "", os.ErrNotExist }
	if diff := cmp.Diff([]string{"libmpich.12.dylib", "libmpi.12.dylib", "libmpi_cray.dylib", "libmpi.dylib",
		"libmpi_abi.0.dylib", "libmpi_abi.dylib"}, candidates("darwin", mpich, none)); diff != "" {
		t.Errorf("macOS (-want +got):\n%s", diff)
	}
	if got := candidates("linux", anyFamily, none); got[0] != "libmpi.so.40" || !slices.Contains(got, "libmpich.so.12") {
		t.Errorf("of no family in particular: %q", got)
	}
}

// What can't begin says what is missing and which package brings it.
func TestLaunchErrors(t *testing.T) {
	ompi := "OMPI_COMM_WORLD_SIZE=%s OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_LOCAL_RANK=0"
	for name, c := range map[string]struct {
		size, library string
		says          []string
	}{
		"three ranks": {"3", "", []string{"Open MPI's mpirun started 3 ranks; a power of two is needed (2 or 4)"}},
		"no such library": {"2", filepath.Join(t.TempDir(), "libmpi.so"),
			[]string{"libmpi.so, which NINVK_MPI names, is of no use here: it can't be loaded", "o such file"}},
		"not MPI's library": {"2", systemLibrary,
			[]string{systemLibrary, "it lacks MPI_Init_thread, so it is no library of MPI, or too old"}},
	} {
		for _, f := range strings.Fields(strings.ReplaceAll(ompi, "%s", c.size)) {
			name, value, _ := strings.Cut(f, "=")
			t.Setenv(name, value)
		}
		t.Setenv(LibraryVariable, c.library)
		g, err := MPI("", testLimit)
		var launch *LaunchError
		if !errors.As(err, &launch) || g != nil {
			t.Errorf("%s: group %v, error %v", name, g, err)
			continue
		}
		for _, s := range c.says {
			if loads || name == "three ranks" {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%s: %v; wanted %q", name, err, s)
				}
			} else if !strings.Contains(err.Error(), "Linux and macOS alone") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	l := &Launcher{Name: "Open MPI's mpirun", Size: 2, family: openMPI}
	for _, c := range []struct {
		err  error
		says []string
	}{
		{noLibrary(l, []string{"libmpi.so.40"}), []string{"Open MPI's mpirun started this process as one of 2",
			"tried libmpi.so.40", "Debian and Ubuntu: openmpi-bin", "NINVK_MPI"}},
		{noLibrary(&Launcher{Name: "MPICH's mpiexec", Size: 2, family: mpich}, nil), []string{"libmpich12"}},
		{noLibrary(nil, nil), []string{"openmpi-bin", "libmpich12"}},
	} {
		for _, s := range c.says {
			if !strings.Contains(c.err.Error(), s) {
				t.Errorf("%v; wanted %q", c.err, s)
			}
		}
	}
}
