//go:build unix

package natsnode

import (
	"math"

	"golang.org/x/sys/unix"
)

// FreeDisk returns the bytes that we may still write under dir.
func FreeDisk(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	free := float64(st.Bavail) * float64(st.Bsize) // the fields' types differ by system
	return int64(min(free, math.MaxInt64/2)), nil
}
