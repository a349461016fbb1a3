package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRemembersWhatIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims")
	j := open(t, path)
	for _, run := range []string{"d-1", "d-2", "d-3"} {
		must(t, j.Add(run))
	}
	must(t, j.Remove("d-2"))
	if diff := cmp.Diff([]string{"d-1", "d-3"}, open(t, path).Held()); diff != "" {
		t.Error(diff)
	}
}

func TestDropsALineCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims")
	must(t, os.WriteFile(path, []byte("+ d-1\nrubbish\n+ d-2\n- d-1\n+ d-"), 0o600))
	if diff := cmp.Diff([]string{"d-2"}, open(t, path).Held()); diff != "" {
		t.Error(diff)
	}
}

func TestStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims")
	j := open(t, path)
	must(t, j.Add("d-stays"))
	for i := range 3 * maxLines {
		run := fmt.Sprintf("d-%d", i)
		must(t, j.Add(run))
		must(t, j.Remove(run))
	}
	info, err := os.Stat(path)
	must(t, err)
	if limit := int64(maxLines * len("+ d-99999\n")); info.Size() > limit {
		t.Errorf("%d bytes, want at most %d", info.Size(), limit)
	}
	if diff := cmp.Diff([]string{"d-stays"}, open(t, path).Held()); diff != "" {
		t.Error(diff)
	}
}
