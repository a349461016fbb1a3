package natsnode

import (
	"math"

	"golang.org/x/sys/windows"
)

// FreeDisk returns the bytes that we may still write under dir.
func FreeDisk(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64/2)), nil
}
