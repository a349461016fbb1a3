package natsnode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// maxStoreDefault: years of a busy team's commits (1 KiB each) and a
	// fortnight of their output.
	maxStoreDefault = 10 << 30
	// minStore is the least that the streams can be cut from.
	minStore = 256 << 20
	// diskShare of the free disk, in percent: a full disk is silent (publishes
	// only time out), so our own limit has to strike first.
	diskShare = 80
	// storeFile remembers the limit of a data folder. The limits of streams are
	// cut from it when they are created, and they must still fit later, when
	// the same data has made the free disk smaller.
	storeFile = "store-limit"
)

// ErrDiskTooSmall: not enough free disk for a new data folder.
var ErrDiskTooSmall = errors.New("not enough free disk")

// storeLimit returns want, or without one the limit chosen when the folder was
// new: the default or diskShare of the free disk, whichever is lower.
func storeLimit(dir string, want int64) (int64, error) {
	if want > 0 {
		return want, nil
	}
	return remembered(filepath.Join(dir, storeFile), func() (int64, error) { return chooseLimit(dir, 1) })
}

// remembered is the limit in a file, which is chosen and written when there is
// none.
func remembered(path string, choose func() (int64, error)) (int64, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if err != nil || limit < minStore {
			return 0, fmt.Errorf("the file %s holds no valid number of bytes", path)
		}
		return limit, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read the store limit: %w", err)
	}
	limit, err := choose()
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", limit), 0o600); err != nil {
		return 0, fmt.Errorf("remember the store limit: %w", err)
	}
	return limit, nil
}

// chooseLimit is for each of so many servers that share the disk.
func chooseLimit(dir string, servers int) (int64, error) {
	free, err := FreeDisk(dir)
	if err != nil {
		return 0, fmt.Errorf("ask for the free disk under %s: %w", dir, err)
	}
	limit := min(maxStoreDefault, free/100*diskShare/int64(servers))
	if limit < minStore {
		return 0, fmt.Errorf("%w under %s: %d MiB free, %d MiB needed", ErrDiskTooSmall, dir, free>>20, (int64(servers)*minStore*100/diskShare)>>20)
	}
	return limit, nil
}
