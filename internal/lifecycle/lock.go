package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrLocked: another living process holds the folder.
var ErrLocked = errors.New("in use by another process")

// lockFile is the file inside a locked folder. It carries the holder's process
// id for people; the lock itself is the kernel's, so a crash releases it.
const lockFile = "lock"

// DirLock is the exclusive right of this process to a folder.
type DirLock struct {
	file *os.File
	path string
}

// LockDir creates dir when it is missing and takes the exclusive right to it,
// at once or not at all: ErrLocked, wrapped with who holds it. The right ends
// with Release or with the process, however that ends. Two LockDir of one
// folder exclude each other inside one process too.
func LockDir(dir string) (*DirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder %s: %w", dir, err)
	}
	path := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of %s: %w", dir, err)
	}
	if err := lockExclusive(file); err != nil {
		holder := readHolder(file)
		_ = file.Close()
		if errors.Is(err, errWouldBlock) {
			return nil, fmt.Errorf("the folder %s is %w%s: stop that one first, or choose another folder", dir, ErrLocked, holder)
		}
		return nil, fmt.Errorf("lock the folder %s: %w", dir, err)
	}
	if err := writeHolder(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write the lock of %s: %w", dir, err)
	}
	return &DirLock{file: file, path: path}, nil
}

// Release gives the folder back. The lock file stays: removing it would let
// two processes lock two files of the same name.
func (l *DirLock) Release() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("release %s: %w", l.path, err)
	}
	return nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// maxHolder bounds what is read of a foreign lock file: a process id.
const maxHolder = 32

func readHolder(file *os.File) string {
	data, err := io.ReadAll(io.NewSectionReader(file, 0, maxHolder))
	if pid := strings.TrimSpace(string(data)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
